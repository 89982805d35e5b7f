package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every verb tells wrong usage, which exits 2, from what fails: nothing is done
// without the arguments and flags that it needs, nor with more than it takes.
func TestUsage(t *testing.T) {
	t.Parallel()
	eachVerb(newRoot(), func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		for _, more := range [][]string{nil, {"one"}, {"one", "two", "three=3"}} {
			if c.Name() == "version" && more == nil { // it needs nothing
				continue
			}
			root := newRoot()
			root.SetArgs(slices.Concat(path, more))
			root.SetOut(io.Discard)
			err := root.Execute()
			var usage *usageError
			if !errors.As(err, &usage) {
				t.Errorf("%s %v: %v is no error of usage", c.CommandPath(), more, err)
			}
		}
	})
}

// principal tag has one argument too few when there is nothing to put on or take off.
func TestUsageOfPrincipalTag(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"principal tag", "principal tag ci"} {
		root := newRoot()
		root.SetArgs(strings.Fields(args))
		var usage *usageError
		if err := root.Execute(); !errors.As(err, &usage) || !strings.Contains(err.Error(), "needs a principal, and a tag") {
			t.Errorf("%s: %v", args, err)
		}
	}
}
