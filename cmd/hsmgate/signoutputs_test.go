package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// artifacts makes files in a folder that the test then is in.
func artifacts(t *testing.T, names ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("what is released"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDistinctOutputs(t *testing.T) {
	artifacts(t, "a", "b", "d/Release", "d/release", "e/Release", "InRelease", "notes")
	for link, to := range map[string]string{"link": "a", "same": "d"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link("a", "hard"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format *format.Format
		output string
		names  string
		want   string // "": it may be signed
	}{
		{format.OpenPGP, "", "a b none link hard", ""},
		{nil, "", "d/Release e/Release", ""},
		{format.Clearsign, "a", "a", ""},
		{format.Raw, "-", "a", ""},
		{format.OpenPGP, "", "a b a a", "a and a are the same file"},
		{format.OpenPGP, "", "a ./a", "a and ./a are the same file"},
		{nil, "", "d/Release same/Release", "d/Release and same/Release are the same file"},
		{format.Clearsign, "", "a link", "a and link are the same file"},
		{nil, "", "d/Release d/release", "of d/Release and d/release would both go to d/InRelease"},
		{format.OpenPGP, "a", "a", "a is what is to be signed"},
		{format.OpenPGP, "link", "a", "link is what is to be signed"},
		{format.OpenPGP, "hard", "a", "hard is what is to be signed"},
		{format.APT, "", "InRelease", "InRelease is what is to be signed"},
	} {
		err := distinctOutputs(c.format, c.output, strings.Fields(c.names))
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !errors.As(err, new(*usageError))) {
			t.Errorf("%s -o %q: %v, not %q", c.names, c.output, err, c.want)
		}
	}
}

// Each verb that makes something of a file refuses to put it in its place, and leaves it.
func TestOutputIsNotInput(t *testing.T) {
	artifacts(t, "app")
	for _, args := range [][]string{
		{"sign", "--key", "k", "-o", "app", "app"},
		{"sign", "--key", "k", "-o", "app.sig", "--receipt", "./app", "app"},
		{"sign", "--key", "k", "--format", "openpgp", "-o", "app", "app"},
		{"attest", "--key", "k", "--type", "https://example.org/tested", "--predicate", "body.json", "-o", "app", "app"},
		{"timestamp", "--timestamp-url", "http://127.0.0.1:1", "-o", "app", "app"},
	} {
		if err := os.WriteFile("body.json", []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd, said := program(t.Context(), t, args...)
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(said.String(), "app is what is to be signed") {
			t.Errorf("%q: %v: %s", args, err, said)
		}
		if text, err := os.ReadFile("app"); err != nil || string(text) != "what is released" {
			t.Errorf("%q: %q, %v", args, text, err)
		}
	}
}
