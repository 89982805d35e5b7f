package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestExamples runs the examples of this package on a gateway of their own, which the
// environment names as that of a user does.
func TestExamples(t *testing.T) {
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/release", TargetKeyId: id}, nil)
	for name, value := range map[string]string{"HSMGATE_URL": g.URL, "HSMGATE_TOKEN": g.Admin.Token, "HSMGATE_TOKEN_FILE": "", "HSMGATE_CERT_FILE": "", "HSMGATE_KEY_FILE": "", "HSMGATE_CA_FILE": "", "HSMGATE_REGION": ""} {
		t.Setenv(name, value)
	}
	for name, example := range map[string]struct {
		run  func()
		want string
	}{
		"FromEnv":   {ExampleFromEnv, "ECDSA_SHA_256 version 1\n"},
		"NewSigner": {ExampleNewSigner, "good: true\n"},
		"SignBatch": {ExampleClient_SignBatch, "app.deb is signed\napp.rpm is signed\n"},
	} {
		if got := output(t, example.run); got != example.want {
			t.Errorf("%s prints %q, want %q", name, got, example.want)
		}
	}
}

// output is what f prints.
func output(t *testing.T, f func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = file
	f()
	os.Stdout = old
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Sign a file of any size: only its digest travels.
func ExampleFromEnv() {
	c, err := client.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := c.SignFile(context.Background(), "alias/release", "", strings.NewReader("the file"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signed.SigningAlgorithm, "version", signed.KeyVersion)
}

// Give a key to whatever takes a crypto.Signer.
func ExampleNewSigner() {
	c, err := client.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	var s crypto.Signer
	if s, err = client.NewSigner(context.Background(), c, "alias/release"); err != nil {
		fmt.Println(err)
		return
	}
	digest := sha256.Sum256([]byte("the file"))
	signature, err := s.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("good:", ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), digest[:], signature))
}

// Sign many files in one request.
func ExampleClient_SignBatch() {
	c, err := client.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	in := &api.SignBatchRequest{KeyTarget: api.KeyTarget{KeyId: "alias/release"}, SigningAlgorithm: api.ECDSASHA256, MessageType: api.Digest}
	files := []string{"app.deb", "app.rpm"}
	for _, name := range files {
		digest := sha256.Sum256([]byte("the content of " + name))
		in.Items = append(in.Items, api.SignBatchItem{Message: digest[:], Artifact: &api.Artifact{Name: name}})
	}
	out, err := c.SignBatch(context.Background(), in)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, r := range out.Results {
		if r.Error != nil {
			fmt.Println(files[i], r.Error.Code, r.Error.Message)
			continue
		}
		fmt.Println(files[i], "is signed")
	}
}
