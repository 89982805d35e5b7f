package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// checked is what policy check says of one file.
type checked struct {
	File     string
	Kind     string           // key or identity
	Error    *policy.Error    `json:",omitempty"` // why it is no policy
	Warnings []policy.Warning `json:",omitempty"`
}

// kindNames are the words of --kind.
var kindNames = map[policy.Kind]string{policy.KeyPolicy: "key", policy.IdentityPolicy: "identity"}

func newPolicyCheck(a *app) *cobra.Command {
	var kind string
	var strict bool
	c := &cobra.Command{
		Use: "check FILE...", Short: "Look for mistakes in policies, offline", Args: cobra.ArbitraryArgs,
		Long: `Reads policies, with no gateway, as 'policy put' would: what is not understood is refused, with line and
column. Then warns of what most likely is not meant: an Allow for everybody, or of everything, without a
condition; a condition that never or always holds, since no such request has the key; a resource or a policy
that is never asked about the action; ForAllValues without Null, which holds without a value; a statement that
is for nothing, or is there twice. A file is a key's policy where a statement names principals, and an identity
policy otherwise, unless --kind says what it is.

Exit code 1: a file is no policy; with --strict, also that there are warnings.`,
		Example: "  hsmgate policy check --strict policies/*.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%q needs a file; - for standard input", cmd.CommandPath())
			}
			if _, err := oneOf("kind", kind, []string{"key", "identity"}); err != nil {
				return err
			}
			return a.policyCheck(args, kind, strict)
		},
	}
	c.Flags().StringVar(&kind, "kind", "", "key or identity (default: what the policy looks like)")
	c.Flags().BoolVar(&strict, "strict", false, "take warnings for errors")
	return c
}

func (a *app) policyCheck(files []string, kind string, strict bool) error {
	all, malformed, warnings := []checked{}, 0, 0
	for _, name := range files {
		text, err := policyFile(name)
		if err != nil {
			return err
		}
		one, err := checkPolicy(name, text, kind)
		if err != nil {
			return err
		}
		if one.Error != nil {
			malformed++
		}
		warnings += len(one.Warnings)
		all = append(all, one)
	}
	if err := a.print(struct{ Files []checked }{all}, func(w io.Writer) { printChecked(w, all) }); err != nil {
		return err
	}
	switch {
	case malformed > 0:
		return &hintedError{&noError{fmt.Errorf("%d of %d file(s) are no policies", malformed, len(files))}, "docs/policy-language.md has all that a policy may hold"}
	case strict && warnings > 0:
		return &noError{fmt.Errorf("%d warning(s)", warnings)}
	}
	return nil
}

func checkPolicy(name, text, kind string) (checked, error) {
	k := policy.KindOf([]byte(text))
	switch kind {
	case "key":
		k = policy.KeyPolicy
	case "identity":
		k = policy.IdentityPolicy
	}
	out := checked{File: name, Kind: kindNames[k]}
	_, found, err := policy.Lint([]byte(text), k)
	out.Warnings = found
	if err != nil && !errors.As(err, &out.Error) {
		return out, err
	}
	return out, nil
}

func printChecked(w io.Writer, all []checked) {
	for _, c := range all {
		if c.Error != nil {
			fmt.Fprintf(w, "%s: line %d, column %d: %s\n", shown(c.File), c.Error.Line, c.Error.Column, c.Error.Text)
			continue
		}
		for _, f := range c.Warnings {
			fmt.Fprintf(w, "%s: line %d, column %d: warning: statement %s: %s (%s)\n", shown(c.File), f.Line, f.Column, f.Statement, f.Text, f.Code)
		}
		if len(c.Warnings) == 0 {
			fmt.Fprintf(w, "%s: a good policy of the kind %s\n", shown(c.File), c.Kind)
		}
	}
}
