package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// startLimit is how long a start may take: SoftHSM reads 20,000 objects in ten seconds when they are not in the kernel's cache.
const startLimit = 2 * time.Minute

// Process is a running hsmgated.
type Process struct {
	URL                          string
	Token                        string // bearer token of the administrator
	AccessKeyID, SecretAccessKey string // of the same administrator
	Region                       string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start starts the daemon and waits until it is ready to serve.
func (s *State) Start() (*Process, error) {
	p := &Process{cmd: s.Command("serve", "--config", s.config()), done: make(chan struct{})}
	log, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	from, _ := log.Seek(0, io.SeekEnd)
	// Should this process die, the daemon must not stay behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	url := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, at, ok := strings.Cut(lines.Text(), " serves "); ok {
				url <- at
			}
		}
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	select {
	case p.URL = <-url:
	case <-p.done:
		return nil, fmt.Errorf("hsmgated ended at its start (exit code %d):\n%s", p.cmd.ProcessState.ExitCode(), s.tail(from))
	case <-time.After(startLimit):
		p.Kill()
		return nil, fmt.Errorf("hsmgated did not start in %s:\n%s", startLimit, s.tail(from))
	}
	c, err := s.credentials("admin.env")
	if err != nil {
		p.Kill()
		return nil, err
	}
	p.Token, p.AccessKeyID, p.SecretAccessKey, p.Region = c["HSMGATE_TOKEN"], c["AWS_ACCESS_KEY_ID"], c["AWS_SECRET_ACCESS_KEY"], c["AWS_REGION"]
	return p, p.WaitReady(startLimit)
}

// tail is the last of what the daemon logged since an offset.
func (s *State) tail(from int64) string {
	f, err := os.Open(s.Log())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size()-from > 4096 {
		from = info.Size() - 4096
	}
	text, err := io.ReadAll(io.NewSectionReader(f, from, 4096))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// WaitReady asks /readyz until it says yes.
func (p *Process) WaitReady(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		resp, err := http.Get(p.URL + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz: %s", resp.Status)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("hsmgated is not ready after %s: %w", limit, err)
		}
		select {
		case <-p.done:
			return fmt.Errorf("hsmgated ended (exit code %d)", p.cmd.ProcessState.ExitCode())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process at once and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// Stop asks for a graceful stop and returns the exit code; -1 when the process had to be killed.
func (p *Process) Stop(limit time.Duration) (int, error) {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return -1, err
	}
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		p.Kill()
		return -1, fmt.Errorf("hsmgated did not stop in %s", limit)
	}
}

// Answer is a response, read to its end.
type Answer struct {
	Status  int
	Header  http.Header
	Body    []byte
	Receipt string // of the audit record, "seq:hash"
}

// ErrNoAnswer is the error of a request that no part of an answer came to.
var ErrNoAnswer = errors.New("no answer")

// Do sends a request as the administrator: in as its JSON body, nil for none. An error says that no whole answer came.
func (p *Process) Do(ctx context.Context, c *http.Client, method, path string, in any) (*Answer, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.URL+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.Token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header, Receipt: resp.Header.Get("Hsmgate-Audit-Record")}
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		return nil, fmt.Errorf("the answer was cut: %w", err)
	}
	return a, nil
}

// Call is Do where anything but 200 is an error; the answer is decoded into out.
func (p *Process) Call(method, path string, in, out any) error {
	a, err := p.Do(context.Background(), http.DefaultClient, method, path, in)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	return json.Unmarshal(a.Body, out)
}
