package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// fillRun asks for so many more P-256 key pairs in the token.
type fillRun struct {
	Module string
	Count  int
}

func fillCommand(line json.RawMessage) (any, error) {
	var run fillRun
	if err := json.Unmarshal(line, &run); err != nil {
		return nil, err
	}
	t, err := openBare(run.Module)
	if err != nil {
		return nil, err
	}
	for n := range run.Count {
		if err := t.fill(keyID()); err != nil {
			return nil, fmt.Errorf("key pair %d: %w", n+1, err)
		}
	}
	return run.Count, t.ctx.Finalize()
}

// fillStep is how many keys are made in one copy of the token.
const fillStep = 500

// fill makes P-256 key pairs in the token of a state whose daemon does not run. SoftHSM syncs each file of each key, which takes a disk up to
// 0.1 s, and gets slower with each key; so they are made in copies of the empty token, in memory where there is a tmpfs, and their files are
// then put into the token. The keys are wrapped with the token's own key, which all copies have.
func (r *rig) fill(s *daemon.State, count int) error {
	token, err := tokenFolder(s)
	if err != nil {
		return err
	}
	empty, err := os.MkdirTemp(fastFolder(), "hsmgate-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(empty) }()
	if err := copyFiles(filepath.Join(empty, "empty"), token, func(string) bool { return true }); err != nil {
		return err
	}
	for done := 0; done < count; {
		n := min(count-done, fillStep)
		if err := fillCopy(s, empty, token, n); err != nil {
			return fmt.Errorf("fill the token: %w", err)
		}
		done += n
		progress("made %d of %d keys in the token", done, count)
	}
	return nil
}

func fillCopy(s *daemon.State, folder, token string, n int) error {
	tokens := filepath.Join(folder, "tokens")
	copied := filepath.Join(tokens, filepath.Base(token))
	defer func() { _ = os.RemoveAll(tokens) }()
	if err := copyFiles(copied, filepath.Join(folder, "empty"), func(string) bool { return true }); err != nil {
		return err
	}
	conf := filepath.Join(folder, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		return err
	}
	c, err := startChild("fill", "SOFTHSM2_CONF="+conf)
	if err != nil {
		return err
	}
	defer c.stop()
	var made int
	if err := c.ask(fillRun{s.Options.Module, n}, &made); err != nil {
		return err
	}
	return copyFiles(token, copied, func(name string) bool {
		_, err := os.Stat(filepath.Join(token, name))
		return strings.HasSuffix(name, ".object") && os.IsNotExist(err)
	})
}

// tokenFolder is the folder of the state's one token.
func tokenFolder(s *daemon.State) (string, error) {
	found, err := filepath.Glob(filepath.Join(s.Dir, "token", "*", "token.object"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s holds %d tokens, not one", s.Dir, len(found))
	}
	return filepath.Dir(found[0]), nil
}

// fastFolder is a folder in memory, or "" for the usual one.
func fastFolder() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func copyFiles(to, from string, wanted func(name string) bool) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !wanted(f.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
