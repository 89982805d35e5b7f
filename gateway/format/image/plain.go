package image

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ErrPlain: it would go to another machine without TLS.
var ErrPlain = errors.New("another machine is not spoken to without TLS")

// reach reads a reference and says how its registry is spoken to. By itself go-containerregistry would fall back to http
// at addresses of private networks and names that end in .localhost, for whoever answers first. Here http is for this
// machine and, where insecure says so, for others; but these get no credentials, and so have none to give away.
func reach(reference string, dial http.RoundTripper, insecure bool) (name.Reference, []remote.Option, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	here := isLoopback((&url.URL{Host: ref.Context().RegistryStr()}).Hostname())
	if here || insecure {
		if ref, err = name.ParseReference(reference, name.Insecure); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrReference, err)
		}
	}
	if insecure && !here {
		return ref, []remote.Option{remote.WithTransport(dial), remote.WithAuth(authn.Anonymous)}, nil
	}
	return ref, []remote.Option{remote.WithTransport(guard{dial}), remote.WithAuthFromKeychain(authn.DefaultKeychain)}, nil
}

// guard lets http go to this machine alone, wherever a registry sends its client: to a server of tokens, or of blobs.
type guard struct{ http.RoundTripper }

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !isLoopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%s://%s: %w", r.URL.Scheme, r.URL.Host, ErrPlain)
	}
	return g.RoundTripper.RoundTrip(r)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
