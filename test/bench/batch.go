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

// singleConnections are the numbers of connections that send single requests: one after the other, as a shell script
// does; the 8 jobs of hsmgate sign; and as many as keep all sessions busy.
var singleConnections = []int{1, 8, 32}

// single names the target of that many connections.
func single(target string, connections int) string {
	return fmt.Sprintf("%s, %d conns", target, connections)
}

// batchTarget is a daemon that is measured with single requests and with batches.
type batchTarget struct {
	single, batch string
	server        func(*rig) *daemon.Process
}

var batchTargets = []batchTarget{
	{targetDaemon, targetBatch, func(r *rig) *daemon.Process { return r.checked }},
	{targetUnchecked, targetBatchUnchecked, func(r *rig) *daemon.Process { return r.unchecked }},
}

func (t batchTarget) singles() (names []string) {
	for _, n := range singleConnections {
		names = append(names, single(t.single, n))
	}
	return names
}

// measureBatch signs with P-256 in single requests and in batches, with one state.
func (r *rig) measureBatch(rep *report) error {
	if !r.o.wants("batch") {
		return nil
	}
	a, _ := algorithmNamed("p256")
	if r.checked == nil {
		if err := r.open([]algorithm{a}); err != nil {
			return err
		}
	}
	key := r.keys[a.name]
	out := &batchRow{Sender: map[string]float64{}}
	sent := map[string]*sample{}
	targets := []target{r.bareTarget(r.bare, key, a, 4)}
	for _, t := range batchTargets {
		p := t.server(r)
		for _, n := range singleConnections {
			targets = append(targets, r.withSender(sent, 1, r.httpTarget(single(t.single, n), p.PID(), n, restRequest(p, key, a))))
		}
		targets = append(targets, r.withSender(sent, api.MaxBatch, r.httpTarget(t.batch, p.PID(), 1, batchRequest(p, key, a))))
	}
	progress("p256, batches of %d", api.MaxBatch)
	var err error
	out.Targets, err = r.interleave(targets)
	if err != nil {
		return err
	}
	for name, s := range sent {
		out.Sender[name] = float64(s.CPU.Nanoseconds()) / 1000 / float64(max(s.Ops, 1))
	}
	for _, t := range batchTargets {
		for _, name := range t.singles() {
			out.Goals = append(out.Goals, newGoal("CPU of "+t.batch+" to "+name, out.Targets[t.batch].CPU/out.Targets[name].CPU, 1.0/3))
		}
	}
	out.Goals = append(out.Goals, newGoal("CPU of "+targetBatchUnchecked+", to bare", out.Targets[targetBatchUnchecked].CPU/out.Targets[targetBare].CPU, 1.25))
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
	fmt.Fprintf(w, "%-28s %10s %10s %10s %12s\n", "", "server", "sender", "over bare", "digests/s")
	bare := b.Targets[targetBare]
	fmt.Fprintf(w, "%-28s %10.1f %10s %10s %12.0f\n", targetBare, bare.CPU, "", "", bare.PerSecond)
	for _, t := range batchTargets {
		for _, name := range append(t.singles(), t.batch) {
			f := b.Targets[name]
			fmt.Fprintf(w, "%-28s %10.1f %10.1f %10.1f %12.0f\n", name, f.CPU, b.Sender[name], f.CPU-bare.CPU, f.PerSecond)
		}
	}
	for _, g := range b.Goals {
		fmt.Fprintf(w, "%s: %.2f, goal %.2f %s\n", g.Name, g.Is, g.Limit, mark(g))
	}
}
