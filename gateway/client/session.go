package client

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// session is what the client's identity token was exchanged for.
type session struct {
	mu      sync.Mutex
	bearer  string
	renew   time.Time // when another one is asked for
	expires time.Time
}

// token is the bearer token of the next request.
func (c *Client) token(ctx context.Context) (string, error) {
	switch {
	case c.TokenFile != "":
		return tokenIn(c.TokenFile)
	case c.Token != "" || c.Identity == nil: // "" is for a client certificate
		return c.Token, nil
	}
	return c.sessionToken(ctx)
}

// sessionToken is the bearer token of a session. It is renewed after three quarters of
// its time; should that fail, the old one is used as long as it is good.
func (c *Client) sessionToken(ctx context.Context) (string, error) {
	s := &c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.renew) {
		return s.bearer, nil
	}
	out, err := c.exchange(ctx)
	switch {
	case err == nil:
		s.bearer, s.expires = out.BearerToken, out.Credentials.Expiration.Time
		s.renew = now.Add(s.expires.Sub(now) * 3 / 4)
	case s.bearer == "" || !now.Before(s.expires):
		return "", fmt.Errorf("no session for the identity token: %w", err)
	}
	return s.bearer, nil
}

// exchange makes a session for the identity token.
func (c *Client) exchange(ctx context.Context) (*api.AssumeRoleWithWebIdentityResponse, error) {
	token, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	r := request{method: http.MethodPost, path: "/v1/sessions", accept: "application/json", bearer: token, repeatable: true}
	return call[api.AssumeRoleWithWebIdentityResponse](ctx, c, r, &api.AssumeRoleWithWebIdentityRequest{RoleArn: c.Role})
}
