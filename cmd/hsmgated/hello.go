package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// printCommands prints three commands to paste, with the values of this daemon,
// that sign a file which is surely there: the daemon's own program.
func (d *daemon) printCommands(w io.Writer) error {
	file, err := os.Executable()
	if err != nil {
		return err
	}
	env := d.config.FirstAdministrator.EnvFile
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("")
	p("hsmgate serves %s; stop it with Ctrl-C", d.url)
	p("the token %q holds the private keys; metadata, audit log and settings are in %s", d.config.Token.Label, filepath.Dir(d.config.Store))
	p("credentials, mode 0600: %s", env)
	ref := d.exampleKey()
	if ref == "" {
		p("there is no enabled key that signs; make one: hsmgate key create --spec ECC_NIST_P256 --alias alias/release")
		return nil
	}
	hsmgate := filepath.Join(filepath.Dir(file), "hsmgate")
	if _, err := os.Stat(hsmgate); err != nil {
		hsmgate = "hsmgate"
	}
	p("")
	p("paste into another terminal, for three signatures of %s by %s:", file, ref)
	p("")
	p("  . %s", quote(env))
	p("")
	p("  %s sign --key %s --output-file release.sig %s", quote(hsmgate), ref, quote(file))
	p("")
	// Through a pipe, so that the token is not in curl's arguments, which everybody may read.
	p("  printf 'Authorization: Bearer %%s' \"$HSMGATE_TOKEN\" | curl -fsS -T %s -H @- -H 'Accept: application/octet-stream' \\\n    -o release.sig '%s/v1/keys/%s/sign'",
		quote(file), d.url, url.PathEscape(ref))
	p("")
	p("  openssl dgst -sha256 -binary %s >release.sha256 && aws kms sign --endpoint-url %s \\\n    --key-id %s --signing-algorithm ECDSA_SHA_256 --message-type DIGEST --message fileb://release.sha256",
		quote(file), d.url, ref)
	p("")
	return nil
}

// exampleKey names a P-256 key that can sign now, the first one if it is there.
func (d *daemon) exampleKey() string {
	usable := func(id string) bool {
		k, ok := d.store.Key(id)
		return ok && k.State == string(api.Enabled) && k.Spec == string(api.P256)
	}
	if a, ok := d.store.Alias(firstAlias); ok && usable(a.KeyID) {
		return firstAlias
	}
	keys, _ := d.store.Keys("", 1000)
	for _, k := range keys {
		if usable(k.ID) {
			return k.ID
		}
	}
	return ""
}

// quote makes a path one word of a shell.
func quote(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
