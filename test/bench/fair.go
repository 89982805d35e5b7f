package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// greedyConnections is how many the other caller has, beside one.
const greedyConnections = 64

// The callers that one with a single connection is measured beside. Callers take turns at the token; all connections of one caller are in
// one line, so that the last figure is what it would be without.
const (
	besideNobody  = "nobody"
	besideAnother = "another caller"
	besideItself  = "itself"
)

// fairRow is what a caller with one connection has beside 64 others.
type fairRow struct {
	Algorithm string             `json:"algorithm"`
	Token     string             `json:"token"`
	Beside    map[string]figures `json:"beside"`
	Goal      *goal              `json:"goal,omitempty"` // p99 beside another caller over that beside nobody
}

// Two callers share a token: the one that asks for less has its call wait for one call of the other at most, so that it takes twice as long.
const fairShare = 2

// measureFair measures a caller with one connection alone, and beside 64 connections of another or of its own, on SoftHSM, where callers
// wait for a processor, and on a token that takes its time as an HSM on a network does, where they wait for the token.
func (r *rig) measureFair(rep *report) error {
	if !r.o.wants("fair") {
		return nil
	}
	crowd, err := startChild("load")
	if err != nil {
		return err
	}
	r.atEnd(crowd.stop)
	for _, t := range []struct {
		name       string
		make       func(string) (*daemon.State, error)
		algorithms []string
		slow       bool
	}{{"SoftHSM", r.newState, []string{"p256", "rsa2048-pkcs1"}, false}, {fmt.Sprintf("%d ms more", slowBy), r.newSlowState, []string{"p256"}, true}} {
		s, err := t.make("fair " + t.name)
		if err != nil {
			return err
		}
		for _, name := range t.algorithms {
			row := fairRow{Algorithm: name, Token: t.name}
			if row.Beside, err = r.besides(s, crowd, name); err != nil {
				return err
			}
			if t.slow {
				g := newGoal("fair share", row.Beside[besideAnother].P99/row.Beside[besideNobody].P99, fairShare)
				row.Goal = &g
			}
			rep.Fair = append(rep.Fair, row)
		}
	}
	return nil
}

// besides measures one algorithm on a daemon of its own.
func (r *rig) besides(s *daemon.State, crowd *child, name string) (map[string]figures, error) {
	p, err := s.Start()
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = p.Stop(30 * time.Second) }() // it was measured; how it ends is the crash tests' matter
	other, err := s.Another(p, "greedy-"+name)
	if err != nil {
		return nil, err
	}
	a, _ := algorithmNamed(name)
	key, err := newKey(p, a)
	if err != nil {
		return nil, err
	}
	alone := r.httpTarget(besideNobody, p.PID(), 1, restRequest(p, key, a))
	progress("%s, one connection beside %d", name, greedyConnections)
	return r.interleave([]target{alone,
		beside(besideAnother, alone, crowd, restRequest(other, key, a)),
		beside(besideItself, alone, crowd, restRequest(p, key, a)),
	})
}

// beforeAndAfter is how much longer than the measurement the others are there, at each end.
const beforeAndAfter = 100 * time.Millisecond

// beside is a target while a crowd sends other requests.
func beside(name string, alone target, crowd *child, newRequest func() (*http.Request, error)) target {
	return target{name, func(window time.Duration) (out sample, err error) {
		others := loadRun{Connections: greedyConnections, Window: window + 2*beforeAndAfter}
		if err := others.fill(newRequest); err != nil {
			return out, err
		}
		ended := make(chan error, 1)
		go func() {
			var unused sample
			ended <- crowd.ask(others, &unused)
		}()
		time.Sleep(beforeAndAfter)
		out, err = alone.run(window)
		if failed := <-ended; err == nil {
			err = failed
		}
		return out, err
	}}
}

// fill makes the requests that the connections send in turn.
func (run *loadRun) fill(newRequest func() (*http.Request, error)) error {
	for range max(64, run.Connections) {
		req, err := newRequest()
		if err != nil {
			return err
		}
		run.Address = req.URL.Host
		text, err := httputil.DumpRequestOut(req, true)
		if err != nil {
			return err
		}
		run.Requests = append(run.Requests, text)
	}
	return nil
}
