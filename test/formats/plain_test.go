package formats

import (
	"os"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

var nistAndRSA = []api.KeySpec{api.RSA2048, api.RSA4096, api.P256, api.P384, api.P521}

func init() {
	rows = append(rows,
		row{name: "raw", tools: []string{"openssl"}, specs: []api.KeySpec{api.Ed25519, api.RSA2048, api.P256, api.P384, api.P521}, make: anyFile, args: []string{"--format", "raw", "more"}, check: opensslRaw,
			trust: func(b *bench) {
				trustPEM(b)
				b.write("more", "another file, since of a single one the answer is the signature itself")
			}},
		row{name: "openpgp", tools: []string{"gpg", "gpgv"}, specs: nistAndRSA, make: anyFile, trust: trustOpenPGP, args: []string{"--format", "openpgp"},
			check: func(b *bench, file string) error {
				if err := b.run("gpgv", "--keyring", b.path("release.gpg"), file+".asc", file); err != nil {
					return err
				}
				return b.run("gpg", "--batch", "--no-default-keyring", "--keyring", b.path("release.gpg"), "--trust-model", "always", "--verify", file+".asc", file)
			}},
		row{name: "clearsign", tools: []string{"gpgv"}, specs: nistAndRSA, trust: trustOpenPGP, args: []string{"--format", "clearsign"},
			make:  func(b *bench) string { return b.write("notes.txt", "one\n- two\n\nFrom three  \nfour") },
			check: func(b *bench, file string) error { return b.run("gpgv", "--keyring", b.path("release.gpg"), file) },
			damage: func(b *bench, file string) {
				text, err := os.ReadFile(file)
				b.ok(err)
				b.ok(os.WriteFile(file, []byte(strings.Replace(string(text), "one", "ons", 1)), 0o600))
			}},
		row{name: "ssh", tools: []string{"ssh-keygen"}, specs: append([]api.KeySpec{api.Ed25519}, nistAndRSA...), make: anyFile, args: []string{"--format", "ssh"},
			trust: func(b *bench) {
				b.write("allowed", b.hsmgate("key", "public-key", b.key, "--format", "ssh-allowed-signer", "--principal", "release@example.org"))
			},
			check: func(b *bench, file string) error {
				return b.run("sh", "-c", `ssh-keygen -Y verify -f allowed -I release@example.org -n file -s "$1.sshsig" <"$1"`, "sh", file)
			}},
		row{name: "minisign", tools: []string{"minisign"}, specs: []api.KeySpec{api.Ed25519}, make: anyFile, args: []string{"--format", "minisign"},
			trust: func(b *bench) { b.write("release.pub", b.hsmgate("key", "public-key", b.key, "--format", "minisign")) },
			check: func(b *bench, file string) error { return b.run("minisign", "-V", "-p", "release.pub", "-m", file) }},
	)
}

// opensslRaw verifies with the hash that goes with the key; Ed25519 has none.
func opensslRaw(b *bench, file string) error {
	if strings.HasSuffix(b.key, "edwards25519") {
		return b.run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", file, "-sigfile", file+".sig")
	}
	hash := "-sha256"
	switch {
	case strings.HasSuffix(b.key, "p384"):
		hash = "-sha384"
	case strings.HasSuffix(b.key, "p521"):
		hash = "-sha512"
	}
	return b.run("openssl", "dgst", hash, "-verify", "key.pem", "-signature", file+".sig", file)
}

// trustOpenPGP makes a keyring with the key's certificate.
func trustOpenPGP(b *bench) {
	b.write("release.asc", b.hsmgate("key", "public-key", b.key, "--format", "openpgp", "--user-id", "Release <release@example.org>"))
	b.ok(b.run("gpg", "--batch", "--dearmor", "-o", "release.gpg", "release.asc"))
}
