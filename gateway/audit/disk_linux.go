package audit

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
)

// disk is the log's open file. All that the writer asks of the system goes through it, so that tests can make
// each step fail.
type disk struct {
	f     *os.File
	path  string
	fault func(step) failure // nil outside tests
}

// step is one thing that the writer asks of the system.
type step string

const (
	stepWrite  step = "write"  // the batch is written
	stepSync   step = "sync"   // fdatasync
	stepAnswer step = "answer" // everything is on disk, nobody has been told
	stepHead   step = "head"   // the head slot is written
	stepCut    step = "cut"    // the file is cut back to the last durable record
)

// failure is what a test wants to happen at a step.
type failure struct {
	err  error
	part float64 // of the step that is really done before it fails: 0 failed, 1 failed but persisted
}

// Failing makes options of a log whose disk fails when a test says so: at is asked before each batch is written.
// With done the batch is written and stays, since from then on the disk does nothing any more.
func Failing(o Options, at func() (fail, done bool)) Options {
	broken, dead := errors.New("the disk fails for a test"), new(atomic.Bool)
	o.fault = func(s step) failure {
		if dead.Load() {
			return failure{err: broken}
		}
		if s == stepWrite {
			fail, done := at()
			if dead.Store(fail && done); fail && !done {
				return failure{err: broken}
			}
		}
		return failure{}
	}
	return o
}

// do runs a step of n bytes, or a step that is done whole if n is 0.
func (d *disk) do(s step, n int, run func(n int) error) error {
	return Options{fault: d.fault}.do(s, n, run)
}

func (d *disk) write(b []byte, at int64) error {
	return d.do(stepWrite, len(b), func(n int) error {
		_, err := d.f.WriteAt(b[:n], at)
		return err
	})
}

func (d *disk) sync() error {
	return d.do(stepSync, 0, func(int) error { return fdatasync(d.f) })
}

func (d *disk) cut(size int64) error {
	return d.do(stepCut, 0, func(int) error { return d.f.Truncate(size) })
}

func (d *disk) answer() error {
	return d.do(stepAnswer, 0, func(int) error { return nil })
}

func fdatasync(f *os.File) error {
	for {
		// Fd is safe here: the file is regular, so it is in blocking mode anyway, and its owner closes it.
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// lock takes the lock that one process holds on the log it writes. The system drops it with the file.
func lock(f *os.File) error {
	return os.NewSyscallError("flock", syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
}

// openLog opens the file of a log for reading and writing; create makes it if there is none. O_NONBLOCK keeps a
// FIFO that someone put there from holding the caller; checkFile refuses it then.
func openLog(path string, create bool) (*os.File, error) {
	flags := os.O_RDWR | syscall.O_NONBLOCK
	if create {
		flags |= os.O_CREATE
	}
	return os.OpenFile(path, flags, 0o600)
}

// identity of a file: where it is, how long, how many names.
type identity struct {
	dev, ino uint64
	size     int64
	links    uint64
	mode     uint32
}

func (i identity) regular() bool { return i.mode&syscall.S_IFMT == syscall.S_IFREG }

func (i identity) same(o identity) bool { return i.dev == o.dev && i.ino == o.ino }

func identityOf(st *syscall.Stat_t) identity {
	return identity{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, links: uint64(st.Nlink), mode: st.Mode}
}

// here is the open file; there is what stands at its path now.
func (d *disk) here() (identity, error) {
	var st syscall.Stat_t
	err := syscall.Fstat(int(d.f.Fd()), &st)
	return identityOf(&st), os.NewSyscallError("fstat", err)
}

func (d *disk) there() (identity, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(d.path, &st); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	return identityOf(&st), nil
}
