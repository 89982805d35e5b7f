package client

// Waiting is how many signatures wait to be asked for together with others.
func (c *Client) Waiting() int {
	c.together.mu.Lock()
	defer c.together.mu.Unlock()
	return len(c.together.waiting)
}
