package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The checkpoint that the end of the daemon makes leaves the machine, too.
func TestTheLastCheckpointIsHandedOut(t *testing.T) {
	c := testConfig(t)
	place := filepath.Join(t.TempDir(), "checkpoint")
	c.Audit.CheckpointFiles, c.Audit.CheckpointInterval = []string{place}, 5*time.Second
	s := start(t, c)
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(c.Audit.Path + ".tree/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(place); err != nil || string(got) != string(want) {
		t.Fatalf("%q is there of %q: %v", got, want, err)
	}
}
