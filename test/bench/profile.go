package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// profileVariable names the file that a process writes a CPU profile to, from SIGUSR1 to SIGUSR2.
const profileVariable = "HSMGATE_BENCH_PROFILE"

// profileSource is what the benchmark's own build of hsmgated has more than the real one, with --profile.
const profileSource = `package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

func init() {
	path := os.Getenv("` + profileVariable + `")
	if path == "" {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		var f *os.File
		for s := range signals {
			if s == syscall.SIGUSR2 {
				pprof.StopCPUProfile()
				f.Close()
				os.Rename(path+".new", path)
				continue
			}
			f, _ = os.Create(path + ".new")
			pprof.StartCPUProfile(f)
		}
	}()
}
`

// overlay makes the flags with which hsmgated is built to write profiles.
func overlay(dir string) ([]string, error) {
	source := filepath.Join(dir, "profile.go")
	if err := os.WriteFile(source, []byte(profileSource), 0o600); err != nil {
		return nil, err
	}
	found, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/hsmgate/hsmgate/cmd/hsmgated").Output()
	if err != nil {
		return nil, err
	}
	replace := map[string]map[string]string{"Replace": {filepath.Join(strings.TrimSpace(string(found)), "bench_profile.go"): source}}
	text, err := json.Marshal(replace)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "overlay.json")
	return []string{"-overlay", path}, os.WriteFile(path, text, 0o600)
}

// profileOnSignal does the same for this program's own processes.
func profileOnSignal(path string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		var f *os.File
		for s := range signals {
			if s == syscall.SIGUSR2 {
				pprof.StopCPUProfile()
				f.Close()
				_ = os.Rename(path+".new", path) // its absence is seen by profile
				continue
			}
			var err error
			if f, err = os.Create(path + ".new"); err == nil {
				err = pprof.StartCPUProfile(f)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "bench: no profile:", err)
			}
		}
	}()
}

// profileWindow is how long a profile is taken.
const profileWindow = 8 * time.Second

// profile runs a target once more, with a CPU profile of its process, and keeps it in the folder of --profile.
func (r *rig) profile(t target, pid int, written, name string) error {
	if err := os.MkdirAll(r.o.profile, 0o755); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return err
	}
	if _, err := t.run(profileWindow); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return err
	}
	to := filepath.Join(r.o.profile, strings.NewReplacer(" ", "-", ",", "").Replace(name)+".pprof")
	for range 100 {
		if data, err := os.ReadFile(written); err == nil && os.Remove(written) == nil {
			progress("profile %s", to)
			return os.WriteFile(to, data, 0o600)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("process %d wrote no profile", pid)
}
