package client

import "time"

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

// Until looks again and again, since nothing tells a test that others wait now. A hang ends with the time of all tests.
func Until(ok func() bool) {
	for !ok() {
		time.Sleep(time.Millisecond)
	}
}
