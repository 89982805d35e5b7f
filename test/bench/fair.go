package main

import (
	"net/http"
	"net/http/httputil"
	"time"
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
	Beside    map[string]figures `json:"beside"`
}

// measureFair measures a caller with one connection alone, and beside 64 connections of another or of its own, with a state of its own.
func (r *rig) measureFair(rep *report) error {
	if !r.o.wants("fair") {
		return nil
	}
	s, err := r.newState("fair")
	if err != nil {
		return err
	}
	p, err := r.start(s)
	if err != nil {
		return err
	}
	other, err := s.Another(p, "greedy")
	if err != nil {
		return err
	}
	crowd, err := startChild("load")
	if err != nil {
		return err
	}
	r.atEnd(crowd.stop)
	for _, name := range []string{"p256", "rsa2048-pkcs1"} {
		a, _ := algorithmNamed(name)
		key, err := newKey(p, a)
		if err != nil {
			return err
		}
		alone := r.httpTarget(besideNobody, p.PID(), 1, restRequest(p, key, a))
		progress("%s, one connection beside %d", name, greedyConnections)
		found, err := r.interleave([]target{alone,
			beside(besideAnother, alone, crowd, restRequest(other, key, a)),
			beside(besideItself, alone, crowd, restRequest(p, key, a)),
		})
		if err != nil {
			return err
		}
		rep.Fair = append(rep.Fair, fairRow{name, found})
	}
	return nil
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
