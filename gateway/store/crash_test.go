package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

// The test binary is also the process that gets killed.
const (
	crashFile = "HSMGATE_STORE_CRASH_FILE"
	crashMode = "HSMGATE_STORE_CRASH_MODE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		if err := victim(context.Background(), path, os.Getenv(crashMode)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.Main(m)
}

// victim writes without end and says on standard output what is done. It is
// killed; it stops by itself only when its parent is gone.
func victim(ctx context.Context, path, mode string) error {
	s, err := openAt(ctx, path)
	if err != nil {
		return err
	}
	if mode == "inside" {
		return stopInside(ctx, s)
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%06d", mode, i)
		for step, do := range life(ctx, s, id) {
			if err := do(); err != nil {
				return fmt.Errorf("%s step %d: %w", id, step, err)
			}
			if _, err := fmt.Println(id, step); err != nil {
				return err
			}
		}
	}
}

// life is what befalls a key, write by write.
func life(ctx context.Context, s *Store, id string) []func() error {
	return []func() error{
		func() error { return s.InsertKey(ctx, anIntent(id)) },
		func() error { return s.ActivateKey(ctx, home, id, aKey(id).Versions[0]) },
		func() error {
			return s.CreateAlias(ctx, &Alias{Region: home, Name: "alias/" + id, KeyID: id, CreatedAt: t0})
		},
		func() error { return s.SetKeyState(ctx, home, id, StatePendingDeletion, t0) },
		func() error { return s.DeleteDueKey(ctx, home, id, t0) },
		func() error { return s.MarkDestroyed(ctx, id, t0) },
	}
}

// stepsOf tells how many steps of its life the file shows.
func stepsOf(s *Store, id string) int {
	k, known := s.mem.key(home, id)
	_, alias := s.Alias(home, "alias/"+id)
	switch {
	case !known:
		return 0
	case k.State == StateCreating && k.Versions[0].PublicKey == nil:
		return 1
	case k.State == StateEnabled && k.Versions[0].PublicKey != nil && !alias:
		return 2
	case k.State == StateEnabled && alias:
		return 3
	case k.State == StatePendingDeletion && alias && k.DeletionAt.Equal(stored(t0)):
		return 4
	case k.State == StateDeleted && k.DestroyedAt.IsZero() && !alias:
		return 5
	case k.State == StateDeleted && k.DestroyedAt.Equal(stored(t0)) && !alias:
		return 6
	}
	return -1
}

// stopInside leaves a transaction open that has already reached the file: more
// was written than SQLite keeps in memory.
func stopInside(ctx context.Context, s *Store) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if _, err := tx.ExecContext(ctx, "UPDATE keys SET state = 'Disabled' WHERE id = 'kept'"); err != nil {
			return nil, err
		}
		for i := range 100 {
			if err := insertLine(ctx, tx, fmt.Sprint("half-", i), &Line{Spec: strings.Repeat("0", 100_000)}); err != nil {
				return nil, err
			}
		}
		fmt.Println("inside")
		_, err := bufio.NewReader(os.Stdin).ReadString('\n') // ends with the parent
		return func(*memory) {}, err
	})
}

// start runs a victim and returns the lines that it prints.
func start(t *testing.T, path, mode string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), crashFile+"="+path, crashMode+"="+mode)
	c.Stderr = os.Stderr
	_, err = c.StdinPipe() // open as long as this process lives
	ok(t, err)
	out, err := c.StdoutPipe()
	ok(t, err)
	ok(t, c.Start())
	return c, bufio.NewScanner(out)
}

// kill sends SIGKILL and reads the rest of what the victim had said.
func kill(t *testing.T, c *exec.Cmd, lines *bufio.Scanner, heard func(string)) {
	t.Helper()
	ok(t, c.Process.Kill())
	for lines.Scan() {
		heard(lines.Text())
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the victim ended by itself: %v", err)
	}
}

func sound(t *testing.T, s *Store) {
	t.Helper()
	if _, is := s.database.(*sqlite); !is {
		return // another process was killed, not the server
	}
	var result string
	ok(t, file(s).writer.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&result))
	equal(t, result, "ok")
	err := file(s).writer.QueryRowContext(t.Context(), "SELECT 'broken' FROM pragma_foreign_key_check").Scan(&result)
	is(t, err, sql.ErrNoRows)
}

// Whatever was acknowledged before kill -9 is there, at most the one write
// under way on top of it, and nothing by halves. A process that had the file
// open sees the same.
func TestKilledBetweenAndInWrites(t *testing.T) { onBoth(t, killedBetweenAndInWrites) }

func killedBetweenAndInWrites(t *testing.T, witness *Store) {
	path := placeOf(witness)
	kills := 25
	if testing.Short() {
		kills = 5
	}
	for n := range kills {
		c, lines := start(t, path, fmt.Sprintf("run%02d", n))
		done := map[string]int{}
		heard := func(line string) {
			var id string
			var step int
			if _, err := fmt.Sscan(line, &id, &step); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			done[id] = step + 1
		}
		for range 1 + rand.IntN(60) {
			if !lines.Scan() {
				break
			}
			heard(lines.Text())
		}
		for end := time.Now().Add(rand.N(2 * time.Millisecond)); time.Now().Before(end); { // anywhere in a write
		}
		kill(t, c, lines, heard)

		s := openStore(t, path)
		sound(t, s)
		ok(t, witness.follow(t.Context()))
		sameContents(t, witness.mem, s.mem)
		ahead := 0
		for id, steps := range done {
			switch have := stepsOf(s, id); have {
			case steps:
			case steps + 1:
				ahead++
			default:
				t.Errorf("%s: %d steps were acknowledged, the file shows %d", id, steps, have)
			}
		}
		last := fmt.Sprintf("run%02d-%06d", n, len(done)) // the key after the last one that was heard of
		if have := stepsOf(s, last); have == 1 {
			ahead++
		} else if have != 0 {
			t.Errorf("%s: never heard of, the file shows %d steps", last, have)
		}
		if ahead > 1 {
			t.Errorf("%d writes that were not acknowledged, at most one was under way", ahead)
		}
		ok(t, s.InsertKey(t.Context(), aKey(fmt.Sprint("after-", n))))
	}
	ok(t, witness.follow(t.Context()))
}

func TestKilledInsideATransaction(t *testing.T) { onBoth(t, killedInsideATransaction) }

func killedInsideATransaction(t *testing.T, before *Store) {
	path := placeOf(before)
	ok(t, before.InsertKey(t.Context(), aKey("kept")))
	c, lines := start(t, path, "inside")
	if !lines.Scan() || lines.Text() != "inside" {
		t.Fatalf("the victim said %q", lines.Text())
	}
	if _, is := before.database.(*sqlite); is {
		wal, err := os.Stat(path + "-wal")
		ok(t, err)
		if wal.Size() < 1<<20 {
			t.Errorf("the open transaction has not reached the file: %d bytes", wal.Size())
		}
	}
	kill(t, c, lines, func(string) {})

	s := openStore(t, path)
	sound(t, s)
	keys, _ := s.Keys(home, "", 10)
	equal(t, ids(keys), []string{"kept"})
	equal(t, keys[0].State, StateEnabled)
	ok(t, s.InsertKey(t.Context(), aKey("after"))) // the lock went with the victim
	ok(t, before.follow(t.Context()))
	sameContents(t, before.mem, s.mem)
}
