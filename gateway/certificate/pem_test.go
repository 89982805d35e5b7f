package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// selfSigned is a certificate of that name, in DER.
func selfSigned(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	der, err := SelfSigned(key, pkix.Name{CommonName: name}, Names{}, Terms{Profile: CA, From: from, Until: from.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestFromPEM(t *testing.T) {
	one, two := block(pemType, selfSigned(t, "one")), block(pemType, selfSigned(t, "two"))
	short := block(pemType, selfSigned(t, "short")[:100])
	cut := strings.Replace(two, "\nM", "\n*", 1)
	for name, x := range map[string]struct{ text, names, says string }{
		"a chain":                {one + two, "one two", ""},
		"the other way":          {two + one, "two one", ""},
		"words around":           {"Bag Attributes\n" + one + "and\n" + two + "end", "one two", ""},
		"carriage returns":       {strings.ReplaceAll(one+two, "\n", "\r\n"), "one two", ""},
		"a key beside":           {block("PRIVATE KEY", []byte("x")) + one, "one", ""},
		"nothing":                {"", "", "no certificate in PEM"},
		"words":                  {"hello", "", "no certificate in PEM"},
		"a public key":           {block("PUBLIC KEY", []byte("x")), "", "no certificate in PEM but: PUBLIC KEY"},
		"DER":                    {string(selfSigned(t, "der")), "", "openssl x509 -inform der"},
		"one that is cut":        {one + cut, "", "of the 2 certificates in it 1 can be read"},
		"one that is shortened":  {one + short, "", "certificate 2 of 2 in it: x509"},
		"the first is cut":       {cut + one, "", "of the 2 certificates in it 1 can be read"},
		"one without an end":     {one + two[:len(two)-20], "", "of the 2 certificates in it 1 can be read"},
		"one that is none":       {one + block(pemType, []byte("none")), "", "certificate 2 of 2 in it"},
		"a trusted certificate":  {block("TRUSTED CERTIFICATE", []byte("x")), "", "but: TRUSTED CERTIFICATE"},
		"longer than the most":   {strings.Repeat(" ", MaxPEM) + one, "", "more than 1048576 bytes"},
		"as long as may be":      {strings.Repeat(" ", MaxPEM-len(one)-1) + "\n" + one, "one", ""},
		"headers in a block":     {strings.Replace(one, "-----\n", "-----\nA: b\n\n", 1), "one", ""},
		"another type's ending":  {strings.Replace(one, "END CERTIFICATE", "END X509 CRL", 1), "", "of the 1 certificates in it 0"},
		"an armour without end ": {one + "-----BEGIN CERTIFICATE-----", "", "of the 2 certificates in it 1"},
	} {
		found, err := FromPEM([]byte(x.text))
		var names []string
		for _, c := range found {
			names = append(names, c.Subject.CommonName)
		}
		if got := strings.Join(names, " "); got != x.names {
			t.Errorf("%s: %q", name, got)
		}
		if err == nil != (x.says == "") || err != nil && !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v, not %q", name, err, x.says)
		}
	}
}

// FuzzFromPEM: it gives an error or certificates, as many as begin in the text.
func FuzzFromPEM(f *testing.F) {
	one := block(pemType, selfSigned(f, "one"))
	for _, text := range []string{"", one, one + one, one[:100], one + "-----BEGIN ", block("X", nil) + one} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := FromPEM(text)
		if (err == nil) == (len(found) == 0) {
			t.Fatalf("%d certificates and %v", len(found), err)
		}
		if err == nil && len(found) != bytes.Count(text, []byte("-----BEGIN CERTIFICATE-----")) {
			t.Fatalf("%d certificates of %q", len(found), text)
		}
	})
}
