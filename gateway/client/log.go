package client

import (
	"context"
	"net/http"
	"strings"
)

// LogKeys gives the verifier keys that sign the checkpoints of the gateway's audit log, the newest first.
func (c *Client) LogKeys(ctx context.Context) ([]string, error) {
	b, err := c.send(ctx, request{method: http.MethodGet, path: "/v1/log/key", accept: "text/plain"})
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}
