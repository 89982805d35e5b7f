package scripts

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait: a machine under load is slow, a hung test is not.
const patience = 60 * time.Second

// cmdToken makes a SoftHSM token in a state folder: token DIR
func cmdToken(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "token DIR")
	ts.Check(ts.Exec(filepath.Join(ts.Getenv("ROOT"), "softhsm-config/make-token.sh"), args[0]))
}

// running is a daemon that was started in a script.
type running struct {
	cmd  *exec.Cmd
	done chan error
}

// daemons of a script, by its name for them.
func daemons(ts *testscript.TestScript) map[string]*running {
	return ts.Value(daemonsKey{}).(map[string]*running)
}

type daemonsKey struct{}

// cmdDaemon starts a daemon in the background and waits until it is ready:
// daemon NAME ARGS... Its output goes to NAME.out and NAME.err; it is ended with
// the script. The readiness is asked at the URL that it prints.
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "daemon NAME ARGS...")
	name := args[0]
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	errs, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	cmd := exec.Command(filepath.Join(bin, "hsmgated"), args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), environ(ts), out, errs
	ts.Check(cmd.Start())
	r := &running{cmd, make(chan error, 1)}
	go func() { r.done <- cmd.Wait(); out.Close(); errs.Close() }()
	daemons(ts)[name] = r
	ts.Defer(func() { // by its own id; it may be gone
		_ = cmd.Process.Kill()
	})
	err = poll(func() error {
		select {
		case err := <-r.done:
			r.done <- err
			return permanent{fmt.Errorf("the daemon ended: %w\n%s", err, ts.ReadFile(name+".err"))}
		default:
		}
		_, rest, ok := strings.Cut(ts.ReadFile(name+".out"), " serves ")
		if !ok {
			return errors.New("it did not say what it serves")
		}
		url := strings.FieldsFunc(rest, func(r rune) bool { return r == ';' || r == '\n' })[0]
		if strings.HasPrefix(url, "https:") {
			return nil
		}
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz answered %s", resp.Status)
		}
		return nil
	})
	ts.Check(err)
}

// cmdStdoutOf looks for a regular expression in what a daemon printed:
// stdout-of NAME REGEXP
func cmdStdoutOf(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "stdout-of NAME REGEXP")
	if text := ts.ReadFile(args[0] + ".out"); !regexp.MustCompile("(?m)" + args[1]).MatchString(text) {
		ts.Fatalf("%s did not print %q:\n%s", args[0], args[1], text)
	}
}

// environ is what a program gets in a script.
func environ(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range []string{"PATH", "HOME", "SOFTHSM2_CONF", "HSMGATED", "TMPDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// cmdTerminate stops a daemon as a supervisor does and wants exit code 0:
// terminate NAME
func cmdTerminate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "terminate NAME")
	r := daemons(ts)[args[0]]
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	if err := r.wait(); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, ts.ReadFile(args[0]+".err"))
	}
}

// cmdKill kills a daemon without a word: kill9 NAME
func cmdKill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "kill9 NAME")
	r := daemons(ts)[args[0]]
	ts.Check(r.cmd.Process.Kill())
	var ended *exec.ExitError
	if err := r.wait(); !errors.As(err, &ended) {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func (r *running) wait() error {
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		return errors.New("it does not end")
	}
}

// cmdEnvFile reads credentials as the shell does: env-file FILE
func cmdEnvFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "env-file FILE")
	out, err := exec.Command("/bin/sh", "-c", `. "$1" && env`, "sh", ts.MkAbs(args[0])).Output()
	ts.Check(err)
	for l := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "=")
		if strings.HasPrefix(name, "HSMGATE_") || strings.HasPrefix(name, "AWS_") {
			ts.Setenv(name, value)
		}
	}
}

// cmdExits runs a program that has to end with a code: exits CODE PROGRAM ARGS...
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "exits CODE PROGRAM ARGS...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdSoon is exits, tried until the code fits: soon CODE PROGRAM ARGS...
func cmdSoon(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "soon CODE PROGRAM ARGS...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(poll(func() error {
		got := 0
		var ended *exec.ExitError
		if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
			got = ended.ExitCode()
		} else if err != nil {
			return permanent{err}
		}
		if got != want {
			return fmt.Errorf("exit code %d, want %d", got, want)
		}
		return nil
	}))
}

// cmdReplace changes the first occurrence of a text in a file: replace FILE OLD NEW
func cmdReplace(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "replace FILE OLD NEW")
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	writeBack(ts, args[0], strings.Replace(text, args[1], args[2], 1))
}

// cmdLine drops a line of a file, or swaps it with the next: line drop|swap FILE N
func cmdLine(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "line drop|swap FILE N")
	lines := strings.SplitAfter(ts.ReadFile(args[1]), "\n")
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	switch {
	case n < 1 || n >= len(lines):
		ts.Fatalf("%s has %d lines", args[1], len(lines)-1)
	case args[0] == "drop":
		lines = slices.Delete(lines, n-1, n)
	default:
		lines[n-1], lines[n] = lines[n], lines[n-1]
	}
	writeBack(ts, args[1], strings.Join(lines, ""))
}

func writeBack(ts *testscript.TestScript, name, text string) {
	path := ts.MkAbs(name)
	info, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(text), info.Mode().Perm()))
}

// cmdMode checks the permissions of files: mode 0600 FILE...
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "mode MODE FILE...")
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}

// cmdCapture puts the last program's output, trimmed, into a variable: capture NAME
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "capture NAME")
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func usage(ts *testscript.TestScript, neg, ok bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// permanent is an error that waiting does not mend.
type permanent struct{ error }

// poll calls f until it is nil, within the patience.
func poll(f func() error) error {
	end := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		var final permanent
		if err == nil || errors.As(err, &final) || time.Now().After(end) {
			return err
		}
		<-tick.C
	}
}
