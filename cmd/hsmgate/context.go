package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// contextFlag gathers the pairs of an encryption context: --context name=value.
type contextFlag struct{ pairs map[string]string }

// Set adds a pair.
func (f *contextFlag) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("a context is NAME=VALUE")
	}
	if _, there := f.pairs[name]; there {
		return errors.New(name + " has a value already")
	}
	if f.pairs == nil {
		f.pairs = make(map[string]string)
	}
	f.pairs[name] = value
	return nil
}

// String lists the pairs.
func (f *contextFlag) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f.pairs)) {
		all = append(all, name+"="+f.pairs[name])
	}
	return strings.Join(all, ",")
}

// Type is shown in the help.
func (f *contextFlag) Type() string { return "NAME=VALUE" }
