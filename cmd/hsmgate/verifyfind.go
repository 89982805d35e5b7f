package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// foundSignature is a signature of a file: in the file itself, or in one beside it.
type foundSignature struct {
	format *format.Format
	file   string
}

// plainRaw says that it is a raw signature in a file that is named, of what need not be a regular file.
func (v *verifier) plainRaw() bool {
	return v.signature != "" && v.format == format.Raw
}

// signaturesOf finds the signatures of a file.
func (v *verifier) signaturesOf(in *os.File) ([]foundSignature, error) {
	chosen := v.format
	if v.signature != "" {
		return namedSignature(chosen, v.signature)
	}
	if chosen == nil {
		found, err := format.Of(in)
		if err != nil {
			return nil, err
		}
		if found == format.Raw {
			return besides(in)
		}
		chosen = found
	}
	found := present(chosen, in.Name())
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: it should be in %s", format.ErrNotSigned, shown(chosen.Output(in.Name())))
	}
	return found, nil
}

// namedSignature is the one in a file that is named.
func namedSignature(f *format.Format, file string) ([]foundSignature, error) {
	for g := f; g != nil; g = g.Also {
		if g.Output != nil && matches(g, file) {
			return []foundSignature{{g, file}}, nil
		}
	}
	if f.Output == nil {
		return nil, usagef("%s has the signature in the file itself: leave out --signature", f.Name)
	}
	return []foundSignature{{f, file}}, nil
}

// present are the signatures of a format that are there. One inside the file is for its format to find.
func present(f *format.Format, artifact string) []foundSignature {
	var found []foundSignature
	for ; f != nil; f = f.Also {
		if f.Output == nil {
			found = append(found, foundSignature{f, artifact})
		} else if _, err := os.Stat(f.Output(artifact)); err == nil {
			found = append(found, foundSignature{f, f.Output(artifact)})
		}
	}
	return found
}

var clearsigned = []byte("-----BEGIN PGP SIGNED MESSAGE-----")

// besides finds the signature of a file of no kind: it is a clearsigned text, or there is one signature beside it.
func besides(in *os.File) ([]foundSignature, error) {
	head := make([]byte, len(clearsigned))
	if _, err := in.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.Equal(head, clearsigned) {
		return []foundSignature{{format.Clearsign, in.Name()}}, nil
	}
	var found []foundSignature
	var looked, names []string
	for _, f := range format.All {
		if f.Output == nil || f.Fits != nil { // a kind that this file is not of
			continue
		}
		looked = append(looked, shown(filepath.Base(f.Output(in.Name()))))
		for _, s := range present(f, in.Name()) {
			found = append(found, s)
			names = append(names, shown(s.file)+" ("+f.Name+")")
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%w in it or beside it: looked for %s; --signature names another file", format.ErrNotSigned, strings.Join(slices.Compact(looked), ", "))
	case len(found) > 1:
		return nil, usagef("%s has several signatures beside it, %s: choose with --format or --signature", shown(in.Name()), strings.Join(names, ", "))
	}
	return found, nil
}

// formatOfSignature goes by the name of a signature's file and, where that says nothing, by what is in it; raw where that
// says nothing, either.
func formatOfSignature(file string, text []byte) *format.Format {
	for _, f := range format.All {
		for g := f; g != nil; g = g.Also {
			if g.Output != nil && matches(g, file) {
				return f
			}
		}
	}
	for _, known := range contents {
		if bytes.HasPrefix(text, []byte(known.begins)) && (known.begins != "{" || json.Valid(text)) && bytes.Contains(text, known.holds) {
			return known.format
		}
	}
	return format.Raw
}

// contents tell signatures from raw ones.
var contents = []struct {
	begins string
	holds  []byte
	format *format.Format
}{
	{"-----BEGIN PGP SIGNATURE-----", nil, format.OpenPGP},
	{"-----BEGIN SSH SIGNATURE-----", nil, format.SSH},
	{"untrusted comment:", nil, format.Minisign},
	{"{", []byte(`"payloadType"`), format.InToto},
	{"{", []byte(`"mediaType"`), format.Cosign},
	{"eyJ", []byte(".."), format.JWS},
	{"0", []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), format.CMS}, // a SEQUENCE with the OID id-signedData
}

// matches says whether a file has the name of a format's signatures, of whatever artifact.
func matches(f *format.Format, file string) bool {
	const artifact = "artifact"
	base := filepath.Base(file)
	if ending, beside := strings.CutPrefix(f.Output(artifact), artifact); beside {
		return ending != "" && strings.HasSuffix(base, ending)
	}
	return base == f.Output(artifact)
}
