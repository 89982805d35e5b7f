package daemon

import (
	"fmt"
	"path/filepath"
	"time"
)

// Another makes a second administrator, and is the running daemon as that one calls it, on REST. It belongs to p, which is stopped for both.
func (s *State) Another(p *Process, name string) (*Process, error) {
	file := name + ".env"
	for _, args := range [][]string{
		{"principal", "create", "--config", s.config(), "--role", "administrator", name},
		{"credential", "issue", "--config", s.config(), "--principal", name, "--output-file", filepath.Join(s.Dir, file)},
	} {
		if out, err := s.Command(args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("hsmgated %s: %w\n%s", args[0], err, out)
		}
	}
	c, err := s.credentials(file)
	if err != nil {
		return nil, err
	}
	other := &Process{URL: p.URL, Token: c["HSMGATE_TOKEN"], Region: p.Region, cmd: p.cmd, done: p.done}
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) { // the daemon hears of it within about a second
		var out struct{}
		if err = other.Call("GET", "/v1/keys", nil, &out); err == nil || time.Now().After(deadline) {
			return other, err
		}
	}
}
