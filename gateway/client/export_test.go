package client

// Waiting is how many signatures wait to be asked for together with others.
func (c *Client) Waiting() (n int) {
	c.together.mu.Lock()
	defer c.together.mu.Unlock()
	for _, l := range c.together.lanes {
		n += len(l.waiting)
	}
	return n
}

// Lanes is how many requests for signatures are under way or waited with.
func (c *Client) Lanes() int {
	c.together.mu.Lock()
	defer c.together.mu.Unlock()
	return len(c.together.lanes)
}
