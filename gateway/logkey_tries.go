package gateway

import "time"

// maxLogKeyPause bounds the time between two tries to make a log's key, each of which leaves two records.
const maxLogKeyPause = time.Hour

// tries spaces what fails: each pause is twice the one before.
type tries struct {
	err   error // of the last try
	pause time.Duration
	next  time.Time
}

// do tries if it is time, and gives the last error otherwise.
func (t *tries) do(now time.Time, try func() error) error {
	if t.err != nil && now.Before(t.next) {
		return t.err
	}
	if t.err = try(); t.err == nil {
		t.pause = 0
		return nil
	}
	t.pause = min(max(2*t.pause, time.Minute), maxLogKeyPause)
	t.next = now.Add(t.pause)
	return t.err
}
