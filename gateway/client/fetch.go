package client

import "context"

// Fetch reads what the gateway serves under a path that is no operation, such as a file of the audit log's tree.
func (c *Client) Fetch(ctx context.Context, path string) ([]byte, error) {
	return c.send(ctx, request{method: "GET", path: path, accept: "*/*"})
}
