// Package scripts tests both programs as a user meets them: real processes, a
// real SoftHSM token, scripts that a reader can follow (testdata/*.txtar).
package scripts

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var bin string // folder of the built programs

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if bin, err = os.MkdirTemp("", "hsmgate-bin-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	for name, cgo := range map[string]string{"hsmgated": "1", "hsmgate": "0"} {
		build := exec.Command("go", "build", "-ldflags", "-s -w -X main.version=v0.0.0-test", "-o", filepath.Join(bin, name), "github.com/hsmgate/hsmgate/cmd/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return m.Run(), nil
}

func TestScripts(t *testing.T) { testscript.Run(t, params(t, "testdata")) }

// params are what the scripts of a folder have.
func params(t *testing.T, folder string) testscript.Params {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		Dir:                 folder,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("ROOT", root)
			e.Setenv("HSMGATED", filepath.Join(bin, "hsmgated"))
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			e.Values[daemonsKey{}] = make(map[string]*running)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"token":     cmdToken,
			"daemon":    cmdDaemon,
			"terminate": cmdTerminate,
			"stdout-of": cmdStdoutOf,
			"kill9":     cmdKill,
			"env-file":  cmdEnvFile,
			"exits":     cmdExits,
			"soon":      cmdSoon,
			"replace":   cmdReplace,
			"line":      cmdLine,
			"mode":      cmdMode,
			"capture":   cmdCapture,
			"witness":   cmdWitness,
		},
	}
}

// TestDropIn: the client is small and static.
func TestDropIn(t *testing.T) {
	info, err := os.Stat(filepath.Join(bin, "hsmgate"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 40<<20 {
		t.Errorf("hsmgate has %d bytes; 40 MB are allowed", info.Size())
	}
	program, err := elf.Open(filepath.Join(bin, "hsmgate"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("hsmgate needs libraries of the machine")
		}
	}
}
