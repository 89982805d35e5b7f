package client

import (
	"context"
	"net/http"
)

// Authorize has a request of another protocol, to a URL of this gateway, be one of the client's caller.
func (c *Client) Authorize(ctx context.Context, r *http.Request) error {
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("User-Agent", c.userAgent())
	return nil
}
