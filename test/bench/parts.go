package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// The names of the targets in the report.
const (
	targetBare      = "bare"
	targetFloor     = "floor"
	targetDaemon    = "daemon"
	targetUnchecked = "daemon, check off"
	targetAWS       = "daemon, AWS face"
)

// measureAlgorithms is the main table: each algorithm at each number of connections.
func (r *rig) measureAlgorithms(rep *report) error {
	var wanted []algorithm
	for _, a := range algorithms {
		if r.o.wants(a.name) || a.name == "p256" && (r.o.wants("aws") || r.o.soak > 0) {
			wanted = append(wanted, a)
		}
	}
	var err error
	if rep.Machine, err = r.machine(); err != nil || len(wanted) == 0 {
		return err
	}
	if err := r.open(wanted); err != nil {
		return err
	}
	for _, a := range wanted {
		if err := checkFloor(r.floorURL, r.keys[a.name], a); err != nil {
			return err
		}
		if !r.o.wants(a.name) && !r.o.wants("aws") {
			continue
		}
		for _, n := range r.o.connectionsFor(a) {
			progress("%s, %d connections", a.name, n)
			row, err := r.measureRow(a, n)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			rep.Rows = append(rep.Rows, row)
		}
	}
	return nil
}

// measureRow measures one algorithm at one number of connections.
func (r *rig) measureRow(a algorithm, connections int) (row, error) {
	key := r.keys[a.name]
	out := row{Algorithm: a.name, Connections: connections, Threads: threadsFor(connections)}
	targets := []target{
		r.bareTarget(r.bare, key, a, out.Threads),
		r.httpTarget(targetFloor, r.floor.pid(), connections, floorRequest(r.floorURL, a)),
		r.httpTarget(targetDaemon, r.checked.PID(), connections, restRequest(r.checked, key, a)),
	}
	if a.ecdsa() {
		targets = append(targets, r.httpTarget(targetUnchecked, r.unchecked.PID(), connections, restRequest(r.unchecked, key, a)))
	}
	if a.name == "p256" && r.o.wants("aws") {
		targets = append(targets, r.httpTarget(targetAWS, r.checked.PID(), connections, awsRequest(r.checked, key, a)))
	}
	var err error
	if out.Targets, err = r.interleave(targets); err != nil {
		return out, err
	}
	out.judge(a)
	if r.o.profile == "" {
		return out, nil
	}
	return out, r.profileRow(out, targets[1:])
}

// profileRow takes a profile of each server of a row.
func (r *rig) profileRow(of row, servers []target) error {
	for _, t := range servers {
		pid, name := r.checked.PID(), "main"
		switch t.name {
		case targetFloor:
			pid, name = r.floor.pid(), "floor"
		case targetUnchecked:
			pid, name = r.unchecked.PID(), "unchecked"
		}
		if err := r.profile(t, pid, r.profileFile(name), fmt.Sprintf("%s %d %s", of.Algorithm, of.Connections, t.name)); err != nil {
			return err
		}
	}
	return nil
}

// threadsFor is how many threads the bare loop has beside so many connections.
func threadsFor(connections int) int {
	switch {
	case connections == 1:
		return 1
	case connections <= 8:
		return 2
	}
	return 4
}

// keysState is a daemon whose token has so many keys.
type keysState struct {
	count  int
	daemon *daemon.Process
	key    signKey
	bare   *child
}

// measureKeys signs with tokens of several sizes, in turn, and while keys are made.
func (r *rig) measureKeys(rep *report) error {
	if !r.o.wants("keys") && !r.o.wants("creating") {
		return nil
	}
	p256, _ := algorithmNamed("p256")
	counts := r.o.keyCounts()
	if !r.o.wants("keys") {
		counts = []int{1000}
	}
	states := make([]*keysState, len(counts))
	for i, count := range counts {
		var err error
		if states[i], err = r.openKeys(p256, count); err != nil {
			return err
		}
	}
	if r.o.wants("keys") {
		var targets []target
		for _, s := range states {
			name := fmt.Sprint(s.count)
			t := r.bareTarget(s.bare, s.key, p256, 2)
			t.name = name + " " + targetBare
			targets = append(targets, t, r.httpTarget(name+" "+targetDaemon, s.daemon.PID(), 32, restRequest(s.daemon, s.key, p256)))
		}
		progress("p256, 32 connections, %d tokens of different sizes", len(states))
		found, err := r.interleave(targets)
		if err != nil {
			return err
		}
		for _, s := range states {
			name := fmt.Sprint(s.count)
			rep.Keys = append(rep.Keys, keysRow{Keys: s.count, Bare: found[name+" "+targetBare], Daemon: found[name+" "+targetDaemon]})
		}
		judgeKeys(rep.Keys)
	}
	if !r.o.wants("creating") {
		return nil
	}
	for _, s := range states {
		if s.count == 1000 {
			return r.measureCreating(rep, s, p256)
		}
	}
	return nil
}

func (r *rig) openKeys(a algorithm, count int) (*keysState, error) {
	s, err := r.newState(fmt.Sprintf("keys-%d", count))
	if err != nil {
		return nil, err
	}
	if err := r.fill(s, count-1); err != nil {
		return nil, err
	}
	k := &keysState{count: count}
	progress("starting a daemon on %d keys", count)
	if k.daemon, err = r.start(s); err != nil {
		return nil, err
	}
	if k.key, err = newKey(k.daemon, a); err != nil {
		return nil, err
	}
	if k.bare, err = startChild("bare", "SOFTHSM2_CONF="+s.SoftHSMConf()); err != nil {
		return nil, err
	}
	r.atEnd(k.bare.stop)
	if r.state == nil { // for the module's path
		r.state = s
	}
	return k, nil
}

// createEvery is the pace at which keys are made beside the signatures.
const createEvery = 500 * time.Millisecond

// measureCreating signs with 32 connections, in turn without and with two keys made a second.
func (r *rig) measureCreating(rep *report, s *keysState, a algorithm) error {
	s.bare.stop() // a process that looks at the token would index it anew with each key
	progress("p256, 32 connections, while keys are made among 1,000")
	var made []time.Duration
	sign := r.httpTarget("alone", s.daemon.PID(), 32, restRequest(s.daemon, s.key, a))
	both := target{"creating", func(window time.Duration) (sample, error) {
		done, failed := make(chan struct{}), make(chan error, 1)
		var maker sync.WaitGroup
		maker.Go(func() {
			took, err := createKeys(s.daemon, done)
			made = append(made, took...)
			failed <- err
		})
		out, err := sign.run(window)
		close(done)
		maker.Wait()
		if err == nil {
			err = <-failed
		}
		return out, err
	}}
	window := r.o.window
	rounds := r.o.rounds
	r.o.window, r.o.rounds = max(4*window, 4*createEvery), max(rounds/2, 1) // room for several keys
	found, err := r.interleave([]target{sign, both})
	r.o.window, r.o.rounds = window, rounds
	if err != nil {
		return err
	}
	rep.Creating = judgeCreating(found["alone"], found["creating"], made)
	return nil
}

// createKeys makes a key each half second until done, and says how long each took.
func createKeys(p *daemon.Process, done <-chan struct{}) ([]time.Duration, error) {
	tick := time.NewTicker(createEvery)
	defer tick.Stop()
	var took []time.Duration
	for {
		start := time.Now()
		var out api.CreateKeyResponse
		if err := p.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: "ECC_NIST_P256", KeyUsage: api.SignVerify}, &out); err != nil {
			return took, err
		}
		took = append(took, time.Since(start))
		select {
		case <-done:
			return took, nil
		case <-tick.C:
		}
	}
}

// measureSoak watches the memory of the daemon under a long load.
func (r *rig) measureSoak(rep *report) error {
	if r.o.soak == 0 {
		return nil
	}
	a, _ := algorithmNamed("p256")
	load := r.httpTarget(targetDaemon, r.checked.PID(), 32, restRequest(r.checked, r.keys[a.name], a))
	start := time.Now()
	var s soak
	for next := time.Minute; time.Since(start) < r.o.soak; {
		done, err := load.run(min(5*time.Second, r.o.soak))
		if err != nil {
			return err
		}
		rss, err := memoryOf(r.checked.PID())
		if err != nil {
			return err
		}
		s.Ops += done.Ops
		s.Samples = append(s.Samples, memory{Seconds: time.Since(start).Seconds(), RSS: rss})
		if time.Since(start) >= next {
			progress("soak: %s of %s, %.1f MB", time.Since(start).Round(time.Second), r.o.soak, rss)
			next += time.Minute
		}
	}
	s.judge()
	rep.Soak = &s
	return nil
}

func (r *rig) machine() (machine, error) {
	p50, p99, err := fsyncTime(filepath.Join(r.dir, "fsync"))
	if err != nil {
		return machine{}, err
	}
	return machineOf(r, p50, p99), nil
}
