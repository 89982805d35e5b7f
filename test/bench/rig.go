package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// rig is everything that runs while the benchmark measures: daemons, the floor, the bare loop and the load, each a process of its own, all on
// the same token and with the same keys.
type rig struct {
	o         options
	dir, bin  string
	state     *daemon.State
	keys      map[string]signKey // by algorithm
	checked   *daemon.Process    // the daemon as it is by default
	unchecked *daemon.Process    // with skip_ecdsa_check
	bare      *child
	floor     *child
	floorURL  string
	load      *child
	ended     []func()
}

// signKey is a key of the daemon, which the bare processes find in the token by its id.
type signKey struct {
	id   string
	spki []byte
}

func newRig(o options) (r *rig, err error) {
	r = &rig{o: o, keys: map[string]signKey{}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp(o.dir, "hsmgate-bench-"); err != nil {
		return r, err
	}
	r.atEnd(func() { _ = os.RemoveAll(r.dir) })
	progress("building hsmgated")
	var flags []string
	if o.profile != "" {
		if flags, err = overlay(r.dir); err != nil {
			return r, err
		}
	}
	if r.bin, err = daemon.Build(r.dir, flags...); err != nil {
		return r, err
	}
	if r.load, err = startChild("load"); err != nil {
		return r, err
	}
	r.atEnd(r.load.stop)
	return r, nil
}

func (r *rig) atEnd(f func()) { r.ended = append(r.ended, f) }

// close stops everything, the last first.
func (r *rig) close() {
	for i := len(r.ended) - 1; i >= 0; i-- {
		r.ended[i]()
	}
}

// newState makes a state with a fresh token.
func (r *rig) newState(name string) (*daemon.State, error) {
	return r.newStateWith(name, r.options(name))
}

func (r *rig) newStateWith(name string, o daemon.Options) (*daemon.State, error) {
	dir := filepath.Join(r.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return daemon.New(dir, r.bin, o)
}

func (r *rig) options(name string) daemon.Options {
	o := daemon.Options{MaxSessions: r.o.sessions, GOMAXPROCS: r.o.gomaxprocs}
	if r.o.profile != "" {
		o.Env = []string{profileVariable + "=" + r.profileFile(name)}
	}
	return o
}

// profileFile is where a process writes its profile.
func (r *rig) profileFile(name string) string { return filepath.Join(r.dir, name+".pprof") }

func (r *rig) start(s *daemon.State) (*daemon.Process, error) {
	p, err := s.Start()
	if err == nil {
		r.atEnd(func() { _, _ = p.Stop(30 * time.Second) }) // it was measured; how it ends is the crash tests' matter
	}
	return p, err
}

// open starts the processes of the main table: a token with a key for each algorithm, two daemons on it, the floor and the bare loop.
func (r *rig) open(wanted []algorithm) (err error) {
	progress("making a token and the keys")
	if r.state, err = r.newState("main"); err != nil {
		return err
	}
	first, err := r.state.Start()
	if err != nil {
		return err
	}
	for _, a := range wanted {
		if r.keys[a.name], err = newKey(first, a); err != nil {
			first.Kill()
			return err
		}
	}
	// The second daemon gets a copy of the first one's database, so that both know the keys.
	if _, err := first.Stop(30 * time.Second); err != nil {
		return err
	}
	twinDir := filepath.Join(r.dir, "unchecked")
	if err := os.Mkdir(twinDir, 0o700); err != nil {
		return err
	}
	o := r.options("unchecked")
	o.SkipECDSACheck = true
	twin, err := r.state.Twin(twinDir, o)
	if err != nil {
		return err
	}
	if r.checked, err = r.start(r.state); err != nil {
		return err
	}
	if r.unchecked, err = r.start(twin); err != nil {
		return err
	}
	return r.startBare(r.state, wanted)
}

// startBare starts the floor and the bare loop on the token of a state.
func (r *rig) startBare(s *daemon.State, wanted []algorithm) (err error) {
	env := []string{"SOFTHSM2_CONF=" + s.SoftHSMConf(), "GOMAXPROCS=" + strconv.Itoa(r.procs())}
	if r.bare, err = startChild("bare", env...); err != nil {
		return err
	}
	r.atEnd(r.bare.stop)
	env = append(env, r.options("floor").Env...)
	if r.floor, err = startChild("floor", env...); err != nil {
		return err
	}
	r.atEnd(r.floor.stop)
	start := floorStart{Module: s.Options.Module, Sessions: r.sessions()}
	for _, a := range wanted {
		start.Keys = append(start.Keys, floorKey{r.keys[a.name].id, a.name})
	}
	return r.floor.ask(start, &r.floorURL)
}

// procs is the GOMAXPROCS of the daemon, which the floor gets, too.
func (r *rig) procs() int {
	if r.o.gomaxprocs != 0 {
		return r.o.gomaxprocs
	}
	return 2 * runtime.NumCPU()
}

// sessions is the daemon's number of sessions, which the floor gets, too.
func (r *rig) sessions() int {
	if r.o.sessions != 0 {
		return r.o.sessions
	}
	return 4
}

// newKey makes a key for an algorithm through a daemon, and checks one signature of it.
func newKey(p *daemon.Process, a algorithm) (signKey, error) {
	var made api.CreateKeyResponse
	if err := p.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: a.spec, KeyUsage: api.SignVerify}, &made); err != nil {
		return signKey{}, err
	}
	k := signKey{id: made.KeyMetadata.KeyId}
	var public api.GetPublicKeyResponse
	if err := p.Call("GET", "/v1/keys/"+k.id+"/public-key", nil, &public); err != nil {
		return k, err
	}
	k.spki = public.PublicKey
	in := a.random()
	var signed api.SignResponse
	if err := p.Call("POST", "/v1/keys/"+k.id+"/sign", signRequest(a, in), &signed); err != nil {
		return k, err
	}
	if err := a.verify(k.spki, in, signed.Signature, false); err != nil {
		return k, fmt.Errorf("%s: %w", a.name, err)
	}
	return k, nil
}

func signRequest(a algorithm, in []byte) api.SignRequest {
	return api.SignRequest{Message: in, MessageType: a.messageType(), SigningAlgorithm: a.signing}
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
