package sink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFileIsRotatedByOthers: moved away, and copied and cut, as logrotate does either.
func TestFileIsRotatedByOthers(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "events")
	b.start(Config{Name: "a", Type: "file", Path: path})
	var got []uint64
	wait := func() {
		t.Helper()
		b.until("it is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "a") == 0 })
	}
	for range 5 {
		b.add(10, "Sign")
		wait()
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		got = append(got, seqs(t, readLines(t, path+".1"))...)
	}
	b.add(10, "Sign")
	wait()
	got = append(got, seqs(t, readLines(t, path))...)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	b.add(10, "Sign")
	b.stop()
	got = append(got, seqs(t, readLines(t, path))...)
	atLeastOnce(t, got, b.want)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// TestFileWithABrokenLine: what a crash left in the middle of a line stays a line of its own.
func TestFileWithABrokenLine(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(path, []byte(`{"seq":1,"pr`), 0o640); err != nil {
		t.Fatal(err)
	}
	b.start(Config{Name: "a", Type: "file", Path: path})
	b.add(3, "Sign")
	b.stop()
	lines := readLines(t, path)
	if lines[0] != `{"seq":1,"pr` || len(lines) != 4 {
		t.Fatalf("%q", lines)
	}
	atLeastOnce(t, seqs(t, lines[1:]), b.want)
}

// TestFileThatIsNone: a pipe that nobody reads and a folder are refused, tried again, and replaced by a file in time.
func TestFileThatIsNone(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "events")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	b.start(Config{Name: "a", Type: "file", Path: path})
	b.add(3, "Sign")
	b.until("it fails", func() bool { return b.metric("hsmgate_audit_sink_failures_total", "a") > 1 })
	if err := b.lines.All()[0].ContextMap()["error"].(string); !strings.Contains(err, "not a regular file") {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.until("it is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "a") == 0 })
	b.stop()
	atLeastOnce(t, seqs(t, readLines(t, path)), b.want)
	if n := b.lines.FilterMessage("audit records are delivered again").Len(); n != 1 {
		t.Errorf("it says %d times that it works again", n)
	}
}

// TestStdout: a reader that is slow, and then gone, is in nobody's way.
func TestStdout(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	usual := os.Stdout
	os.Stdout = write
	b := newBench(t)
	b.start(Config{Name: "out", Type: "stdout"})
	os.Stdout = usual
	b.add(3000, "Sign") // more than the pipe holds, and nobody reads
	b.until("it hangs", func() bool { return b.log.Head().Seq == 3000 && b.metric("hsmgate_audit_sink_behind", "out") > 0 })
	text := make(chan []byte)
	go func() {
		var all []byte
		buf := make([]byte, 1<<16)
		for {
			n, err := read.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil || strings.Count(string(all), "\n") >= 3000 {
				text <- all
				return
			}
		}
	}()
	atLeastOnce(t, seqs(t, strings.Split(strings.TrimSuffix(string(<-text), "\n"), "\n")), b.want)
	b.until("it is there", func() bool { return b.metric("hsmgate_audit_sink_behind", "out") == 0 })

	// Whoever reads goes away: the process stays, and the sink says so.
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	b.add(3, "Sign")
	b.until("it fails", func() bool { return b.metric("hsmgate_audit_sink_failures_total", "out") > 1 })
	b.stop()
}
