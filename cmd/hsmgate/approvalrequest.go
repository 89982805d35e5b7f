package main

import (
	"context"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// approvalFlags are those of 'approval request'.
type approvalFlags struct {
	key, algorithm, reason string
	digests                []string
	from, until            momentFlag
	count, signatures      int
	validFor               time.Duration
}

func newApprovalRequest(a *app) *cobra.Command {
	var f approvalFlags
	c := &cobra.Command{
		Use: "request --key KEY {FILE... | --digest DIGEST... | --until TIME --count N}", Short: "Ask for approval of signatures",
		Long: `Asks the approvers of a key to let the caller sign: the files, which are hashed here as 'hsmgate sign' does; or
digests, in the form sha256:<hex>; or anything, so many times, until a time. Prints the id and the hash of the request, which
its approvers need.`,
		Example: "  hsmgate approval request --key alias/release --reason 'release 1.4' app.tar.gz app.sbom\n" +
			"  hsmgate approval request --key alias/release --until 2030-01-02T18:00:00Z --count 20",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			in, err := f.request(args)
			if err != nil {
				return err
			}
			if err := addFiles(ctx, c, in, args); err != nil {
				return err
			}
			out, err := c.RequestApproval(ctx, in)
			if err != nil {
				return err
			}
			return a.print(out, line(out.ApprovalId+"  "+out.Hash))
		}),
	}
	flags := c.Flags()
	f.signatures = 1
	flags.StringVar(&f.key, "key", "", "key id, ARN or alias")
	flags.StringVar(&f.algorithm, "algorithm", "", "signing algorithm (default: the key's first)")
	flags.StringVar(&f.reason, "reason", "", "what the approvers are to know")
	flags.StringArrayVar(&f.digests, "digest", nil, "digest to sign, such as sha256:<hex>; may be repeated")
	flags.Var((*countFlag)(&f.signatures), "signatures", "how many signatures over each")
	flags.DurationVar(&f.validFor, "valid-for", 24*time.Hour, "how long the request and its approval are good")
	f.from.ahead, f.until.ahead, f.until.end = true, true, true
	flags.Var(&f.from, "from", "when the window opens: "+momentAhead+" (default: now)")
	flags.Var(&f.until, "until", "when the window closes, in the same forms; of a date, its end")
	flags.Var((*countFlag)(&f.count), "count", "how many signatures in the window")
	return c
}

var digestForm = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|(sha512|mu):[0-9a-f]{128})$`)

// request is what the flags ask for, without the files.
func (f *approvalFlags) request(files []string) (*api.RequestApprovalRequest, error) {
	if err := required(f.key, "key"); err != nil {
		return nil, err
	}
	chosen, err := oneOf("algorithm", f.algorithm, signatures)
	if err != nil {
		return nil, err
	}
	in := &api.RequestApprovalRequest{KeyTarget: target(f.key), SigningAlgorithm: chosen, Reason: f.reason}
	if f.until.given() == (len(files)+len(f.digests) > 0) {
		return nil, usagef("name files or digests, or a window with --until and --count")
	}
	if f.until.given() && f.count == 0 {
		return nil, usagef("--count is missing: how many signatures until then?")
	}
	if !f.until.given() {
		if f.validFor < time.Minute || f.validFor > 30*24*time.Hour {
			return nil, usagef("--valid-for is 1m to 720h, not %s", f.validFor)
		}
		seconds := int(f.validFor / time.Second)
		in.SignaturesPerDigest, in.ValidForSeconds = &f.signatures, &seconds
		for _, d := range f.digests {
			if !digestForm.MatchString(d) {
				return nil, usagef("--digest is sha256:, sha384:, sha512: or mu: and as many hex digits as it has, in lower case, not %q", d)
			}
			in.Digests = append(in.Digests, api.DigestToSign{Digest: d})
		}
		return in, nil
	}
	in.Window = &api.ApprovalWindow{Count: f.count, NotAfter: f.until.member(), NotBefore: f.from.member()}
	return in, nil
}

// addFiles hashes the files.
func addFiles(ctx context.Context, c *client.Client, in *api.RequestApprovalRequest, files []string) error {
	for _, name := range files {
		file, err := openInput(name)
		if err != nil {
			return err
		}
		var digest string
		digest, in.SigningAlgorithm, err = c.DigestToSign(ctx, in.KeyId, in.SigningAlgorithm, file)
		file.Close()
		if err != nil {
			return err
		}
		in.Digests = append(in.Digests, api.DigestToSign{Digest: digest, Artifact: name})
	}
	return nil
}
