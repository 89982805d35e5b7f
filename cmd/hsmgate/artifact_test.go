package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// TestMain lets a test run the program as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("HSMGATE_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs hsmgate with arguments, for as long as ctx lasts.
func program(ctx context.Context, t *testing.T, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), "HSMGATE_TEST_AS_PROGRAM=1", "HSMGATE_URL=http://127.0.0.1:1", "HSMGATE_TOKEN=hsmgate_t")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	return cmd, &said
}

func pipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "Release")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A named pipe that nobody writes to is no artifact, and nothing waits for it.
func TestPipeIsNoArtifact(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name := pipe(t)
	done := make(chan error, 1)
	go func() {
		if !(&formatFlags{}).plain([]string{name}, false) {
			t.Error("a pipe is signed in a format")
		}
		_, err := openArtifact(name)
		done <- errors.Join(err, (&verifier{trust: &format.Trust{}, format: format.SSH}).file(name).err)
	}()
	select {
	case err := <-done:
		if err == nil || strings.Count(err.Error(), "is not a regular file") != 2 {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("it waits for a pipe")
	}
}

// What waits for a pipe ends when it is told to.
func TestPipeIsLeftAtSIGTERM(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name := pipe(t)
	cmd, said := program(ctx, t, "sign", "--key", "alias/release", "-o", name+".sig", name)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	opened := make(chan *os.File, 1)
	go func() { // which lasts until the program opens it, too
		w, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
		}
		opened <- w
	}()
	select {
	case w := <-opened:
		defer w.Close()
	case <-ctx.Done():
		t.Fatal("the pipe is not read")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || ctx.Err() != nil || cmd.ProcessState.ExitCode() != exitOther {
		t.Errorf("%v: %s", err, said)
	}
}
