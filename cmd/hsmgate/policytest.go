package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// tested is what policy test says of one truth table.
type tested struct {
	File     string
	Cases    int // decisions: a case with two principals is two
	Failures []failure
}

func newPolicyTest(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "test TABLE...", Short: "Check policies against truth tables, offline", Args: cobra.ArbitraryArgs,
		Long: `Decides the cases of truth tables as the gateway would, with no gateway, and prints those whose answer is
another one, with what decided and why each statement applies or not. A table is a YAML file: policies of keys
and principals, and cases that say who may do what. docs/examples has some to begin with. A member that is not
known, a name that the table does not have, and a case that no real call could be, are errors.

Exit code 1: a case fails.`,
		Example: "  hsmgate policy test policies/cases.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%q needs a truth table", cmd.CommandPath())
			}
			return a.policyTest(args)
		},
	}
}

func (a *app) policyTest(files []string) error {
	all, cases, failed := []tested{}, 0, 0
	for _, name := range files {
		t, err := readTable(name)
		if err != nil {
			return &usageError{err}
		}
		n, failures, err := t.run()
		if err != nil {
			return &usageError{fmt.Errorf("%s: %w", name, err)}
		}
		if failures == nil {
			failures = []failure{}
		}
		all = append(all, tested{name, n, failures})
		cases, failed = cases+n, failed+len(failures)
	}
	if err := a.print(struct{ Files []tested }{all}, func(w io.Writer) { printTested(w, all) }); err != nil {
		return err
	}
	if failed > 0 {
		return &noError{fmt.Errorf("%d of %d cases fail", failed, cases)}
	}
	return nil
}

func printTested(w io.Writer, all []tested) {
	for _, t := range all {
		for _, f := range t.Failures {
			fmt.Fprintf(w, "%s: line %d: %s: %s %s %s\n", shown(t.File), f.Line, f.Case, f.Principal, f.Action, f.Key)
			fmt.Fprintf(w, "  want %s%s\n", f.Want, by(f.WantBy))
			fmt.Fprintf(w, "  got  %s%s%s\n", f.Got, by(f.By), reason(f.Reason))
			printSteps(w, f.Steps)
		}
		if len(t.Failures) == 0 {
			fmt.Fprintf(w, "%s: %d cases hold\n", shown(t.File), t.Cases)
		}
	}
}

func by(statement string) string {
	if statement == "" {
		return ""
	}
	return " by " + statement
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// printSteps lists what a decision looked at.
func printSteps(w io.Writer, steps []policy.Step) {
	for _, s := range steps {
		how := "no "
		if s.Applies {
			how = "yes"
		}
		fmt.Fprintf(w, "    %s  %s %s: %s\n", how, s.Effect, s.Statement, s.Why)
	}
}
