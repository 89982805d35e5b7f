package rest

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // names addresses, by draft-koch-openpgp-webkey-service, 3.1
	"encoding/base32"
	"net"
	"net/mail"
	"strings"

	"github.com/labstack/echo/v4"
)

// The Web Key Directory (draft-koch-openpgp-webkey-service), in which OpenPGP programs look up keys by an address of mail:
// by the direct method the domain is that of the request, by the advanced one it is in the path.

// zbase32 is without padding, since a SHA-1 fills 32 characters.
var zbase32 = base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding)

// directoryHash names the part of an address before the @.
func directoryHash(local string) string {
	sum := sha1.Sum([]byte(strings.ToLower(local))) //nolint:gosec // see above
	return zbase32.EncodeToString(sum[:])
}

// domain is the one that a request is about.
func domain(ec echo.Context) string {
	if in := ec.Param("domain"); in != "" {
		return strings.ToLower(in)
	}
	host := ec.Request().Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

// inDirectory finds the OpenPGP certificates of a domain for which the part before the @ is wanted.
func (f *face) inDirectory(domain string, wanted func(local string) bool) (found [][]byte) {
	for _, p := range f.Service.PublishedAs(func(userID string) bool {
		if !strings.Contains(strings.ToLower(userID), domain) { // most are not worth reading
			return false
		}
		address, err := mail.ParseAddress(userID)
		if err != nil {
			return false
		}
		at := strings.LastIndexByte(address.Address, '@')
		return strings.EqualFold(address.Address[at+1:], domain) && wanted(address.Address[:at])
	}) {
		found = append(found, p.Certificates...)
	}
	return found
}

// directory serves certificates, binary.
func (f *face) directory(ec echo.Context) error {
	hash := ec.Param("hash")
	found := f.inDirectory(domain(ec), func(local string) bool { return directoryHash(local) == hash })
	if len(found) == 0 {
		return f.unpublished(ec)
	}
	return f.public(ec, "application/octet-stream", bytes.Join(found, nil))
}

// directoryPolicy says that there is a directory for a domain; it has no rules.
func (f *face) directoryPolicy(ec echo.Context) error {
	if len(f.inDirectory(domain(ec), func(string) bool { return true })) == 0 {
		return f.unpublished(ec)
	}
	return f.public(ec, "text/plain; charset=utf-8", nil)
}
