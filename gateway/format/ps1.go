package format

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sassoftware/relic/v8/lib/authenticode"
)

// PS1 is a PowerShell script with an Authenticode signature at its end.
var PS1 = certified(Format{
	Name: "ps1", Summary: "a PowerShell script or module; Get-AuthenticodeSignature, osslsigncode", Stamped: true,
	Fits: func(name string, _ []byte) bool {
		return slices.Contains([]string{".ps1", ".psm1", ".psd1"}, filepath.Ext(name))
	},
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		text, style, err := readScript(in)
		if err != nil {
			return err
		}
		digest, err := authenticode.DigestPowershell(bytes.NewReader(text), style, hashFor(k.Public()))
		if err != nil {
			return broken("a script: %v", err)
		}
		patch, _, err := digest.Sign(ctx, k.certificate(), nil)
		if err != nil {
			return err
		}
		return writeChanged(out, bytes.NewReader(text), int64(len(text)), patch)
	},
	verify: func(t *Trust, in *os.File, _ io.Reader) error {
		text, style, err := readScript(in)
		if err != nil {
			return err
		}
		sig, err := authenticode.VerifyPowershell(bytes.NewReader(text), style, false)
		if err != nil {
			return checked(err)
		}
		if err := strongContent(sig.HashFunc); err != nil {
			return err
		}
		return t.signedBy(authenticodeSigning, &sig.TimestampedSignature)
	},
})

// readScript reads a script, and how its comments are written.
func readScript(in *os.File) ([]byte, authenticode.PsSigStyle, error) {
	style, ok := authenticode.GetSigStyle(strings.ToLower(in.Name()))
	if !ok {
		return nil, 0, broken("the name of a script ends in %s", strings.Join(authenticode.AllSigStyles(), ", "))
	}
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	switch {
	case err != nil:
		return nil, 0, err
	case len(text) > maxText:
		return nil, 0, broken("a script of more than %d bytes", maxText)
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return nil, 0, broken("a script in UTF-16 of the other byte order: write it in UTF-8 or UTF-16-LE")
	case !bytes.HasPrefix(text, []byte{0xff, 0xfe}) && !utf8.Valid(text):
		return nil, 0, broken("a script that is neither UTF-8 nor UTF-16")
	}
	plain := bytes.ReplaceAll(text, []byte{0}, nil) // UTF-16 without the half that these marks do not use
	if n := bytes.Count(plain, []byte(scriptBegin)); n > 0 {
		_, rest, _ := bytes.Cut(plain, []byte(scriptEnd))
		if n > 1 || len(bytes.Trim(rest, " \r\n->*/")) > 0 {
			return nil, 0, broken("a script with more than one signature, or with text behind it")
		}
	}
	return text, style, nil
}

const (
	scriptBegin = "SIG # Begin signature block"
	scriptEnd   = "SIG # End signature block"
)
