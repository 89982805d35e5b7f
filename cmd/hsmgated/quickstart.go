package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// firstAlias is the name of the key that quickstart makes in an empty store.
const firstAlias = "alias/release"

// stateFolder is a folder with everything that a gateway on a SoftHSM token
// needs. make-token.sh makes the token in it, quickstart the rest.
type stateFolder string

func (s stateFolder) config() string { return filepath.Join(string(s), "hsmgated.yaml") }
func (s stateFolder) pin() string    { return filepath.Join(string(s), "pin") }

func newQuickstart() *cobra.Command {
	var state, addr, module string
	var insecure, plain bool
	c := &cobra.Command{
		Use:   "quickstart --state DIR",
		Short: "Make what is missing in a state folder, and serve",
		Long: `Serves a gateway whose whole state is in one folder. The SoftHSM token in it is made
before, by softhsm-config/make-token.sh. What is missing is made: the configuration
hsmgated.yaml, the database, the audit log, a first administrator whose credentials
go to admin.env, and a first key alias/release if there is no key at all. What is
there stays.`,
		Example: "  softhsm-config/make-token.sh ./var\n  hsmgated quickstart --state ./var --addr 127.0.0.1:8080",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state == "" {
				return &usageError{errors.New("--state is missing: which folder?")}
			}
			c, err := quickConfig(state, addr, module, insecure)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, func(ctx context.Context, d *daemon) error {
				if err := d.firstKey(ctx); err != nil {
					return err
				}
				if plain {
					fmt.Printf("\n%s serves %s\n", versionText(), d.url)
					d.printCredentials(os.Stdout, state)
					return nil
				}
				return d.printCommands(os.Stdout, state)
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "folder of the state")
	c.Flags().StringVar(&addr, "addr", "", "address to serve on, port 0 for a free one (default: that of the configuration, else 127.0.0.1:8080)")
	c.Flags().StringVar(&module, "module", "", "path of the PKCS#11 library (default: that of the configuration, else $SOFTHSM2_MODULE, else the usual places)")
	c.Flags().BoolVar(&plain, "no-commands", false, "print no commands to paste: they would not work elsewhere, as outside a container")
	c.Flags().BoolVar(&insecure, "insecure-http", false, "allow plain HTTP on an address that is not loopback")
	return c
}

// quickConfig loads the configuration of the state folder, made if it is
// missing, under what the command line says.
func quickConfig(state, addr, module string, insecure bool) (*Config, error) {
	dir, err := filepath.Abs(state)
	if err != nil {
		return nil, err
	}
	s := stateFolder(dir)
	if _, err := os.Stat(s.pin()); errors.Is(err, fs.ErrNotExist) {
		return nil, &hintedError{fmt.Errorf("there is no token in %s: %s is missing", state, s.pin()), "make it with softhsm-config/make-token.sh " + state}
	}
	text, err := os.ReadFile(s.config())
	isNew := errors.Is(err, fs.ErrNotExist)
	if isNew {
		text, err = newConfig(addr, module, insecure)
	}
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(text, s.config())
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s: %w", s.config(), err)}
	}
	if addr != "" {
		c.Listen = addr
	}
	if module != "" {
		c.Token.Module = module
	}
	c.AllowPlainHTTP = c.AllowPlainHTTP || insecure
	if err := c.check(); err != nil {
		return nil, &usageError{err}
	}
	if isNew {
		return c, writePrivate(s.config(), text)
	}
	return c, nil
}

// newConfig is the configuration of a new state folder. Its values are quoted in
// Go's syntax, which YAML's double quotes read alike.
func newConfig(addr, module string, insecure bool) ([]byte, error) {
	if module == "" {
		module = findSoftHSM()
	}
	if module == "" {
		return nil, &hintedError{errors.New("SoftHSM's library libsofthsm2.so is not in the usual places"),
			"install it (Debian: apt-get install softhsm2), or name it with --module or SOFTHSM2_MODULE"}
	}
	if addr == "" {
		addr = "127.0.0.1:8080"
	}
	plain := ""
	if insecure {
		plain = "allow_plain_http: true\n"
	}
	return fmt.Appendf(nil, `# Made by 'hsmgated quickstart'; it is yours to change. docs/configuration.md explains every setting.
# 'hsmgated serve --config' takes it as well. Relative paths are relative to this folder.
listen: %q
%stoken:
  module: %q
  label: hsmgate
  pin_file: pin
environment:
  SOFTHSM2_CONF: ./softhsm2.conf
store: hsmgate.db
seal_key_file: seal.key
audit:
  path: audit/audit.log
# SoftHSM unwraps little by itself. This lets the gateway unwrap imported material in its own memory, in clear for a moment.
# import: {allow_in_memory: true}
first_administrator:
  name: admin
  env_file: admin.env
`, addr, plain, module), nil
}

// findSoftHSM looks where distributions put the library.
func findSoftHSM() string {
	if path := os.Getenv("SOFTHSM2_MODULE"); path != "" {
		return path
	}
	for _, pattern := range []string{
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so",
	} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// firstKey makes a key to begin with in a store that has none. It goes through
// the pipeline like any call, and leaves its records in the audit log.
func (d *daemon) firstKey(ctx context.Context) error {
	if d.store.KeyCount() > 0 {
		return nil
	}
	made, err := d.internalCall(ctx, "CreateKey", func(in any) {
		r := in.(*api.CreateKeyRequest)
		r.KeySpec, r.KeyUsage, r.Description = api.P256, api.SignVerify, "made by hsmgated quickstart"
	})
	if err != nil {
		return fmt.Errorf("the first key: %w", err)
	}
	_, err = d.internalCall(ctx, "CreateAlias", func(in any) {
		r := in.(*api.CreateAliasRequest)
		r.AliasName, r.TargetKeyId = firstAlias, made.(*api.CreateKeyResponse).KeyMetadata.KeyId
	})
	if err != nil {
		return fmt.Errorf("the first key's alias: %w", err)
	}
	return nil
}

func (d *daemon) internalCall(ctx context.Context, name string, fill func(in any)) (any, error) {
	op, ok := gateway.OpNamed(name)
	if !ok {
		return nil, fmt.Errorf("there is no operation %s", name)
	}
	call := &gateway.Call{
		RequestID: uuid.NewString(), Face: "internal", UserAgent: "hsmgated quickstart",
		Principal: policy.Principal{ARN: d.identities.PrincipalARN(d.config.FirstAdministrator.Name), Role: policy.RoleAdministrator},
	}
	out, refused := d.service.Do(ctx, call, op, func(in any) *api.Error { fill(in); return nil })
	if refused != nil {
		if refused.Cause != nil {
			return nil, fmt.Errorf("%w (%w)", refused, refused.Cause)
		}
		return nil, refused
	}
	return out, nil
}
