package query

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// blocksIn are the files of an index.
func blocksIn(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFiles: a byte is changed anywhere, or a file is cut, emptied, lengthened or put in another's place. The answer is right, and a damage
// that it met is mended.
func TestDamagedFiles(t *testing.T) {
	path, rnd := logOf(t, 6*small+5, 20)
	all, dir := whole(t, path), t.TempDir()
	openSmall(t, path, dir)
	files := blocksIn(t, dir)
	good := map[string][]byte{}
	for _, name := range files {
		good[name] = read(t, name)
	}
	if len(files) != 6 {
		t.Fatalf("%d blocks", len(files))
	}
	everything := Question{Key: "0000000*", Principal: "arn:*", Operation: "*", Statement: "*", SourceAddress: "1*", Since: begun.Add(time.Hour)} // every part but the hashes
	for round := range 60 {
		name := files[rnd.IntN(len(files))]
		b := slices.Clone(good[name])
		switch at := rnd.IntN(len(b)); round % 8 {
		case 0:
			b = b[:at]
		case 1:
			b = nil
		case 2:
			b = append(b, 'x')
		case 3:
			b = good[files[rnd.IntN(len(files))]]
		default:
			b[at] ^= byte(1 + rnd.IntN(255))
		}
		put(t, name, b)
		x := openSmall(t, path, dir)
		for _, q := range []Question{everything, question(rnd, all), {Digests: []string{all[rnd.IntN(len(all))].Digest}}} {
			if got, want := numbers(t, x.Find(q, false)), expected(all, q); !slices.Equal(got, want) {
				t.Fatalf("%s, round %d, %+v: %v, not %v", filepath.Base(name), round, q, got, want)
			}
		}
		put(t, name, good[name])
	}
	put(t, files[2], good[files[2]][:headSize+9])
	openSmall(t, path, dir)
	if !slices.Equal(read(t, files[2]), good[files[2]]) {
		t.Error("the file is not what it was")
	}
}

// forge makes the file of a block say something else of its records, with checksums that are right.
func forge(t testing.TB, path, dir string, first uint64, change func(line *audit.Line, r *audit.Record)) {
	t.Helper()
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	b := newBuilder(small)
	for seq := first; seq < first+small; seq++ {
		line, err := l.line(seq)
		if err != nil {
			t.Fatal(err)
		}
		r, err := line.Record()
		if err != nil {
			t.Fatal(err)
		}
		last := line.Hash
		change(&line, &r)
		of := rowOfRecord(&r)
		b.add(line, &of)
		b.head.last = last
	}
	put(t, folder(dir).name(first), b.encode())
}

// TestLyingIndex: records that the index has and the log has not are no part of an answer; the index is thrown away, and with it whatever else it lied about.
func TestLyingIndex(t *testing.T) {
	path, _ := logOf(t, 4*small, 21)
	all := whole(t, path)
	mallory := Question{Principal: "mallory", Statement: "key-policy/S1"}
	for name, change := range map[string]func(*audit.Line, *audit.Record){
		"a caller who never called": func(_ *audit.Line, r *audit.Record) { r.Principal, r.Reason = "mallory", "key-policy/S1" },
		"records that are others": func(line *audit.Line, r *audit.Record) {
			line.Hash[0] ^= 1
			r.Principal, r.Reason = "mallory", "key-policy/S1"
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			openSmall(t, path, dir)
			good := read(t, folder(dir).name(1))
			forge(t, path, dir, 1, func(*audit.Line, *audit.Record) {})
			if !slices.Equal(good, read(t, folder(dir).name(1))) {
				t.Fatal("forge does not do what the index does")
			}
			forge(t, path, dir, 2*small+1, change)
			// A second lie, by omission, which nothing shows by itself.
			forge(t, path, dir, 1, func(_ *audit.Line, r *audit.Record) { r.RequestID = "hidden" })
			x := openSmall(t, path, dir)
			hidden := Question{RequestID: all[3].RequestID}
			if got := numbers(t, x.Find(hidden, true)); len(got) > 0 {
				t.Errorf("the omission shows: %v; the documentation says that it does not", got)
			}
			if got := numbers(t, Scan(path, hidden, true, nil)); !slices.Equal(got, []uint64{4}) {
				t.Errorf("the scan gives %v", got)
			}
			for _, err := range x.Find(mallory, true) {
				if !errors.Is(err, ErrUntrue) {
					t.Errorf("%v", err)
				}
			}
			found, _, untrue, err := x.First(mallory, true, 10)
			if len(found) > 0 || !untrue || err != nil {
				t.Errorf("%v, untrue %v, %v", found, untrue, err)
			}
			asked(t, x, path, hidden, []uint64{4})
			if !slices.Equal(good, read(t, folder(dir).name(1))) {
				t.Error("the index is not made anew")
			}
		})
	}
}

// TestAnotherLog: an index that was made of a log that is not there any more, from its beginning or from somewhere on, or cut, is made anew.
func TestAnotherLog(t *testing.T) {
	dir := t.TempDir()
	path, rnd := logOf(t, 5*small+3, 22)
	openSmall(t, path, dir)
	other, otherRnd := logOf(t, 5*small+3, 23)
	for name, make := range map[string]func() string{
		"another": func() string { return other },
		"cut and grown otherwise": func() string {
			fork := filepath.Join(t.TempDir(), "audit.log")
			r := rnd
			grow(t, fork, 3*small+1, r)
			openSmall(t, fork, dir)
			copied := filepath.Join(t.TempDir(), "audit.log")
			put(t, copied, read(t, fork))
			put(t, audit.HeadPath(copied), read(t, audit.HeadPath(fork)))
			grow(t, fork, 2*small, r)
			openSmall(t, fork, dir)
			grow(t, copied, 2*small, otherRnd)
			return copied
		},
		"shorter": func() string {
			short, _ := logOf(t, 2*small, 24)
			return short
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := make()
			all := whole(t, path)
			x := openSmall(t, path, dir)
			for range 20 {
				q := question(rnd, all)
				asked(t, x, path, q, expected(all, q))
			}
			last := ""
			if files := blocksIn(t, dir); len(files) > 0 {
				last = filepath.Base(files[len(files)-1])
			}
			openSmall(t, path, dir)
			if last == "" {
				t.Error("there is no index")
			}
		})
	}
}

// TestOnlyWhatIsMissingIsMade: a good block is not written again, whatever happened to others.
func TestOnlyWhatIsMissingIsMade(t *testing.T) {
	path, rnd := logOf(t, 4*small, 25)
	dir := t.TempDir()
	openSmall(t, path, dir)
	old := time.Now().Add(-time.Hour)
	for _, name := range blocksIn(t, dir) {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	put(t, folder(dir).name(small+1), nil)
	grow(t, path, small, rnd)
	openSmall(t, path, dir)
	var fresh []string
	for _, name := range blocksIn(t, dir) {
		if info, err := os.Stat(name); err != nil || info.ModTime().After(old.Add(time.Minute)) {
			fresh = append(fresh, strings.TrimLeft(filepath.Base(name), "0"))
		}
	}
	if want := []string{"65.block", "257.block"}; !slices.Equal(fresh, want) {
		t.Errorf("written: %v, not %v", fresh, want)
	}
}

// TestDamagedLog: what the log has lost is no answer.
func TestDamagedLog(t *testing.T) {
	path, _ := logOf(t, near+3*small+9, 26) // so long that not all of it is read to see its end
	whole := read(t, path)
	lines := strings.SplitAfter(string(whole), "\n")
	dir := t.TempDir()
	for name, change := range map[string]func() string{
		"cut":     func() string { return strings.Join(lines[:3*small], "") },
		"changed": func() string { return strings.Replace(string(whole), "request-70\"", "request-71\"", 1) },
		"dropped": func() string { return strings.Join(slices.Concat(lines[:80], lines[81:]), "") },
	} {
		put(t, path, []byte(change()))
		x, err := Open(path, Options{Dir: dir, size: small})
		if !errors.Is(err, audit.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = x.Close()
		}
		for _, err := range Scan(path, Question{RequestID: "none"}, true, nil) {
			if !errors.Is(err, audit.ErrDamaged) {
				t.Errorf("%s, scan: %v", name, err)
			}
		}
		put(t, path, whole)
	}
	// Changed after it was indexed: noticed when it is a candidate.
	openSmall(t, path, dir)
	put(t, path, []byte(strings.Replace(string(whole), "request-70\"", "request-71\"", 1)))
	x := openSmall(t, path, dir)
	if _, _, _, err := x.First(Question{RequestID: "request-70"}, true, 5); !errors.Is(err, audit.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

// TestFolderThatCannotBeWritten: the answers are right all the same.
func TestFolderThatCannotBeWritten(t *testing.T) {
	path, rnd := logOf(t, 3*small, 27)
	all := whole(t, path)
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, nil)
	x := openSmall(t, path, filepath.Join(file, "index"))
	if x.Unkept() == nil {
		t.Error("nothing is said")
	}
	for range 10 {
		q := question(rnd, all)
		asked(t, x, path, q, expected(all, q))
	}
}

const buildVariable = "HSMGATE_TEST_BUILD_INDEX"

// TestMain makes the test binary a process that builds an index.
func TestMain(m *testing.M) {
	if args := os.Getenv(buildVariable); args != "" {
		path, dir, _ := strings.Cut(args, "|")
		if _, err := Open(path, Options{Dir: dir, size: small}); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func builderProcess(t testing.TB, path, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), buildVariable+"="+path+"|"+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestKilledBuilds: a process is killed while it builds, again and again, and another goes on.
func TestKilledBuilds(t *testing.T) {
	path, rnd := logOf(t, 60*small, 28)
	all, dir := whole(t, path), t.TempDir()
	for range 5 {
		before := len(blocksIn(t, dir))
		cmd := builderProcess(t, path, dir)
		for deadline := time.Now().Add(time.Minute); len(blocksIn(t, dir)) < min(before+3, 60) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	x := openSmall(t, path, dir)
	for range 10 {
		q := question(rnd, all)
		asked(t, x, path, q, expected(all, q))
	}
	left := folder(dir).name(1) // as a process leaves it that is killed while it writes
	put(t, filepath.Join(dir, ".writing-1"), read(t, left)[:100])
	old := time.Now().Add(-2 * time.Hour)
	if err := errors.Join(os.Chtimes(filepath.Join(dir, ".writing-1"), old, old), os.Remove(left)); err != nil {
		t.Fatal(err)
	}
	openSmall(t, path, dir)
	if _, err := os.Stat(filepath.Join(dir, ".writing-1")); err == nil {
		t.Error("what a killed process left is still there")
	}
}

// TestBuildersAtOnce: several processes make one index, while others answer from it and the log grows.
func TestBuildersAtOnce(t *testing.T) {
	path, rnd := logOf(t, 20*small, 29)
	dir := t.TempDir()
	for range 3 {
		all := whole(t, path)
		var others []*exec.Cmd
		for range 3 {
			others = append(others, builderProcess(t, path, dir))
		}
		for range 3 {
			x := openSmall(t, path, dir)
			q := question(rnd, all)
			asked(t, x, path, q, expected(all, q))
		}
		for _, cmd := range others {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		put(t, blocksIn(t, dir)[rnd.IntN(10)], nil)
		grow(t, path, 3*small, rnd)
	}
}
