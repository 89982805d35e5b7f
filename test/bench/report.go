package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report is everything that was measured; --output json prints it as it is.
type report struct {
	Machine  machine     `json:"machine"`
	Rows     []row       `json:"rows,omitempty"`
	Secrets  []secretRow `json:"secrets,omitempty"`
	Keys     []keysRow   `json:"keys,omitempty"`
	Creating *creating   `json:"creating,omitempty"`
	Fair     []fairRow   `json:"fair,omitempty"`
	Batch    *batchRow   `json:"batch,omitempty"`
	Soak     *soak       `json:"soak,omitempty"`
	Query    *queryPart  `json:"query,omitempty"`
	LongLog  *longLog    `json:"log,omitempty"`
}

// machine is what the figures were measured on.
type machine struct {
	Time       time.Time `json:"time"`
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Go         string    `json:"go"`
	Sessions   int       `json:"sessions"`
	GOMAXPROCS int       `json:"gomaxprocs"`
	Rounds     int       `json:"rounds"`
	Window     string    `json:"window"`
	Fsync      float64   `json:"fsyncMillis"` // the median of 200 appends of 600 bytes
	FsyncP99   float64   `json:"fsyncP99Millis"`
}

// goal is a figure with the most that it should be.
type goal struct {
	Name  string  `json:"name"`
	Is    float64 `json:"is"`
	Limit float64 `json:"limit"`
	Met   bool    `json:"met"`
}

func newGoal(name string, is, limit float64) goal { return goal{name, is, limit, is <= limit} }

// row is one algorithm at one number of connections.
type row struct {
	Algorithm   string             `json:"algorithm"`
	Connections int                `json:"connections"`
	Threads     int                `json:"bareThreads"`
	Targets     map[string]figures `json:"targets"`
	Goals       []goal             `json:"goals,omitempty"`
}

// The goals are set for 32 connections, and for the tail on one.
const (
	goalConnections = 32
	addedP99        = 1.0 // ms, on one connection, where fsync takes 0.2 ms
	flatWithin      = 1.05
	creatingLoss    = 0.20
)

// over is the CPU of a target over the floor's; 0 where one is missing.
func (r row) over(name string) float64 {
	f, t := r.Targets[targetFloor], r.Targets[name]
	if f.CPU == 0 {
		return 0
	}
	return t.CPU / f.CPU
}

func (r *row) judge(a algorithm) {
	if r.Connections == goalConnections && a.goal > 0 {
		r.Goals = append(r.Goals, newGoal(targetDaemon, r.over(targetDaemon), a.goal))
	}
	if r.Connections == goalConnections && a.uncheckedGoal > 0 {
		r.Goals = append(r.Goals, newGoal(targetUnchecked, r.over(targetUnchecked), a.uncheckedGoal))
	}
	if r.Connections == 1 {
		r.Goals = append(r.Goals, newGoal("added p99", r.Targets[targetDaemon].P99-r.Targets[targetFloor].P99, addedP99))
	}
}

// keysRow is P-256 with so many keys in the token, 32 connections; the bare loop has two threads.
type keysRow struct {
	Keys   int     `json:"keys"`
	Bare   figures `json:"bare"`
	Daemon figures `json:"daemon"`
	Goal   *goal   `json:"goal,omitempty"` // CPU over that with the fewest keys
}

func judgeKeys(rows []keysRow) {
	for i := 1; i < len(rows); i++ {
		g := newGoal("flat", rows[i].Daemon.CPU/rows[0].Daemon.CPU, flatWithin)
		rows[i].Goal = &g
	}
}

// creating is signing while keys are made.
type creating struct {
	Alone    figures `json:"alone"`
	Creating figures `json:"creating"`
	Made     int     `json:"keysMade"`
	Slowest  float64 `json:"slowestMillis"` // of CreateKey
	Goal     goal    `json:"goal"`          // part of the signatures a second that is lost
}

func judgeCreating(alone, with figures, made []time.Duration) *creating {
	c := &creating{Alone: alone, Creating: with, Made: len(made), Goal: newGoal("loss", 1-with.PerSecond/alone.PerSecond, creatingLoss)}
	for _, d := range made {
		c.Slowest = max(c.Slowest, float64(d.Microseconds())/1000)
	}
	return c
}

// soak is the memory of the daemon under a long load.
type soak struct {
	Ops     int      `json:"ops"`
	Samples []memory `json:"samples"`
	Goal    goal     `json:"goal"` // growth over the load by regression, as a part of the mean
}

// memory is the resident set in MB, so many seconds into the load.
type memory struct {
	Seconds float64 `json:"seconds"`
	RSS     float64 `json:"rssMB"`
}

// growthLimit is how much of its mean the memory may grow, by regression, to count as flat.
const growthLimit = 0.05

// judge leaves out the first fifth, in which the heap finds its size.
func (s *soak) judge() {
	s.Goal = newGoal("growth", growth(s.Samples[len(s.Samples)/5:]), growthLimit)
}

// growth is how much a line through the samples rises from the first to the last, as a part of their mean.
func growth(samples []memory) float64 {
	if len(samples) < 2 {
		return 0
	}
	n := float64(len(samples))
	var sumX, sumY, sumXX, sumXY float64
	for _, m := range samples {
		sumX += m.Seconds
		sumY += m.RSS
		sumXX += m.Seconds * m.Seconds
		sumXY += m.Seconds * m.RSS
	}
	slope := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return slope * (samples[len(samples)-1].Seconds - samples[0].Seconds) / (sumY / n)
}

// memoryOf is the resident set of a process in MB.
func memoryOf(pid int) (float64, error) { return memoryLine(pid, "VmRSS:") }

// memoryLine is a line of what the kernel says of a process (proc(5)), in MB.
func memoryLine(pid int, name string) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, name)
}

// fsyncTime is how long it takes to append a record's size to a file and to sync it, in milliseconds.
func fsyncTime(path string) (p50, p99 float64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	record, took := make([]byte, 600), make([]int32, 0, 200)
	for range cap(took) {
		start := time.Now()
		if _, err := f.Write(record); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took = append(took, int32(time.Since(start).Microseconds()))
	}
	slices.Sort(took)
	return quantile(took, 0.50), quantile(took, 0.99), nil
}

func machineOf(r *rig, fsync, fsyncP99 float64) machine {
	m := machine{Time: time.Now().UTC().Truncate(time.Second), CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version(),
		Sessions: r.sessions(), GOMAXPROCS: r.procs(), Rounds: r.o.rounds, Window: r.o.window.String(), Fsync: fsync, FsyncP99: fsyncP99}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name\t: "); ok {
			m.CPU, _, _ = strings.Cut(rest, "\n")
		}
	}
	return m
}
