package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// printCommands prints three commands to paste, with the values of this daemon,
// that sign a file which is surely there: the daemon's own program.
func (d *daemon) printCommands(w io.Writer, state string) error {
	file, err := os.Executable()
	if err != nil {
		return err
	}
	env := d.envFile()
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("")
	p("hsmgate serves %s; stop it with Ctrl-C", d.url)
	p("the token %q holds the private keys; metadata, audit log and settings are in %s", d.config.Token.Label, d.config.folder())
	d.printCredentials(w, state)
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

// envFile is where the first administrator's credentials are, or may be put.
func (d *daemon) envFile() string {
	return cmp.Or(d.config.FirstAdministrator.EnvFile, filepath.Join(d.config.folder(), "admin.env"))
}

// printCredentials says where the first administrator's credentials are, and
// what to do when they are good no more.
func (d *daemon) printCredentials(w io.Writer, state string) {
	env := d.envFile()
	_, missing := os.Stat(env)
	token, _ := envValue(env, "HSMGATE_TOKEN")
	who, err := d.identities.Bearer(token, time.Now())
	switch {
	case missing == nil && err == nil && who.Role == policy.RoleAdministrator:
		fmt.Fprintf(w, "credentials, mode 0600: %s\n", env)
		return
	case missing != nil:
		fmt.Fprintf(w, "credentials: %s is not there (was it put away?); where it is lost, make it anew first:\n", env)
	case errors.Is(err, identity.ErrExpired):
		fmt.Fprintf(w, "warning: the credentials in %s have expired; make them anew first:\n", env)
	default:
		fmt.Fprintf(w, "warning: the credentials in %s are good no more: token or principal were removed; make them anew first:\n", env)
	}
	daemon, err := os.Executable()
	if err != nil {
		daemon = "hsmgated"
	}
	name := ""
	for _, p := range d.store.Principals() {
		if policy.Role(p.Role) == policy.RoleAdministrator && (name == "" || p.Name == d.config.FirstAdministrator.Name) {
			name = p.Name
		}
	}
	fmt.Fprintln(w)
	if name == "" {
		name = d.freeName()
		fmt.Fprintf(w, "  %s principal create --state %s --role administrator %s\n", quote(daemon), quote(state), quote(name))
	}
	fmt.Fprintf(w, "  rm -f %s\n", quote(env))
	fmt.Fprintf(w, "  %s credential issue --state %s --principal %s --kind both --ttl 8760h --url %s -o %s\n", quote(daemon), quote(state), quote(name), d.url, quote(env))
}

// freeName is a name for an administrator.
func (d *daemon) freeName() string {
	first := cmp.Or(d.config.FirstAdministrator.Name, "admin")
	name := first
	for n := 2; ; n++ {
		if _, taken := d.store.Principal(d.identities.PrincipalARN(name)); !taken {
			return name
		}
		name = fmt.Sprintf("%s%d", first, n)
	}
}

// exampleKey names a P-256 key that can sign now, the first one if it is there.
func (d *daemon) exampleKey() string {
	usable := func(id string) bool {
		k, ok := d.store.Key(d.config.Region, id)
		return ok && k.State == string(api.Enabled) && k.Spec == string(api.P256)
	}
	if a, ok := d.store.Alias(d.config.Region, firstAlias); ok && usable(a.KeyID) {
		return firstAlias
	}
	keys, _ := d.store.Keys(d.config.Region, "", 1000)
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
