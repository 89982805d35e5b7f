package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// batchRow is what a digest costs in a batch of 1,000, beside what it costs alone.
type batchRow struct {
	Targets map[string]figures `json:"targets"` // of a digest; latencies are those of a request
	Sender  map[string]float64 `json:"senderMicros"`
	Goals   []goal             `json:"goals"`
}

const (
	targetBatch          = "batch"
	targetBatchUnchecked = "batch, check off"
)

// singleConnections is how many connections send single requests, and how many batches: so that either keeps all sessions busy.
const singleConnections, batchConnections = 32, 1

// measureBatch signs with P-256 in single requests and in batches, with one state.
func (r *rig) measureBatch(rep *report) error {
	if !r.o.wants("batch") {
		return nil
	}
	a, _ := algorithmNamed("p256")
	if r.state == nil {
		if err := r.open([]algorithm{a}); err != nil {
			return err
		}
	}
	key := r.keys[a.name]
	out := &batchRow{Sender: map[string]float64{}}
	sent := map[string]*sample{}
	single := func(name string, p *daemon.Process) target {
		return r.withSender(sent, 1, r.httpTarget(name, p.PID(), singleConnections, restRequest(p, key, a)))
	}
	batch := func(name string, p *daemon.Process) target {
		return r.withSender(sent, api.MaxBatch, r.httpTarget(name, p.PID(), batchConnections, batchRequest(p, key, a)))
	}
	progress("p256, batches of %d", api.MaxBatch)
	var err error
	out.Targets, err = r.interleave([]target{r.bareTarget(r.bare, key, a, 4), single(targetDaemon, r.checked), batch(targetBatch, r.checked),
		single(targetUnchecked, r.unchecked), batch(targetBatchUnchecked, r.unchecked)})
	if err != nil {
		return err
	}
	for name, s := range sent {
		out.Sender[name] = float64(s.CPU.Nanoseconds()) / 1000 / float64(max(s.Ops, 1))
	}
	out.Goals = []goal{
		newGoal("CPU of the daemon, batch to singles", out.Targets[targetBatch].CPU/out.Targets[targetDaemon].CPU, 1.0/3),
		newGoal("the same, check off", out.Targets[targetBatchUnchecked].CPU/out.Targets[targetUnchecked].CPU, 1.0/3),
	}
	rep.Batch = out
	return nil
}

// withSender counts the signatures of each request, and the CPU of the process that sends them.
func (r *rig) withSender(sent map[string]*sample, each int, t target) target {
	run := t.run
	t.run = func(window time.Duration) (s sample, err error) {
		before, err := cpuOf(r.load.pid())
		if err != nil {
			return s, err
		}
		if s, err = run(max(window, time.Second)); err != nil {
			return s, err
		}
		after, err := cpuOf(r.load.pid())
		s.Ops *= each
		if sent[t.name] == nil {
			sent[t.name] = new(sample)
		}
		sent[t.name].Ops += s.Ops
		sent[t.name].CPU += after - before
		return s, err
	}
	return t
}

// batchRequest makes a call of SignBatch with new digests.
func batchRequest(p *daemon.Process, key signKey, a algorithm) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		of := signRequest(a, nil)
		in := api.SignBatchRequest{MessageType: of.MessageType, SigningAlgorithm: of.SigningAlgorithm}
		for range api.MaxBatch {
			in.Items = append(in.Items, api.SignBatchItem{Message: a.random()})
		}
		req, err := jsonRequest(p.URL+"/v1/keys/"+key.id+"/sign-batch", in)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+p.Token)
		}
		return req, err
	}
}

func printBatch(w io.Writer, b *batchRow) {
	fmt.Fprintf(w, "\nBatches of %d digests, P-256: microseconds of CPU per digest\n\n", api.MaxBatch)
	fmt.Fprintf(w, "%-20s %10s %10s %10s %12s\n", "", "server", "sender", "over bare", "digests/s")
	bare := b.Targets[targetBare]
	fmt.Fprintf(w, "%-20s %10.1f %10s %10s %12.0f\n", targetBare, bare.CPU, "", "", bare.PerSecond)
	for _, name := range []string{targetDaemon, targetBatch, targetUnchecked, targetBatchUnchecked} {
		f := b.Targets[name]
		fmt.Fprintf(w, "%-20s %10.1f %10.1f %10.1f %12.0f\n", name, f.CPU, b.Sender[name], f.CPU-bare.CPU, f.PerSecond)
	}
	for _, g := range b.Goals {
		fmt.Fprintf(w, "%s: %.2f, goal %.2f %s\n", g.Name, g.Is, g.Limit, mark(g))
	}
}
