package main

import (
	"os"
	"path/filepath"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// distinctOutputs refuses, before anything is signed, two files whose signatures would go to the same one, of which the
// last would stay, and a signature in place of what it is of. A file that cannot be read is told of when it is its turn.
func distinctOutputs(chosen *format.Format, output string, names []string) error {
	from := map[string]string{} // the artifact of each output
	for _, name := range names {
		for f := formatFor(chosen, name); f != nil; f = f.Also {
			if output != "" && f.Also != nil {
				return usagef("%s makes several files, so -o cannot name one", f.Name)
			}
			to := output
			if to == "" {
				to = outputOf(f, name)
			}
			if to == "-" {
				continue
			}
			if f.Output != nil {
				if err := notItself(name, to); err != nil {
					return err
				}
			}
			switch other, taken := from[place(to)]; {
			case taken && place(other) == place(name):
				return usagef("%s and %s are the same file: name it once", shown(other), shown(name))
			case taken:
				return usagef("the signatures of %s and %s would both go to %s: sign one of them in another folder", shown(other), shown(name), shown(to))
			}
			from[place(to)] = name
		}
	}
	return nil
}

// formatFor is how a file is signed; nil where it cannot be read.
func formatFor(chosen *format.Format, name string) *format.Format {
	if chosen != nil {
		return chosen
	}
	in, err := openArtifact(name)
	if err != nil {
		return nil
	}
	defer in.Close()
	found, err := format.Of(in)
	if err != nil {
		return nil
	}
	return found
}

// place is where a path leads, however it is written. The file need not be there.
func place(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	} else if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return path
}

// notItself refuses to replace a file with what is made of it.
func notItself(input, output string) error {
	in, err1 := os.Stat(input)
	out, err2 := os.Stat(output)
	if err1 != nil || err2 != nil || !in.Mode().IsRegular() || !os.SameFile(in, out) {
		return nil //nolint:nilerr // one that is not there is not the other
	}
	return usagef("%s is what is to be signed, and would be replaced: name another file for the output", shown(output))
}
