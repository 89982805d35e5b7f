package main

import (
	"testing"

	"github.com/spf13/cobra"
)

// Every verb's help shows how it is used.
func TestHelp(t *testing.T) {
	eachVerb(newRoot(), func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
	})
}

func eachVerb(c *cobra.Command, f func(*cobra.Command)) {
	if !c.HasSubCommands() {
		f(c)
	}
	for _, sub := range c.Commands() {
		eachVerb(sub, f)
	}
}
