package client

import (
	"context"
	"io"
	"net/http"
)

// Authorize has a request of another protocol, to a URL of this gateway, be one of the client's caller: by his token, or
// signed with his access key, for which the request has GetBody, as [http.NewRequest] makes it. It is done after all else
// of the request is set.
func (c *Client) Authorize(ctx context.Context, r *http.Request) error {
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", c.userAgent())
	switch {
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	case c.AWS.Credentials != nil:
		body, err := bodyOf(r)
		if err != nil {
			return err
		}
		return c.sign(ctx, r, body)
	}
	return nil
}

func bodyOf(r *http.Request) ([]byte, error) {
	if r.GetBody == nil {
		return nil, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// Refusal is the error of a gateway's answer to a request of another protocol, other than 200: a *[ResponseError].
func Refusal(answer *http.Response, body []byte) error { return refusal(answer, body) }
