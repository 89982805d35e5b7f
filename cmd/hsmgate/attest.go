package main

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// predicateTypes are the short names of predicate types, as cosign has them.
var predicateTypes = map[string]string{
	"slsaprovenance1": provenanceType,
	"spdxjson":        "https://spdx.dev/Document",
	"cyclonedx":       "https://cyclonedx.org/bom",
	"vuln":            "https://cosign.sigstore.dev/attestation/vuln/v1",
	"openvex":         "https://openvex.dev/ns",
}

// maxPredicate is the longest predicate, in bytes.
const maxPredicate = 8 << 20

const predicateLong = `--type is slsaprovenance1, spdxjson, cyclonedx, vuln, openvex or another predicate type's URI, and
--predicate a file with the predicate, a JSON object. Without --predicate, slsaprovenance1 is made of
--builder-id, --source, --commit and --run. What of these is not given is taken from the environment
of GitHub Actions, GitLab CI or Jenkins.`

// predicateFlags say what an attestation says.
type predicateFlags struct {
	kind, file string
	made       provenance
}

func (f *predicateFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.kind, "type", "", "slsaprovenance1, spdxjson, cyclonedx, vuln, openvex or a URI")
	c.Flags().StringVar(&f.file, "predicate", "", "file with the predicate, a JSON object of at most 8 MiB; '-' is standard input")
	f.made.add(c)
}

// uri is the type of the predicate.
func (f *predicateFlags) uri() (string, error) {
	if err := required(f.kind, "type"); err != nil {
		return "", err
	}
	if kind, short := predicateTypes[f.kind]; short {
		return kind, nil
	}
	if u, err := url.Parse(f.kind); err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" {
		return "", usagef("--type is slsaprovenance1, spdxjson, cyclonedx, vuln, openvex or a URI, not %q", f.kind)
	}
	return f.kind, nil
}

// body reads the predicate.
func (f *predicateFlags) body() ([]byte, error) {
	body, err := readInput(f.file, maxPredicate)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return nil, usagef("%s holds no JSON object: %v", f.file, err)
	}
	return body, nil
}

// predicate reads or makes the predicate.
func (f *predicateFlags) predicate() (*format.Predicate, error) {
	kind, err := f.uri()
	if err != nil {
		return nil, err
	}
	made := f.body
	switch {
	case f.file == "" && kind != provenanceType:
		return nil, usagef("--predicate is missing: only the predicate of slsaprovenance1 can be made here")
	case f.file == "":
		made = f.made.predicate
	case f.made != (provenance{}):
		return nil, usagef("--predicate is the whole predicate: it takes no --builder-id, --source, --commit and --run beside it")
	}
	body, err := made()
	return &format.Predicate{Type: kind, Body: body}, err
}

// wanted is what an attestation has to say; nil where none is looked for.
func (f *predicateFlags) wanted() (*format.Predicate, error) {
	switch {
	case f.kind == "" && f.file == "":
		return nil, nil //nolint:nilnil // it is a signature that is looked for
	case f.kind == "":
		return nil, usagef("--predicate is of an attestation: name its --type, too")
	}
	kind, err := f.uri()
	if err != nil || f.file == "" {
		return &format.Predicate{Type: kind}, err
	}
	body, err := f.body()
	return &format.Predicate{Type: kind, Body: body}, err
}

func newAttest(a *app) *cobra.Command {
	var key, output string
	var says predicateFlags
	var bound contextFlag
	formats := formatFlags{name: format.InToto.Name}
	c := &cobra.Command{
		Use: "attest --key KEY --type TYPE FILE...", Short: "Attest what is known of files, such as how they were built", Args: atLeastOneFile,
		Long: `Signs an in-toto statement of each file in a DSSE envelope, FILE.intoto.json, in place of one
that is there; of a single file, -o names another. A file of which this key has said the same
already is left as it is. An Ed25519 key signs statements of at most about
4060 bytes.

` + predicateLong,
		Example: "  hsmgate attest --key alias/release --type slsaprovenance1 dist/*     # in a CI system\n" +
			"  hsmgate attest --key alias/release --type slsaprovenance1 --builder-id https://build.example.org --source https://git.example.org/app \\\n" +
			"      --commit $(git rev-parse HEAD) app.tar.gz\n" +
			"  hsmgate attest --key alias/release --type cyclonedx --predicate bom.json app.tar.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(key, "key"); err != nil {
				return err
			}
			predicate, err := says.predicate()
			if err != nil {
				return err
			}
			formats.predicate = predicate
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				return a.signFiles(ctx, c, &formats, &api.SignRequest{KeyTarget: target(key), SigningContext: bound.pairs}, output, args)
			})(cmd, args)
		},
	}
	c.Flags().StringVar(&key, "key", "", "key id, ARN or alias")
	c.Flags().Var(&bound, "context", "a name and a value that say what the signature is for; may be given again")
	c.Flags().StringVarP(&output, "output-file", "o", "", "file for the attestation of a single file (default: beside it)")
	c.Flags().IntVar(&formats.jobs, "jobs", 8, "how many files are attested at a time")
	c.Flags().BoolVar(&formats.dryRun, "dry-run", false, "say what would be attested, and whether it may be; sign nothing")
	says.add(c)
	return c
}
