package formats

func init() {
	verify := []string{"cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", "-CAfile", "release.pem", "-out", "out"}
	rows = append(rows, row{name: "cms", tools: []string{"openssl"}, specs: nistAndRSA, make: anyFile, args: []string{"--format", "cms", "--certificate", "release.pem"},
		trust: selfSigned,
		check: func(b *bench, file string) error {
			return b.run("openssl", append(verify, "-in", file+".p7s", "-content", file)...)
		}})
}

// selfSigned makes a certificate of the key.
func selfSigned(b *bench) {
	b.hsmgate("certificate", "self-signed", "--key", b.key, "--subject", "CN=Release", "--profile", "code-signing", "-o", "release.pem")
}
