package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// unfinished is in the names of files until they are whole: .NAME.hsmgate-123.
const unfinished = ".hsmgate-"

var leftOver = regexp.MustCompile(`^\..+` + regexp.QuoteMeta(unfinished) + `[0-9]+$`)

// byProduct says why a file among several is none to sign: it is a signature of one that is there, or is what a kill left.
func byProduct(name string) string {
	switch {
	case leftOver.MatchString(filepath.Base(name)):
		return "a file that was not finished"
	case isSignature(name):
		return "a signature of another file"
	}
	return ""
}

// isSignature says that a file has the name of a signature beside a file that is there.
func isSignature(name string) bool {
	for _, f := range format.All {
		for g := f; g != nil; g = g.Also {
			if g.Output == nil || !matches(g, name) {
				continue
			}
			signed := whatIsSigned(g, name)
			info, err := os.Stat(signed)
			if err == nil && info.Mode().IsRegular() && (f.Fits == nil || f.Fits(strings.ToLower(filepath.Base(signed)), nil)) {
				return true
			}
		}
	}
	return false
}

// whatIsSigned is the file that a signature with this name is of.
func whatIsSigned(f *format.Format, signature string) string {
	const artifact = "artifact"
	if ending, beside := strings.CutPrefix(f.Output(artifact), artifact); beside {
		return strings.TrimSuffix(signature, ending)
	}
	return filepath.Join(filepath.Dir(signature), "Release") // of which InRelease is
}
