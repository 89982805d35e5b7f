package audit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// realDisk is an ext4 file system on a loop device whose blocks lie in a small tmpfs.
type realDisk struct{ dir, image, ballast, path string }

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

func makeRealDisk(dir string) (*realDisk, error) {
	d := &realDisk{dir: filepath.Join(dir, "disk"), image: filepath.Join(dir, "below", "image"), ballast: filepath.Join(dir, "below", "ballast")}
	d.path = filepath.Join(d.dir, "audit.log")
	if err := errors.Join(os.Mkdir(d.dir, 0o700), os.Mkdir(filepath.Dir(d.image), 0o700)); err != nil {
		return nil, err
	}
	err := syscall.Mount("tmpfs", filepath.Dir(d.image), "tmpfs", 0, "size=6m")
	if err == nil {
		err = os.WriteFile(d.image, nil, 0o600)
	}
	if err == nil {
		err = os.Truncate(d.image, 16<<20)
	}
	if err == nil {
		err = run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=0", d.image)
	}
	if err == nil {
		err = d.mount()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoMount, err)
	}
	return d, nil
}

func (d *realDisk) mount() error { return run("mount", "-o", "loop", d.image, d.dir) }

// stopWriting makes the device refuse every new block, so that a sync fails though the write did not; startWriting
// ends that.
func (d *realDisk) stopWriting() error {
	f, err := os.Create(d.ballast)
	if err != nil {
		return err
	}
	for b := make([]byte, 4096); err == nil; {
		_, err = f.Write(b)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return f.Close()
}

func (d *realDisk) startWriting() error { return os.Remove(d.ballast) }

// ioctl calls a request on the path.
func ioctl(path string, request uintptr, arg unsafe.Pointer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg))
	if errno != 0 {
		err = errno
	}
	return errors.Join(err, f.Close())
}

// From linux/fs.h.
const (
	fiFreeze  = 0xc0045877
	fiThaw    = 0xc0045878
	setFlags  = 0x40086602
	immutable = 0x10
)

func (d *realDisk) flags(n int32) func() error {
	return func() error {
		f := n | 0x80000 // FS_EXTENT_FL, which ext4 wants to be kept
		return ioctl(d.path, setFlags, unsafe.Pointer(&f))
	}
}

func (d *realDisk) freeze() error { return ioctl(d.dir, fiFreeze, nil) }
func (d *realDisk) thaw() error   { return ioctl(d.dir, fiThaw, nil) }

// diskChild runs as root in a mount namespace: it hurts a real file system under the log, mends it, and at the
// end unmounts it, so that what is read at last comes from the blocks and not from memory.
func diskChild(args []string) error {
	d, err := makeRealDisk(args[0])
	if err != nil {
		return err
	}
	l, err := Open(d.path, Options{Retry: time.Millisecond, Timeout: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	var kept []Receipt
	for _, c := range []struct {
		name       string
		hurt, mend func() error
		cause      error
	}{
		{"a failed sync", d.stopWriting, d.startWriting, syscall.ENOSPC}, // written to memory, refused by the device
		{"a frozen disk", d.freeze, d.thaw, nil},
		{"an immutable file", d.flags(immutable), d.flags(0), syscall.EPERM},
	} {
		if kept, err = hurtAndMend(l, kept, c.hurt, c.mend, c.cause); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Println(c.name, "was survived;", len(kept), "records answered")
	}
	if err := l.Close(); err != nil {
		return err
	}
	if err := errors.Join(run("umount", d.dir), d.mount()); err != nil {
		return err
	}
	report, err := VerifyFile(d.path, VerifyOptions{Receipts: kept})
	if err != nil || len(report.Problems) != 0 || report.Receipts != len(kept) {
		return fmt.Errorf("%d receipts: %+v %w", len(kept), report, err)
	}
	return nil
}

// hurtAndMend appends until the hurt disk refuses, and, mended, until it takes records again.
func hurtAndMend(l *Log, kept []Receipt, hurt, mend func() error, cause error) ([]Receipt, error) {
	if err := hurt(); err != nil {
		return kept, err
	}
	for n := 0; ; n++ {
		r, err := appendInTime(l)
		if err != nil {
			if !errors.Is(err, ErrNotDurable) || cause != nil && !errors.Is(err, cause) {
				return kept, fmt.Errorf("refused for another reason: %w", err)
			}
			break
		}
		if kept = append(kept, r); n > 50000 {
			return kept, errors.New("it does not refuse")
		}
	}
	for range 3 {
		r, err := appendInTime(l)
		switch {
		case err == nil && errors.Is(cause, syscall.ENOSPC): // a short record may go where a longer one had got a block
			kept = append(kept, r)
		case !errors.Is(err, ErrNotDurable):
			return kept, fmt.Errorf("a second time: %w", err)
		}
	}
	if err := mend(); err != nil {
		return kept, err
	}
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		var r Receipt
		if r, err = appendInTime(l); err == nil {
			return append(kept, r), nil
		}
	}
	return kept, fmt.Errorf("it does not come back: %w", err)
}

func TestRealDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a disk to hurt: a failed sync, a frozen disk and an immutable file are not tested")
	}
	c := child(t, "disk", t.TempDir())
	c.Stdout = os.Stdout
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	endOfChild(t, c.Run())
}
