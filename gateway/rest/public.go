package rest

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// publicRoutes are for strangers: keys that an administrator has published, and nothing else. Whatever is not published is
// not found, whether there is such a key or not.
func (f *face) publicRoutes(e *echo.Echo) {
	for path, serve := range map[string]echo.HandlerFunc{
		"/public/*":                                f.unpublished,
		"/public/keys/:file":                       f.publicKey,
		"/.well-known/openpgpkey/*":                f.unpublished,
		"/.well-known/openpgpkey/policy":           f.directoryPolicy,
		"/.well-known/openpgpkey/hu/:hash":         f.directory,
		"/.well-known/openpgpkey/:domain/policy":   f.directoryPolicy,
		"/.well-known/openpgpkey/:domain/hu/:hash": f.directory,
	} {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, serve)
	}
}

// publicForms make a key in the form of each ending. Nil is that the key has no such form.
var publicForms = map[string]struct {
	mediaType string
	write     func(*gateway.Published) ([]byte, error)
}{
	"":            {"application/json", publicJSON},
	"jwks":        {jwksForm, publicJWKS},
	"pem":         {pemForm, publicPEM},
	"asc":         {"application/pgp-keys", publicOpenPGP},
	"ssh":         {"text/plain; charset=utf-8", publicSSH},
	"minisig.pub": {"text/plain; charset=utf-8", publicMinisign},
}

func (f *face) publicKey(ec echo.Context) error {
	name, ending, dot := strings.Cut(ec.Param("file"), ".")
	form, known := publicForms[ending]
	key, published := f.Service.Published(name)
	if !known || !published || dot && ending == "" {
		return f.unpublished(ec)
	}
	body, err := form.write(key)
	if err != nil || body == nil { // a kind of key that has no such form
		return f.unpublished(ec)
	}
	return f.public(ec, form.mediaType, body)
}

// unpublished is the answer to all that is not there.
func (f *face) unpublished(ec echo.Context) error {
	ec.Response().Header().Set(echo.HeaderXContentTypeOptions, "nosniff")
	return ec.String(http.StatusNotFound, "not found\n")
}

// public answers with what may be kept for a while by whoever is on the way. The tag is of the content alone, so that all
// replicas have the same one.
func (f *face) public(ec echo.Context, mediaType string, body []byte) error {
	sum := sha256.Sum256(body)
	h := ec.Response().Header()
	h.Set(echo.HeaderContentType, mediaType)
	h.Set(echo.HeaderXContentTypeOptions, "nosniff")
	h.Set(echo.HeaderCacheControl, fmt.Sprintf("public, max-age=%d", int(f.PublicMaxAge.Seconds())))
	h.Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	http.ServeContent(ec.Response(), ec.Request(), "", time.Time{}, bytes.NewReader(body))
	return nil
}

// publicVersion is one version of a published key.
type publicVersion struct {
	Version   int
	State     api.VersionState
	NotBefore *api.Time
	NotAfter  *api.Time `json:",omitempty"`
	Sha256    string    // of PublicKey, in hex; the kid of the JWKS
	PublicKey []byte    // DER of SubjectPublicKeyInfo
	OpenPGP   *bool     `json:",omitempty"` // whether NAME.asc has a certificate of it; not of a key that has none
}

func publicJSON(p *gateway.Published) ([]byte, error) {
	out := struct {
		Name     string
		KeySpec  api.KeySpec
		KeyUsage api.KeyUsage
		Versions []publicVersion
	}{p.Name, p.Keys.KeySpec, p.Keys.KeyUsage, []publicVersion{}}
	for _, v := range p.Keys.Keys {
		shown := publicVersion{v.KeyVersion, v.State, v.NotBefore, v.NotAfter, v.Kid, v.PublicKey, nil}
		if p.UserID != "" {
			certified := slices.Contains(p.Certified, v.KeyVersion)
			shown.OpenPGP = &certified
		}
		out.Versions = append(out.Versions, shown)
	}
	return jsonLine(out)
}

func publicJWKS(p *gateway.Published) ([]byte, error) {
	set, err := gateway.NewWebKeySet(p.Keys)
	if err != nil {
		return nil, err
	}
	return jsonLine(set)
}

func jsonLine(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(text, '\n'), err
}

// current is the public key of the version that is used; nil when there is none.
func current(p *gateway.Published) []byte {
	for _, v := range p.Keys.Keys {
		if v.State == api.CurrentVersion {
			return v.PublicKey
		}
	}
	return nil
}

func publicPEM(p *gateway.Published) ([]byte, error) {
	der := current(p)
	if der == nil {
		return nil, nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func publicOpenPGP(p *gateway.Published) ([]byte, error) {
	if len(p.Certificates) == 0 {
		return nil, nil
	}
	return publickey.ArmorOpenPGP(p.Certificates...)
}

// publicSSH has a line for each version, so that old signatures stay good.
func publicSSH(p *gateway.Published) ([]byte, error) {
	if p.Principal == "" {
		return nil, nil
	}
	var lines []byte
	for _, v := range p.Keys.Keys {
		key, err := x509.ParsePKIXPublicKey(v.PublicKey)
		if err != nil {
			return nil, err
		}
		line, err := publickey.AllowedSigner(key, p.Principal)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line...)
	}
	return lines, nil
}

func publicMinisign(p *gateway.Published) ([]byte, error) {
	var key crypto.PublicKey
	key, err := x509.ParsePKIXPublicKey(current(p))
	if err != nil {
		return nil, err
	}
	text, err := publickey.Minisign(key)
	return []byte(text), err
}
