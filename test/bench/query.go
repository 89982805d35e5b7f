package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// queryPart is what 'hsmgate audit query' takes on a made log of so many records.
type queryPart struct {
	Records       int           `json:"records"`
	LogBytes      float64       `json:"logBytesPerRecord"`
	IndexBytes    float64       `json:"indexBytesPerRecord"`
	Build         []indexBuild  `json:"build"` // of a tenth of the records, and of all
	Questions     []questionRow `json:"questions"`
	Goal          goal          `json:"goal"`       // seconds of the slowest question, with cold files
	MemoryGoal    goal          `json:"memoryGoal"` // of the build of all records, over that of a tenth
	AppendSeconds float64       `json:"appendSeconds"`
}

// indexBuild is a first question, which makes the index.
type indexBuild struct {
	Records int     `json:"records"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpuSeconds"`
	RSS     float64 `json:"rssMB"` // the most that the process had
}

// questionRow is one question, asked of files that the kernel does not have in memory, and then of files that it has.
type questionRow struct {
	Question string  `json:"question"`
	Found    int     `json:"found"`
	Cold     float64 `json:"coldMillis"`
	Warm     float64 `json:"warmMillis"` // the best of three
	CPU      float64 `json:"cpuMillis"`  // of the process, the least of four
	RSS      float64 `json:"rssMB"`
}

const (
	answerGoal = 1.0 // seconds
	memoryGoal = 1.5
)

// measureQuery makes a log, has 'hsmgate audit query' index it, and asks.
func (r *rig) measureQuery(rep *report) error {
	if !slices.Contains(r.o.only, "query") {
		return nil
	}
	m := queryMeasure{rig: r, bin: filepath.Join(r.dir, "hsmgate"), log: filepath.Join(r.dir, "made", "audit.log"), index: filepath.Join(r.dir, "index")}
	build := exec.Command("go", "build", "-trimpath", "-o", m.bin, "github.com/hsmgate/hsmgate/cmd/hsmgate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("hsmgate does not build: %w\n%s", err, out)
	}
	return m.run(rep)
}

type queryMeasure struct {
	*rig
	bin, log, index string
}

func (m *queryMeasure) run(rep *report) error {
	n, out := m.o.records, &queryPart{Records: m.o.records}
	for _, upTo := range []int{n / 10, n} {
		progress("making a log of %d records", upTo)
		start := time.Now()
		if err := makeLog(m.log, upTo); err != nil {
			return err
		}
		out.AppendSeconds += time.Since(start).Seconds()
		progress("indexing %d records", upTo)
		if err := os.RemoveAll(m.index); err != nil {
			return err
		}
		a, err := m.ask("--request-id", "none")
		if err != nil {
			return err
		}
		out.Build = append(out.Build, indexBuild{upTo, a.took.Seconds(), a.cpu.Seconds(), a.rss})
	}
	out.MemoryGoal = newGoal("memory", out.Build[1].RSS/out.Build[0].RSS, memoryGoal)
	for to, folder := range map[*float64]string{&out.LogBytes: filepath.Dir(m.log), &out.IndexBytes: m.index} {
		size, err := sizeOf(folder)
		if err != nil {
			return err
		}
		*to = float64(size) / float64(n)
	}
	for _, q := range madeQuestions(n) {
		progress("asking %s", strings.Join(q, " "))
		row, err := m.question(q)
		if err != nil {
			return err
		}
		out.Questions = append(out.Questions, row)
		out.Goal = newGoal("slowest question", max(out.Goal.Is, row.Cold/1000), answerGoal)
	}
	rep.Query = out
	return nil
}

// question asks once with cold files, and three times with warm ones.
func (m *queryMeasure) question(args []string) (row questionRow, err error) {
	row.Question = strings.Join(args, " ")
	for _, folder := range []string{filepath.Dir(m.log), m.index} {
		if err := forgetFiles(folder); err != nil {
			return row, err
		}
	}
	for i := range 4 {
		a, err := m.ask(args...)
		if err != nil {
			return row, err
		}
		row.Found, row.RSS = a.found, max(row.RSS, a.rss)
		if cpu := millis(a.cpu); i == 0 || cpu < row.CPU {
			row.CPU = cpu
		}
		switch took := millis(a.took); {
		case i == 0:
			row.Cold = took
		case i == 1 || took < row.Warm:
			row.Warm = took
		}
	}
	return row, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// answered is what one process took, and how many records it showed.
type answered struct {
	took, cpu time.Duration
	rss       float64 // MB
	found     int
}

func (m *queryMeasure) ask(args ...string) (a answered, err error) {
	cmd := exec.Command(m.bin, append([]string{"audit", "query", m.log, "--index", m.index, "--output", "json"}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	start := time.Now()
	answer, err := cmd.Output()
	a.took = time.Since(start)
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(said.String(), "no record")) {
		return a, fmt.Errorf("%v: %w: %s", args, err, said.String())
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	a.cpu, a.rss, a.found = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), float64(usage.Maxrss)/1024, strings.Count(string(answer), `"Receipt"`)
	return a, nil
}

// files calls f for each file of a folder.
func files(folder string, f func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return f(path, info)
	})
}

func sizeOf(folder string) (size int64, err error) {
	err = files(folder, func(_ string, info fs.FileInfo) error {
		size += info.Size()
		return nil
	})
	return size, err
}

// forgetFiles takes the files of a folder out of the kernel's memory.
func forgetFiles(folder string) error {
	return files(folder, func(path string, _ fs.FileInfo) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Sync(); err != nil { // only what is on the disk is forgotten
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
