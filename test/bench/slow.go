package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// slowBy is how many milliseconds longer the slow token takes to sign, as an HSM on a network does.
const slowBy = 5

//go:embed testdata/slow.c
var slowSource []byte

// newSlowState makes a state whose token takes its time, without using the processor.
func (r *rig) newSlowState(name string) (*daemon.State, error) {
	module, err := daemon.SoftHSM()
	if err != nil {
		return nil, err
	}
	source, library := filepath.Join(r.dir, "slow.c"), filepath.Join(r.dir, "slow.so")
	if err := os.WriteFile(source, slowSource, 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the slow token cannot be built: %w\n%s", err, out)
	}
	o := r.options(name)
	o.Module, o.Env = library, append(o.Env, "HSMGATE_BENCH_MODULE="+module, "HSMGATE_BENCH_MILLISECONDS="+strconv.Itoa(slowBy))
	return r.newStateWith(name, o)
}
