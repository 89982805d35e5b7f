package audit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The environment makes the test binary one of the child processes that tests kill or confine.
const childEnv = "HSMGATE_AUDIT_TEST_CHILD"

// exitNoMount is how a child says that it may not mount a file system.
const exitNoMount = 3

var children = map[string]func(args []string) error{
	"load":   loadChild,
	"crash":  crashChild,
	"rotate": rotateChild,
	"full":   fullChild,
	"disk":   diskChild,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			if errors.Is(err, errNoMount) {
				os.Exit(exitNoMount)
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is the command that runs one of children.
func child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), childEnv+"="+name)
	c.Stderr = os.Stderr
	return c
}
