package format

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// Minisign is minisign's signature, of the BLAKE2b-512 of the file ("ED"), with a trusted comment.
var Minisign = &Format{
	Name: "minisign", Summary: "any file: a minisign signature; minisign -V", Keys: "Ed25519", Output: ending(".minisig"), suits: isEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		sum, err := blake2(in)
		if err != nil {
			return err
		}
		signature, err := k.Sign(nil, sum, crypto.Hash(0))
		if err != nil {
			return err
		}
		comment := k.Comment
		if comment == "" {
			comment = fmt.Sprintf("timestamp:%d\tfile:%s\thashed", k.now().Unix(), filepath.Base(in.Name()))
		}
		if strings.ContainsAny(comment, "\r\n") {
			return fmt.Errorf("%w: a trusted comment is one line", ErrKey)
		}
		global, err := k.Sign(nil, append(bytes.Clone(signature), comment...), crypto.Hash(0))
		if err != nil {
			return err
		}
		id := publickey.MinisignID(k.Public())
		_, err = fmt.Fprintf(out, "untrusted comment: signature from hsmgate key %s\n%s\ntrusted comment: %s\n%s\n", publickey.MinisignName(id),
			base64.StdEncoding.EncodeToString(append(append([]byte("ED"), id...), signature...)), comment, base64.StdEncoding.EncodeToString(global))
		return err
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(from, maxSignature))
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
		if len(lines) != 4 {
			return ErrNotSigned
		}
		box, err1 := base64.StdEncoding.DecodeString(strings.TrimSpace(lines[1]))
		global, err2 := base64.StdEncoding.DecodeString(strings.TrimSpace(lines[3]))
		comment, ok := strings.CutPrefix(strings.TrimRight(lines[2], "\r"), "trusted comment: ")
		if err1 != nil || err2 != nil || !ok || len(box) != 74 || string(box[:2]) != "ED" {
			return ErrNotSigned
		}
		sum, err := blake2(in)
		if err != nil {
			return err
		}
		return t.byAny(func(key crypto.PublicKey) error {
			k, ok := key.(ed25519.PublicKey)
			if !ok || !ed25519.Verify(k, sum, box[10:]) {
				return notGood("it names the minisign key %s as its signer, and was not made by a trusted key over this file", publickey.MinisignName(box[2:10]))
			}
			if !ed25519.Verify(k, append(bytes.Clone(box[10:]), comment...), global) {
				return notGood("its trusted comment was changed")
			}
			return nil
		})
	},
}

func blake2(r io.Reader) ([]byte, error) {
	h, err := blake2b.New512(nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(h, r)
	return h.Sum(nil), err
}
