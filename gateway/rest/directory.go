package rest

import (
	"bytes"
	"net"

	"github.com/labstack/echo/v4"
)

// The Web Key Directory (draft-koch-openpgp-webkey-service), in which OpenPGP programs look up keys by an address of mail:
// by the direct method the domain is that of the request, by the advanced one it is in the path.

// domain is the one that a request is about.
func domain(ec echo.Context) string {
	if in := ec.Param("domain"); in != "" {
		return in
	}
	host := ec.Request().Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host
}

// directory serves certificates, binary.
func (f *face) directory(ec echo.Context) error {
	var found [][]byte
	for _, p := range f.Service.InDirectory(domain(ec), ec.Param("hash")) {
		found = append(found, p.Certificates...)
	}
	if len(found) == 0 {
		return f.unpublished(ec)
	}
	return f.public(ec, "application/octet-stream", bytes.Join(found, nil))
}

// directoryPolicy says that there is a directory for a domain; it has no rules.
func (f *face) directoryPolicy(ec echo.Context) error {
	if !f.Service.HasDirectory(domain(ec)) {
		return f.unpublished(ec)
	}
	return f.public(ec, "text/plain; charset=utf-8", nil)
}
