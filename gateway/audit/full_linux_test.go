package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// fullChild runs in a mount namespace of its own: it fills a small file system under the log, makes room, and
// checks that the log has refused and has come back.
func fullChild(args []string) error {
	dir := args[0]
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		return fmt.Errorf("%w: %w", errNoMount, err)
	}
	path, ballast := filepath.Join(dir, "audit.log"), filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 100<<10), 0o600); err != nil {
		return err
	}
	l, err := Open(path, Options{Retry: time.Millisecond})
	if err != nil {
		return err
	}
	var kept []Receipt
	for err == nil && len(kept) < 10000 {
		var r Receipt
		if r, err = appendInTime(l); err == nil {
			kept = append(kept, r)
		}
	}
	if !errors.Is(err, ErrNotDurable) || !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("after %d records: %w", len(kept), err)
	}
	for range 10 {
		if _, err := appendInTime(l); !errors.Is(err, ErrNotDurable) || !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("on the full disk: %w", err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	var r Receipt
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if r, err = appendInTime(l); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	kept = append(kept, r)
	if err := l.Close(); err != nil {
		return err
	}
	report, err := VerifyFile(path, VerifyOptions{Receipts: kept})
	if err != nil || len(report.Problems) != 0 || report.Receipts != len(kept) || int(report.Records) != len(kept) {
		return fmt.Errorf("%d receipts: %+v %w", len(kept), report, err)
	}
	return nil
}

var errNoMount = errors.New("a file system cannot be mounted")

func appendInTime(l *Log) (Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.Append(ctx, sample(1))
}

// A real full disk: a tmpfs in a user and mount namespace, which needs no privilege on most systems.
func TestFullDisk(t *testing.T) {
	c := child(t, "full", t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	if err := c.Start(); err != nil {
		t.Skip("this system gives no user namespace, so no full disk can be made:", err)
	}
	endOfChild(t, c.Wait())
}

// endOfChild ends the test as the child ended.
func endOfChild(t *testing.T, err error) {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitNoMount {
		t.Skip("no file system can be mounted here")
	}
	must(t, err)
}
