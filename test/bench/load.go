package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loadRun asks for load: each connection is kept alive and sends one request after the other, of those given in turn.
type loadRun struct {
	Address     string
	Requests    [][]byte // whole HTTP/1.1 requests
	Connections int
	Window      time.Duration
}

func loadCommand(line json.RawMessage) (any, error) {
	var run loadRun
	if err := json.Unmarshal(line, &run); err != nil {
		return nil, err
	}
	conns := make([]*connection, run.Connections)
	for i := range conns {
		c, err := net.Dial("tcp", run.Address)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		conns[i] = &connection{c: c, r: bufio.NewReader(c), latencies: make([]int32, 0, 1<<14)}
	}
	var all sync.WaitGroup
	start := time.Now()
	for i, c := range conns {
		all.Go(func() {
			for n := i; c.err == nil && time.Since(start) < run.Window; n++ {
				c.send(run.Requests[n%len(run.Requests)])
			}
		})
	}
	all.Wait()
	out := sample{Wall: time.Since(start)}
	var errs []error
	for _, c := range conns {
		out.Latencies = append(out.Latencies, c.latencies...)
		errs = append(errs, c.err)
	}
	out.Ops = len(out.Latencies)
	return out, errors.Join(errs...)
}

// connection is as little of an HTTP client as will do, since it uses the same processors as the server.
type connection struct {
	c         net.Conn
	r         *bufio.Reader
	latencies []int32
	err       error
}

func (c *connection) send(request []byte) {
	start := time.Now()
	if _, c.err = c.c.Write(request); c.err != nil {
		return
	}
	if c.err = c.answer(); c.err == nil {
		c.latencies = append(c.latencies, int32(time.Since(start).Microseconds()))
	}
}

// answer reads one answer, and wants it to be 200 with a Content-Length.
func (c *connection) answer() error {
	status, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("an answer has no Content-Length: %s", strings.TrimSpace(status))
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		text := make([]byte, length)
		if _, err := io.ReadFull(c.r, text); err != nil {
			return err
		}
		return fmt.Errorf("the answer is %s: %s", strings.TrimSpace(status), text)
	}
	_, err = c.r.Discard(length)
	return err
}
