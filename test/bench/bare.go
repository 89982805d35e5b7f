package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/pkcs11"
)

// sample is what was measured in one window.
type sample struct {
	Ops       int           `json:"ops"`
	Wall      time.Duration `json:"wall"`
	CPU       time.Duration `json:"cpu"`       // user and system time of the process that signs
	Latencies []int32       `json:"latencies"` // of each operation, in microseconds
}

// bareRun asks for the bare loop: C_SignInit and C_Sign with a cached handle, each thread with a session of its own.
type bareRun struct {
	Module, Key, Algorithm string
	SPKI                   []byte // one signature is checked with it, before the clock runs
	Threads                int
	Window                 time.Duration
}

var bare *bareToken // opened by the first command

func bareCommand(line json.RawMessage) (any, error) {
	var run bareRun
	if err := json.Unmarshal(line, &run); err != nil {
		return nil, err
	}
	a, ok := algorithmNamed(run.Algorithm)
	if !ok {
		return nil, fmt.Errorf("there is no algorithm %q", run.Algorithm)
	}
	var err error
	if bare == nil {
		if bare, err = openBare(run.Module); err != nil {
			return nil, err
		}
	}
	key, err := bare.key(run.Key)
	if err != nil {
		return nil, err
	}
	sessions := make([]pkcs11.SessionHandle, run.Threads)
	for i := range sessions {
		if sessions[i], err = bare.session(); err != nil {
			return nil, err
		}
		defer func() { _ = bare.ctx.CloseSession(sessions[i]) }()
	}
	m, input := a.mechanism()
	in := a.random()
	sig, err := bare.sign(sessions[0], key, m, input(in))
	if err != nil {
		return nil, err
	}
	if err := a.verify(run.SPKI, in, sig, true); err != nil {
		return nil, err
	}
	return bareLoop(sessions, run.Window, func(s pkcs11.SessionHandle) error {
		_, err := bare.sign(s, key, m, input(in))
		return err
	})
}

// bareLoop runs the operation in all sessions at once until the window ends.
func bareLoop(sessions []pkcs11.SessionHandle, window time.Duration, op func(pkcs11.SessionHandle) error) (sample, error) {
	var threads sync.WaitGroup
	latencies := make([][]int32, len(sessions))
	errs := make([]error, len(sessions))
	cpu, start := ownCPU(), time.Now()
	for i, s := range sessions {
		latencies[i] = make([]int32, 0, 1<<16)
		threads.Go(func() {
			for last := start; last.Sub(start) < window; {
				if errs[i] = op(s); errs[i] != nil {
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], int32(now.Sub(last).Microseconds()))
				last = now
			}
		})
	}
	threads.Wait()
	r := sample{Wall: time.Since(start), CPU: ownCPU() - cpu}
	for _, l := range latencies {
		r.Latencies = append(r.Latencies, l...)
	}
	r.Ops = len(r.Latencies)
	return r, errors.Join(errs...)
}

// ownCPU is the user and system time of this process so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
