package formats

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

var pageCommand = regexp.MustCompile(`(?m)^    ((?:hsmgate|openssl) .*)$`)

// TestFormatsCertificatesPage runs the commands of docs/certificates.md in their order, with the authority's certificate
// for what is revoked, by the serial number as OpenSSL prints it.
func TestFormatsCertificatesPage(t *testing.T) {
	g := gatewaytest.New(t)
	for _, alias := range []string{"alias/ca", "alias/release"} {
		key := g.CreateKey(api.P256, api.SignVerify)
		g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: key.KeyId}, nil)
	}
	text, err := os.ReadFile("../../docs/certificates.md")
	if err != nil {
		t.Fatal(err)
	}
	r := newRecipe(t, g)
	r.write("app.tar.gz", "what is released\n")
	var script strings.Builder
	for _, found := range pageCommand.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(found[1], "certificate crl") {
			script.WriteString("openssl x509 -in release.crt -noout -serial >revoked.txt\n")
		}
		script.WriteString(found[1] + "\n")
	}
	out := r.bash(script.String()+"openssl crl -in ca.crl -noout -text\n", nil)
	serial := regexp.MustCompile(`release\.crt: CN=Release,.* serial number ([0-9a-f]+), until`).FindStringSubmatch(out)
	if serial == nil || !strings.Contains(strings.ToLower(out), "serial number: "+serial[1]) && !strings.Contains(strings.ToLower(out), "serial number: 0"+serial[1]) {
		t.Error(out)
	}
	if !strings.Contains(out, "CMS Verification successful") {
		t.Error(out)
	}
}
