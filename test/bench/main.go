// The benchmark: what hsmgated makes of a token, against the bare token and against the least that a server could do.
//
//	go run ./test/bench                      a selection, in a few minutes
//	go run ./test/bench --full               everything, with 10,000 keys, in about 25 minutes with --soak 10m
//	go run ./test/bench --only p256,rsa4096  some algorithms
//
// docs/benchmarks.md says what the columns mean.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	dir         string
	only        []string
	full        bool
	connections []int
	keys        []int
	soak        time.Duration
	window      time.Duration
	rounds      int
	sessions    int
	gomaxprocs  int
	records     int
	output      string
	profile     string
}

func main() {
	if mode := os.Getenv(modeVariable); mode != "" {
		if path := os.Getenv(profileVariable); path != "" {
			profileOnSignal(path)
		}
		os.Exit(serveCommands(mode))
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	var only, connections, keys string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.full, "full", false, "every algorithm at 1, 8 and 32 connections, and 10, 1,000 and 10,000 keys")
	f.StringVar(&only, "only", "", "parts to measure, with commas: algorithms (rsa2048-pkcs1, rsa2048-pss, rsa4096, p256, p384, ed25519), aws, encrypt, decrypt, data-key, mac, keys, creating, fair, batch; and query and log, which are measured only if they are named")
	f.StringVar(&connections, "connections", "", "numbers of connections, with commas (default 32, and 1 and 8 for p256 and rsa2048-pkcs1; --full: 1,8,32)")
	f.StringVar(&keys, "keys", "", "numbers of keys in the token, with commas (default 10,1000; --full: 10,1000,10000)")
	f.DurationVar(&o.soak, "soak", 0, "watch the daemon's memory over this long a load, such as 10m")
	f.DurationVar(&o.window, "window", 300*time.Millisecond, "how long each target is measured in each round")
	f.IntVar(&o.rounds, "rounds", 8, "rounds")
	f.IntVar(&o.sessions, "sessions", 0, "sessions of the daemon and the floor (default: the daemon's, 4)")
	f.IntVar(&o.gomaxprocs, "gomaxprocs", 0, "GOMAXPROCS of the daemon and the floor (default: the daemon's, twice the cores)")
	f.IntVar(&o.records, "records", 1_000_000, "records of the log that query asks, and that the daemon of log starts with")
	f.StringVar(&o.dir, "dir", "", "folder for tokens and states (default: the system's temporary folder)")
	f.StringVar(&o.profile, "profile", "", "folder for CPU profiles of the floor and the daemon, taken after each row of the main table")
	f.StringVar(&o.output, "output", "table", "table or json")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.window < 50*time.Millisecond || o.records < 1000 || o.output != "table" && o.output != "json" {
		return o, errors.New("wrong usage: see --help")
	}
	var err error
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if o.connections, err = numbers(connections); err != nil {
		return o, err
	}
	o.keys, err = numbers(keys)
	return o, errors.Join(err, o.check())
}

func numbers(list string) ([]int, error) {
	var out []int
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		out = append(out, n)
	}
	return out, nil
}

// check refuses parts that do not exist.
func (o options) check() error {
	for _, part := range o.only {
		if _, ok := algorithmNamed(part); !ok && !slices.Contains(append([]string{"aws", "keys", "creating", "fair", "batch", "soak", "query", "log"}, secretParts...), part) {
			return fmt.Errorf("--only: there is no part %q", part)
		}
	}
	return nil
}

// wants says whether a part is to be measured.
func (o options) wants(part string) bool { return len(o.only) == 0 || slices.Contains(o.only, part) }

// connectionsFor is how many connections an algorithm is measured with.
func (o options) connectionsFor(a algorithm) []int {
	switch {
	case len(o.connections) > 0:
		return o.connections
	case o.full, a.name == "p256", a.name == "rsa2048-pkcs1":
		return []int{1, 8, 32}
	}
	return []int{32}
}

func (o options) keyCounts() []int {
	switch {
	case len(o.keys) > 0:
		return o.keys
	case o.full:
		return []int{10, 1000, 10000}
	}
	return []int{10, 1000}
}

// run measures everything that is asked for and prints it.
func run(ctx context.Context, o options) error {
	rep, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if o.output == "json" {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(rep)
	}
	rep.print(os.Stdout)
	return nil
}

func measure(ctx context.Context, o options) (report, error) {
	var rep report
	r, err := newRig(o)
	if err != nil {
		return rep, err
	}
	defer r.close()
	// An interrupt ends the load, and with it whatever is being measured.
	defer context.AfterFunc(ctx, r.load.stop)()
	for _, part := range []func(*report) error{r.measureAlgorithms, r.measureSecrets, r.measureKeys, r.measureFair, r.measureBatch, r.measureSoak, r.measureQuery, r.measureLongLog} {
		if err := part(&rep); err != nil {
			return rep, errors.Join(ctx.Err(), err)
		}
	}
	return rep, nil
}
