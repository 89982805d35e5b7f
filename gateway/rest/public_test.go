package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/publickey"
)

const releaseID = "Release <Release@example.org>"

// certificate has a key sign its OpenPGP certificate.
func certificate(t *testing.T, g *gatewaytest.Gateway, key, userID string) []byte {
	t.Helper()
	signer, err := client.NewSigner(t.Context(), client.New(g.URL, g.Admin.Token), key)
	if err != nil {
		t.Fatal(err)
	}
	var versions api.ListPublicKeysResponse
	g.Call("GET", "/v1/keys/"+key+"/public-keys", nil, &versions)
	var out bytes.Buffer
	for _, v := range versions.Keys {
		if v.State == api.CurrentVersion {
			err = format.OpenPGPCertificate(&format.Key{Signer: signer, Created: v.NotBefore.Time, UserID: userID}, &out)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func publish(g *gatewaytest.Gateway, key string, in api.PublishKeyRequest) (out api.Publication) {
	g.Call("PUT", "/v1/keys/"+key+"/publication", in, &out)
	return out
}

// notThere is the answer to all that is not published.
func notThere(t *testing.T, a gatewaytest.Answer) {
	t.Helper()
	if a.Status != http.StatusNotFound || string(a.Body) != "not found\n" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
}

// TestPublishedKey: strangers read what is published, in each form, and nothing else; caches may keep it.
func TestPublishedKey(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify)
	ed := g.CreateKey(api.Ed25519, api.SignVerify)
	get := func(path string, header ...string) gatewaytest.Answer { return g.Send("", "GET", path, nil, header...) }
	notThere(t, get("/public/keys/release"))
	publish(g, key.KeyId, api.PublishKeyRequest{Name: "release", Principal: "release@example.org", OpenPGP: certificate(t, g, key.KeyId, releaseID)})
	publish(g, ed.KeyId, api.PublishKeyRequest{Name: "ed"})

	for path, mediaType := range map[string]string{
		"release": "application/json", "release.jwks": "application/jwk-set+json", "release.pem": "application/x-pem-file", "release.asc": "application/pgp-keys",
		"release.ssh": "text/plain; charset=utf-8", "ed": "application/json", "ed.minisig.pub": "text/plain; charset=utf-8",
	} {
		path = "/public/keys/" + path
		a := get(path)
		tag := a.Header.Get("ETag")
		if a.Status != 200 || a.Header.Get("Content-Type") != mediaType || a.Header.Get("Cache-Control") != "public, max-age=300" ||
			a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(tag, `"`) || len(a.Body) == 0 {
			t.Errorf("%s: %d %v %s", path, a.Status, a.Header, a.Body)
		}
		for _, inside := range []string{key.KeyId, ed.KeyId, gatewaytest.Account, "arn:"} {
			if bytes.Contains(a.Body, []byte(inside)) {
				t.Errorf("%s tells %s: %s", path, inside, a.Body)
			}
		}
		if b := get(path, "If-None-Match", `"other", `+tag); b.Status != http.StatusNotModified || len(b.Body) > 0 || b.Header.Get("ETag") != tag || b.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s again: %d %v %s", path, b.Status, b.Header, b.Body)
		}
		if b := get(path, "If-None-Match", `"other"`); b.Status != 200 || !bytes.Equal(b.Body, a.Body) {
			t.Errorf("%s with another tag: %d %s", path, b.Status, b.Body)
		}
		if b := g.Send("", "HEAD", path, nil); b.Status != 200 || len(b.Body) > 0 || b.Header.Get("ETag") != tag || b.Header.Get("Content-Type") != mediaType {
			t.Errorf("HEAD %s: %d %v", path, b.Status, b.Header)
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			if b := g.Send("", method, path, nil); b.Status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", method, path, b.Status, b.Body)
			}
		}
	}
	for _, path := range []string{"/public/keys/none", "/public/keys/" + key.KeyId, "/public/keys/release.der", "/public/keys/release.", "/public/keys/release.minisig.pub", "/public/keys/ed.asc",
		"/public/keys/ed.ssh", "/public/keys/", "/public/keys", "/public/", "/public/keys/release/x", "/public/keys/..%2Frelease", "/public/keys/%00", "/public/keys/" + strings.Repeat("x", 5000)} {
		notThere(t, get(path))
	}
	g.Call("DELETE", "/v1/keys/"+key.KeyId+"/publication", nil, nil)
	notThere(t, get("/public/keys/release"))
	notThere(t, get("/public/keys/release.asc"))
	if a := get("/public/keys/ed"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestPublishedOnReplicas: what one process publishes and takes back, others do, once they have heard of it.
func TestPublishedOnReplicas(t *testing.T) {
	t.Parallel()
	one := gatewaytest.New(t)
	two := gatewaytest.NewWith(t, gatewaytest.Options{Name: "two", Beside: one})
	key := one.CreateKey(api.P256, api.SignVerify).KeyId
	follow := func() {
		if err := two.Store.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	publish(one, key, api.PublishKeyRequest{Name: "release"})
	follow()
	a, b := one.Send("", "GET", "/public/keys/release.jwks", nil), two.Send("", "GET", "/public/keys/release.jwks", nil)
	if b.Status != 200 || !bytes.Equal(a.Body, b.Body) || a.Header.Get("ETag") != b.Header.Get("ETag") {
		t.Errorf("%d %s and %d %s", a.Status, a.Body, b.Status, b.Body)
	}
	publish(one, key, api.PublishKeyRequest{Name: "another"})
	follow()
	notThere(t, two.Send("", "GET", "/public/keys/release.jwks", nil))
	if b := two.Send("", "GET", "/public/keys/another.jwks", nil); b.Status != 200 {
		t.Errorf("%d %s", b.Status, b.Body)
	}
	one.Call("DELETE", "/v1/keys/"+key+"/publication", nil, nil)
	follow()
	notThere(t, two.Send("", "GET", "/public/keys/another.jwks", nil))
}

// TestPublishedRotation: a rotation shows by itself, but for the OpenPGP certificate, which the new version has to sign.
func TestPublishedRotation(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	in := api.PublishKeyRequest{Name: "release", Principal: "release@example.org", OpenPGP: certificate(t, g, key, releaseID)}
	publish(g, key, in)
	get := func(ending string) gatewaytest.Answer { return g.Send("", "GET", "/public/keys/release"+ending, nil) }
	before := get(".jwks").Header.Get("ETag")
	first := get(".pem").Body
	certified := func() (versions []string) {
		var out struct {
			Versions []struct {
				Version int
				OpenPGP *bool
			}
		}
		if err := json.Unmarshal(get("").Body, &out); err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Versions {
			if v.OpenPGP == nil {
				t.Fatal("a version does not say whether it has a certificate")
			}
			versions = append(versions, fmt.Sprint(v.Version, *v.OpenPGP))
		}
		return versions
	}
	var rotated api.RotateKeyOnDemandResponse
	g.Call("POST", "/v1/keys/"+key+"/rotate", nil, &rotated)
	if p := rotated.Published; p == nil || p.Name != "release" || p.UserId != releaseID || p.Principal != in.Principal || !slices.Equal(p.OpenPGPVersions, []int{1}) {
		t.Errorf("who rotates is told of %+v", p)
	}
	if bytes.Equal(get(".pem").Body, first) == false || get(".jwks").Header.Get("ETag") == before {
		t.Error("the announced version is in the wrong place")
	}
	g.Advance(25 * time.Hour)
	var set struct {
		Keys []struct{ Kid, State string }
	}
	if err := json.Unmarshal(get(".jwks").Body, &set); err != nil || len(set.Keys) != 2 || set.Keys[0].State != "RETIRED" || set.Keys[1].State != "CURRENT" {
		t.Errorf("%+v %v", set, err)
	}
	if bytes.Equal(get(".pem").Body, first) || bytes.Count(get(".ssh").Body, []byte("\n")) != 2 {
		t.Errorf("%s %s", get(".pem").Body, get(".ssh").Body)
	}
	certificates := func() int {
		keys, err := publickey.ReadOpenPGP(get(".asc").Body)
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	if of := certified(); !slices.Equal(of, []string{"1 true", "2 false"}) {
		t.Errorf("%v", of)
	}
	if n := certificates(); n != 1 {
		t.Errorf("%d certificates before the new version has signed one", n)
	}
	in.OpenPGP = certificate(t, g, key, releaseID)
	if out := publish(g, key, in); len(out.OpenPGPVersions) != 2 || out.CurrentVersion != 2 || certificates() != 2 {
		t.Errorf("%+v", out)
	}
	if of := certified(); !slices.Equal(of, []string{"1 true", "2 true"}) {
		t.Errorf("%v", of)
	}
	var status api.GetKeyRotationStatusResponse
	g.Call("GET", "/v1/keys/"+key+"/rotation", nil, &status)
	if p := status.Published; p == nil || p.CurrentVersion != 2 || !slices.Equal(p.OpenPGPVersions, []int{1, 2}) {
		t.Errorf("the status of rotations tells of %+v", p)
	}
	in.OpenPGP = certificate(t, g, key, "Other <other@example.org>")
	if out := publish(g, key, in); len(out.OpenPGPVersions) != 1 || certificates() != 1 {
		t.Errorf("%+v", out)
	}
	in.OpenPGP = nil
	publish(g, key, in)
	var plain api.GetKeyRotationStatusResponse
	g.Call("GET", "/v1/keys/"+key+"/rotation", nil, &plain)
	if plain.Published != nil || bytes.Contains(get("").Body, []byte("OpenPGP")) {
		t.Errorf("a key without certificates: %+v, %s", plain.Published, get("").Body)
	}
}

// TestPublishRefuses what is not this key's, or would say more than it.
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, other := g.CreateKey(api.P256, api.SignVerify).KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	mac := g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId
	box := g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	user := g.Principal("user", "user", key)
	publish(g, other, api.PublishKeyRequest{Name: "other"})
	good := certificate(t, g, key, releaseID)
	binary, err := publickey.OpenPGPBinary(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key  string
		in   api.PublishKeyRequest
		code api.Code
		text string
	}{
		"no name":                   {key, api.PublishKeyRequest{}, api.Validation, "'name'"},
		"a name with a dot":         {key, api.PublishKeyRequest{Name: "a.jwks"}, api.Validation, "'name'"},
		"upper case":                {key, api.PublishKeyRequest{Name: "Release"}, api.Validation, "'name'"},
		"a name that is taken":      {key, api.PublishKeyRequest{Name: "other"}, api.AlreadyExists, "Another key is published as other"},
		"a pattern as principal":    {key, api.PublishKeyRequest{Name: "a", Principal: "*"}, api.Validation, "'principal'"},
		"two lines as principal":    {key, api.PublishKeyRequest{Name: "a", Principal: "a\nb"}, api.Validation, "'principal'"},
		"a secret key":              {mac, api.PublishKeyRequest{Name: "a"}, api.UnsupportedOperation, "no public key"},
		"who signs, of no signer":   {box, api.PublishKeyRequest{Name: "a", Principal: "a"}, api.InvalidKeyUsage, ""},
		"another key's certificate": {key, api.PublishKeyRequest{Name: "a", OpenPGP: certificate(t, g, other, releaseID)}, api.Validation, "which is no version of this key"},
		"two certificates":          {key, api.PublishKeyRequest{Name: "a", OpenPGP: append(bytes.Clone(binary), binary...)}, api.Validation, "holds"},
		"no certificate":            {key, api.PublishKeyRequest{Name: "a", OpenPGP: []byte("text")}, api.Validation, "it is no OpenPGP certificate"},
		"half a certificate":        {key, api.PublishKeyRequest{Name: "a", OpenPGP: binary[:len(binary)/2]}, api.Validation, "not a certificate that can be published"},
		"a long one":                {key, api.PublishKeyRequest{Name: "a", OpenPGP: bytes.Repeat([]byte{0x98}, 8193)}, api.Validation, "'openPGP'"},
	} {
		a := g.Send(g.Admin.Token, "PUT", "/v1/keys/"+c.key+"/publication", c.in)
		if a.Code() != string(c.code) || !strings.Contains(detail(t, a), c.text) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, call := range []func() gatewaytest.Answer{
		func() gatewaytest.Answer {
			return g.Send(user.Token, "PUT", "/v1/keys/"+key+"/publication", api.PublishKeyRequest{Name: "a"})
		},
		func() gatewaytest.Answer { return g.Send(user.Token, "DELETE", "/v1/keys/"+key+"/publication", nil) },
		func() gatewaytest.Answer { return g.Send(user.Token, "GET", "/v1/publications", nil) },
	} {
		if a := call(); a.Code() != string(api.AccessDenied) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	notThere(t, g.Send("", "GET", "/public/keys/a", nil))
	var list api.ListPublicationsResponse
	g.Call("GET", "/v1/publications", nil, &list)
	if len(list.Publications) != 1 || list.Publications[0].Name != "other" {
		t.Errorf("%+v", list)
	}
}

// TestPublicationIsRecorded with what was published.
func TestPublicationIsRecorded(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify)
	publish(g, key.KeyId, api.PublishKeyRequest{Name: "release"})
	g.Call("DELETE", "/v1/keys/"+key.KeyId+"/publication", nil, nil)
	records := outcomes(g)
	made, ended := records[len(records)-2], records[len(records)-1]
	if made.Operation != "PublishKey" || made.KeyARN != key.Arn || !strings.HasPrefix(made.Digest, "sha256:") || made.Outcome != "allowed" {
		t.Errorf("%+v", made)
	}
	if ended.Operation != "UnpublishKey" || ended.Digest != "" || ended.Outcome != "allowed" {
		t.Errorf("%+v", ended)
	}
	g.Send("", "GET", "/public/keys/release", nil)
	if n := len(outcomes(g)); n != len(records) {
		t.Errorf("a stranger has left %d records", n-len(records))
	}
}

// TestKeyDirectory is the layout of the Web Key Directory, with the example of its draft, section 3.1.
func TestKeyDirectory(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	const hu = "/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q?l=Joe.Doe"
	publish(g, key, api.PublishKeyRequest{Name: "joe", OpenPGP: certificate(t, g, key, "Joe <Joe.Doe@example.org>")})
	get := func(host, path string) gatewaytest.Answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		return g.Do(http.DefaultClient, r)
	}
	for host, path := range map[string]string{"example.org:8443": "/.well-known/openpgpkey" + hu, "openpgpkey.example.org": "/.well-known/openpgpkey/example.org" + hu} {
		a := get(host, path)
		keys, err := publickey.ReadOpenPGP(a.Body)
		if a.Status != 200 || a.Header.Get("Content-Type") != "application/octet-stream" || err != nil || a.Body[0]&0x80 == 0 || keys[0].UserIDs[0] != "Joe <Joe.Doe@example.org>" {
			t.Errorf("%s%s: %d %v %v", host, path, a.Status, a.Header, err)
		}
		if b := get(host, strings.Replace(path, hu, "/policy", 1)); b.Status != 200 || len(b.Body) != 0 {
			t.Errorf("%s: policy: %d %s", host, b.Status, b.Body)
		}
	}
	for host, path := range map[string]string{"example.com": "/.well-known/openpgpkey" + hu, "example.org": "/.well-known/openpgpkey/example.com" + hu, "a.example.org": "/.well-known/openpgpkey/policy",
		"EXAMPLE.org": "/.well-known/openpgpkey/hu/x", "b": "/.well-known/openpgpkey/x/y/z"} {
		notThere(t, get(host, path))
	}
	g.Call("DELETE", "/v1/keys/"+key+"/publication", nil, nil)
	notThere(t, get("example.org", "/.well-known/openpgpkey"+hu))
	notThere(t, get("example.org", "/.well-known/openpgpkey/policy"))
}
