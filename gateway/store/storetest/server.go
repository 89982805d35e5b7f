// Package storetest runs a real PostgreSQL server for tests, from Debian's
// package: /usr/lib/postgresql, or the folder that HSMGATE_POSTGRES_BIN names.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server in a temporary folder, reached by a Unix socket
// in it. It is never run as root, which PostgreSQL refuses.
type Server struct {
	bin, dir string
	password string
	as       *syscall.Credential // nil: as this user
	process  *os.Process
	ended    chan error
	log      bytes.Buffer // of one life; read it after the end
}

// start makes a server and starts it.
func start() (s *Server, err error) {
	s = &Server{password: rand.Text()}
	if s.bin, err = programs(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "hsmgate-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.dir) // tidies
		}
	}()
	if os.Geteuid() == 0 {
		if s.as, err = unprivileged(); err != nil {
			return nil, err
		}
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return nil, err
	}
	if s.as != nil {
		for _, path := range []string{s.dir, secret} {
			if err := os.Chown(path, int(s.as.Uid), int(s.as.Gid)); err != nil {
				return nil, err
			}
		}
	}
	c := s.command("initdb", "-D", s.data(), "-U", "hsmgate", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale", "C.UTF-8", "-N")
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s, s.Run()
}

// programs is the folder with the newest server's programs.
func programs() (string, error) {
	if dir := os.Getenv("HSMGATE_POSTGRES_BIN"); dir != "" {
		return dir, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("there is no PostgreSQL server in /usr/lib/postgresql: .ci/install-deps.sh test installs it (%w)", os.ErrNotExist)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) })), nil
}

func major(path string) int {
	n, err := strconv.Atoi(strings.Split(path, "/")[4])
	if err != nil {
		return 0
	}
	return n
}

func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	// The server ends with this process, however that ends.
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	return c
}

// Run starts a server that was stopped, and waits until it serves.
func (s *Server) Run() error {
	s.log.Reset()
	c := s.command("postgres", "-D", s.data(), "-k", s.dir, "-h", "", "-c", "fsync=off", "-c", "max_connections=300")
	c.Stdout, c.Stderr = &s.log, &s.log
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()         // the death of the thread would count as that of the process
		defer runtime.UnlockOSThread() // and other processes may have been started by it
		err := c.Start()
		started <- err
		if err == nil {
			ended <- c.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.ended = c.Process, ended
	for {
		conn, err := pgx.Connect(context.Background(), s.dsn("postgres"))
		if err == nil {
			return conn.Close(context.Background())
		}
		select {
		case end := <-ended:
			s.process = nil
			return fmt.Errorf("postgres ended: %w\n%s", end, s.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop cuts all connections and stops the server.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(syscall.SIGINT); err != nil { // "fast shutdown"
		return err
	}
	s.process = nil
	return <-s.ended
}

func (s *Server) remove() {
	if s.process != nil {
		_ = s.Thaw() // a frozen one would not stop
	}
	if err := s.Stop(); err != nil {
		fmt.Fprintf(os.Stderr, "postgres: %v\n%s\n", err, s.log.String())
	}
	_ = os.RemoveAll(s.dir) // tidies
}

func (s *Server) dsn(database string) string {
	return fmt.Sprintf("host=%s port=5432 user=hsmgate password=%s dbname=%s", s.dir, s.password, database)
}

// Password is the secret in each DSN.
func (s *Server) Password() string { return s.password }

// New makes a server of the test's own, to be stopped and run at will.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// DSN makes a database and tells how to reach it; it goes with the test.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.exec("DROP DATABASE " + name + " WITH (FORCE)") }) // the server may be stopped
	return s.dsn(name)
}

// Admin runs a statement as the superuser, also where a transaction is read-only
// by default.
func (s *Server) Admin(sql string) error { return s.exec(sql) }

// Freeze stops every process of the server where it is: connections stay open and
// nothing answers, as when a network swallows everything. Thaw lets them go on.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

// signal signals the server and its processes, which are its children.
func (s *Server) signal(sig syscall.Signal) error {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.process.Pid, s.process.Pid))
	if err != nil {
		return err
	}
	for _, word := range append(strings.Fields(string(children)), strconv.Itoa(s.process.Pid)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func (s *Server) exec(sql string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "SET default_transaction_read_only = off"); err != nil {
		return err
	}
	_, err = c.Exec(ctx, sql)
	return err
}

// shared is the one server of the test process.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// DSN makes a database on the server that all tests of a process share. It is
// started at the first call; Main stops it.
func DSN(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = start() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.DSN(t)
}

// Main runs the tests and stops the shared server: the TestMain of a package
// that calls DSN.
func Main(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}
