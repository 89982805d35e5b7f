package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// figures are what a target did over all rounds.
type figures struct {
	Ops       int     `json:"ops"`
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50Millis"`
	P99       float64 `json:"p99Millis"`
	CPU       float64 `json:"cpuMicros"` // user and system time of the serving process, per operation: the median of the rounds
}

func figuresOf(samples []sample) figures {
	var f figures
	var wall time.Duration
	var latencies []int32
	var cpu []float64
	for _, s := range samples {
		f.Ops += s.Ops
		wall += s.Wall
		latencies = append(latencies, s.Latencies...)
		cpu = append(cpu, float64(s.CPU.Nanoseconds())/1000/float64(max(s.Ops, 1)))
	}
	if f.Ops == 0 {
		return f
	}
	slices.Sort(latencies)
	slices.Sort(cpu)
	f.PerSecond = float64(f.Ops) / wall.Seconds()
	f.CPU = (cpu[len(cpu)/2] + cpu[(len(cpu)-1)/2]) / 2
	f.P50, f.P99 = quantile(latencies, 0.50), quantile(latencies, 0.99)
	return f
}

// quantile of sorted microseconds, in milliseconds.
func quantile(sorted []int32, q float64) float64 {
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) / 1000
}

// target is something that signs. run keeps it busy for a window.
type target struct {
	name string
	run  func(window time.Duration) (sample, error)
}

// interleave measures all targets in turn, round after round, so that a machine whose speed drifts is as fast or slow for each; the order is
// turned around each time.
func (r *rig) interleave(targets []target) (map[string]figures, error) {
	samples := map[string][]sample{}
	for round := range r.o.rounds {
		for i := range targets {
			t := targets[i]
			if round%2 == 1 {
				t = targets[len(targets)-1-i]
			}
			s, err := t.run(r.o.window)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			samples[t.name] = append(samples[t.name], s)
		}
	}
	out := map[string]figures{}
	for name, s := range samples {
		out[name] = figuresOf(s)
	}
	return out, nil
}

// bareTarget is the bare loop with so many threads.
func (r *rig) bareTarget(c *child, key signKey, a algorithm, threads int) target {
	return target{"bare", func(window time.Duration) (s sample, err error) {
		err = c.ask(bareRun{r.state.Options.Module, key.id, a.name, key.spki, threads, window}, &s)
		return s, err
	}}
}

// httpTarget is a server under load. newRequest makes one with a new digest.
func (r *rig) httpTarget(name string, pid, connections int, newRequest func() (*http.Request, error)) target {
	return target{name, func(window time.Duration) (s sample, err error) {
		run := loadRun{Connections: connections, Window: window}
		if err := run.fill(newRequest); err != nil {
			return s, err
		}
		before, err := cpuOf(pid)
		if err != nil {
			return s, err
		}
		if err := r.load.ask(run, &s); err != nil {
			return s, err
		}
		after, err := cpuOf(pid)
		s.CPU = after - before
		return s, err
	}}
}

// restRequest makes a Sign call on the REST face.
func restRequest(p *daemon.Process, key signKey, a algorithm) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		req, err := jsonRequest(p.URL+"/v1/keys/"+key.id+"/sign", signRequest(a, a.random()))
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+p.Token)
		}
		return req, err
	}
}

// awsRequest makes a Sign call on the AWS face, with Signature Version 4. The daemon takes it for five minutes.
func awsRequest(p *daemon.Process, key signKey, a algorithm) func() (*http.Request, error) {
	signer := v4.NewSigner()
	return func() (*http.Request, error) {
		in := signRequest(a, a.random())
		in.KeyId = key.id
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequest(http.MethodPost, p.URL+"/", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "TrentService.Sign")
		sum := sha256.Sum256(body)
		credentials := aws.Credentials{AccessKeyID: p.AccessKeyID, SecretAccessKey: p.SecretAccessKey}
		return req, signer.SignHTTP(context.Background(), credentials, req, hex.EncodeToString(sum[:]), "kms", p.Region, time.Now())
	}
}

// floorRequest makes a request to the floor.
func floorRequest(base string, a algorithm) func() (*http.Request, error) {
	return func() (*http.Request, error) { return jsonRequest(base+"/"+a.name, floorMessage{Message: a.random()}) }
}

func jsonRequest(url string, in any) (*http.Request, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, err
}

// cpuOf is the CPU time of a process so far: of all its threads, to the nanosecond. The threads of a Go program stay.
func cpuOf(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("process %d has no CPU time in /proc", pid)
	}
	var sum time.Duration
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		ns, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// checkFloor checks one signature of the floor.
func checkFloor(base string, key signKey, a algorithm) error {
	in := a.random()
	req, err := jsonRequest(base+"/"+a.name, floorMessage{Message: in})
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var out floorMessage
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return err
	}
	if err := a.verify(key.spki, in, out.Signature, true); err != nil {
		return fmt.Errorf("the floor, %s: %w", a.name, err)
	}
	return nil
}
