package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// writes are all writes of a Store; each succeeds on what filled makes.
func writes(ctx context.Context, s *Store) map[string]func() error {
	return map[string]func() error{
		"InsertKey":     func() error { return s.InsertKey(ctx, aKey("new")) },
		"ActivateKey":   func() error { return s.ActivateKey(ctx, home, "intent", aKey("intent").Versions[0]) },
		"SetKeyState":   func() error { return s.SetKeyState(ctx, home, "key-000", StateDisabled, time.Time{}) },
		"DeleteKey":     func() error { return s.DeleteKey(ctx, home, "key-000") },
		"DeleteDueKey":  func() error { return s.DeleteDueKey(ctx, home, "key-001", t0) },
		"MarkDestroyed": func() error { return s.MarkDestroyed(ctx, "tombstone", t0) },
		"InsertReplica": func() error { return s.InsertReplica(ctx, aReplica("key-000")) },
		"Claim":         func() error { return s.Claim(ctx, "tombstone", "me", t0) },
		"AbandonKey":    func() error { return s.AbandonKey(ctx, home, "intent", "me", t0) },
		"ClaimKey":      func() error { return s.ClaimKey(ctx, "key-000", "me", t0) },
		"ReleaseKey":    func() error { return s.ReleaseKey(ctx, "key-000", "me") },
		"AwaitReplicas": func() error { return s.AwaitReplicas(ctx, home, "key-000", 7) },
		"ChangeDescription": func() error {
			return s.ChangeDescription(ctx, home, "key-000", func(string) (string, error) { return "new", nil })
		},
		"ChangeTags":  func() error { return s.ChangeTags(ctx, home, "key-000", tagged("a", "b")) },
		"AddVersion":  func() error { return s.AddVersion(ctx, "key-000", aVersion("noted", 2), t0) },
		"DropVersion": func() error { return s.DropVersion(ctx, "key-001", 2, time.Time{}, t0.Add(-time.Hour)) },
		"SetVersion":  func() error { return s.SetVersion(ctx, "key-000", aVersion("new", 1), t0) },
		"AddMaterial": func() error { return s.AddMaterial(ctx, "external", aVersion("noted", 2), t0) },
		"ReplaceMaterial": func() error {
			return s.ReplaceMaterial(ctx, "external", 1, []byte("imported"), func(v *Version) { v.ObjectID = nil }, t0)
		},
		"DropMaterial":     func() error { return s.DropMaterial(ctx, "external", 1, []byte("imported"), t0.Add(-time.Hour)) },
		"SetRotation":      func() error { return s.SetRotation(ctx, "key-000", 90, t0) },
		"SetPrimaryRegion": func() error { return s.SetPrimaryRegion(ctx, "multi", home) },
		"ReserveUses":      func() error { _, err := s.ReserveUses(ctx, "key-000", 1, 10, 20); return err },
		"PendObject":       func() error { return s.PendObject(ctx, PendingObject{ObjectID: []byte("new"), Since: t0}) },
		"DoomObject":       func() error { _, err := s.DoomObject(ctx, []byte("pending")); return err },
		"ClaimObject":      func() error { return s.ClaimObject(ctx, []byte("doomed"), "me", t0) },
		"SettleObject":     func() error { return s.SettleObject(ctx, []byte("pending")) },
		"InsertImportKey":  func() error { return s.InsertImportKey(ctx, anImportKey("new")) },
		"InsertLogKey":     func() error { _, err := s.InsertLogKey(ctx, aLogKey("new log key")); return err },
		"RetireLogKey":     func() error { _, err := s.RetireLogKey(ctx, "log.example.com/one", t0); return err },
		"DeleteImportKey":  func() error { return s.DeleteImportKey(ctx, "import", t0) },
		"SetLastUses":      func() error { return s.SetLastUses(ctx, []LastUse{{home, "key-000", "Sign", "request", t0}}) },
		"SetDisconnected":  func() error { return s.SetDisconnected(ctx, "token", true, t0) },
		"CreateAlias": func() error {
			return s.CreateAlias(ctx, &Alias{Region: home, Name: "alias/new", KeyID: "key-000", CreatedAt: t0})
		},
		"UpdateAlias":             func() error { return s.UpdateAlias(ctx, home, "alias/a", "key-001", t0) },
		"RevertAlias":             func() error { return s.RevertAlias(ctx, home, "alias/a", "key-000", "key-001", t0) },
		"DeleteAlias":             func() error { return s.DeleteAlias(ctx, home, "alias/a") },
		"InsertPrincipal":         func() error { return s.InsertPrincipal(ctx, aPrincipal("new", "key-000")) },
		"SetPrincipalKeys":        func() error { return s.SetPrincipalKeys(ctx, "arn:a", nil) },
		"DeletePrincipal":         func() error { return s.DeletePrincipal(ctx, "arn:a") },
		"InsertBearer":            func() error { return s.InsertBearer(ctx, aBearer("new", "a")) },
		"DeleteBearer":            func() error { return s.DeleteBearer(ctx, "a1") },
		"InsertAccessKey":         func() error { return s.InsertAccessKey(ctx, anAccessKey("new", "a")) },
		"SetAccessKeyDisabled":    func() error { return disableAccessKey(ctx, s, "a1") },
		"DeleteAccessKey":         func() error { return dropAccessKey(ctx, s, "a1") },
		"ChangeKeyPolicy":         func() error { return setKeyPolicy(ctx, s, "key-000", aDocument(policy.KeyPolicy)) },
		"PutPolicy":               func() error { return s.PutPolicy(ctx, "new", aDocument(policy.IdentityPolicy), t0) },
		"DeletePolicy":            func() error { return s.DeletePolicy(ctx, "spare") },
		"ChangePrincipalPolicies": func() error { return s.ChangePrincipalPolicies(ctx, "arn:a", toNames("spare")) },
		"ChangePrincipalTags":     func() error { return s.ChangePrincipalTags(ctx, "arn:a", toTags([]Tag{{"a", "b"}})) },
		"InsertGrant":             func() error { _, err := s.InsertGrant(ctx, aGrant("new", "key-000", "arn:a"), 10); return err },
		"DeleteGrant":             func() error { return dropGrant(ctx, s, "grant") },
		"ChangeApprovals":         func() error { return putApproval(ctx, s, anApproval("new", "key-000", "arn:a"), aRule(1, "arn:b")) },
		"Publish":                 func() error { return publishAs(ctx, s, "key-000", &Publication{Name: "new", PublishedAt: t0}) },
		"RemoveApprovals":         func() error { _, err := s.RemoveApprovals(ctx, func(*Approval) bool { return true }); return err },
		"UseGrants":               func() error { return s.UseGrants(ctx, t0, "counted") },
	}
}

// everyTable is what the writes write to.
var everyTable = []string{"lines", "keys", "tags", "versions", "pending_objects", "aliases", "last_uses", "import_keys", "log_keys", "disconnected_tokens",
	"principals", "principal_keys", "bearers", "access_keys", "key_policies", "policies", "principal_policies", "principal_tags", "grants",
	"approval_rules", "approvers", "approvals", "publications"}

func filled(t *testing.T) *Store {
	t.Helper()
	s := newStore(t)
	fill(t, s)
	return s
}

func fill(t *testing.T, s *Store) {
	t.Helper()
	insertKeys(t, s, 2)
	ok(t, s.SetKeyState(t.Context(), home, "key-001", StatePendingDeletion, t0))
	ok(t, s.InsertKey(t.Context(), anIntent("intent")))
	ok(t, s.InsertKey(t.Context(), anIntent("tombstone")))
	ok(t, s.DeleteKey(t.Context(), home, "tombstone"))
	ok(t, s.CreateAlias(t.Context(), &Alias{Region: home, Name: "alias/a", KeyID: "key-000", CreatedAt: t0}))
	claim(t, s, "second", "imported", "wrapping import", "wrapping new", "noted", "log key", "new log key")
	ok(t, s.AddVersion(t.Context(), "key-001", aVersion("second", 2), time.Time{}))
	multi := aKey("multi")
	multi.MultiRegion, multi.PrimaryRegion = true, "elsewhere"
	ok(t, s.InsertKey(t.Context(), multi))
	ok(t, s.InsertKey(t.Context(), anExternalKey("external")))
	ok(t, s.AddMaterial(t.Context(), "external", aVersion("imported", 1), t0))
	ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("doomed"), KeyID: "key-000", Since: t0, Doomed: true}))
	ok(t, s.PendObject(t.Context(), PendingObject{ObjectID: []byte("pending"), KeyID: "key-000", Number: 2, Since: t0}))
	ok(t, s.InsertImportKey(t.Context(), anImportKey("import")))
	_, err := s.InsertLogKey(t.Context(), aLogKey("log key"))
	ok(t, err)
	ok(t, s.InsertPrincipal(t.Context(), aPrincipal("a", "key-000")))
	ok(t, s.InsertBearer(t.Context(), aBearer("a1", "a")))
	ok(t, s.InsertAccessKey(t.Context(), anAccessKey("a1", "a")))
	ok(t, setKeyPolicy(t.Context(), s, "key-001", aDocument(policy.KeyPolicy)))
	ok(t, s.PutPolicy(t.Context(), "spare", aDocument(policy.IdentityPolicy), t0))
	ok(t, s.PutPolicy(t.Context(), "used", aDocument(policy.IdentityPolicy), t0))
	ok(t, s.ChangePrincipalPolicies(t.Context(), "arn:a", toNames("used")))
	ok(t, s.ChangePrincipalTags(t.Context(), "arn:a", toTags([]Tag{{"team", "x"}})))
	insertGrant(t, s, aGrant("grant", "key-000", "arn:a"))
	insertGrant(t, s, aGrant("due", "key-001", "arn:b"))
	ok(t, putApproval(t.Context(), s, anApproval("over", "key-000", "arn:b"), aRule(2, "arn:a", "arn:b")))
	insertGrant(t, s, aCounted("counted", "key-000", "arn:a", 9))
}

// unchanged runs all writes, which must fail as asked and leave memory as the
// file is; the Store must work again after mend.
func unchanged(ctx context.Context, t *testing.T, s *Store, failed func(error) bool, mend func()) {
	t.Helper()
	for name, write := range writes(ctx, s) {
		before := contents(s.mem)
		if err := write(); !failed(err) {
			t.Errorf("%s: error %v", name, err)
		}
		equal(t, contents(s.mem), before)
		likeFile(t, s)
	}
	mend()
	ok(t, s.InsertKey(t.Context(), aKey("after")))
}

func TestWritesSucceedOtherwise(t *testing.T) {
	t.Parallel()
	for name := range writes(t.Context(), nil) {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *Store) {
				fill(t, s)
				other := openAgain(t, s)
				before := other.mem
				ok(t, writes(t.Context(), s)[name]())
				ok(t, other.follow(t.Context()))
				sameContents(t, other.mem, s.mem)
				if _, tells := s.database.(*postgres); tells && other.mem != before {
					t.Error("everything was loaded again")
				}
			})
		})
	}
}

// breakCommits has each write leave something behind that is checked at the end
// only, so that it is COMMIT itself that fails.
func breakCommits(t *testing.T, s *Store) (mend func()) {
	t.Helper()
	if p, is := s.database.(*postgres); is {
		run := func(statement string) {
			_, err := p.db.ExecContext(t.Context(), statement)
			ok(t, err)
		}
		run("CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$")
		for _, table := range everyTable {
			run("CREATE CONSTRAINT TRIGGER broken AFTER INSERT OR UPDATE OR DELETE ON " + table + " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION broken()")
		}
		return func() { run("DROP FUNCTION broken() CASCADE") }
	}
	_, err := file(s).writer.ExecContext(t.Context(), `CREATE TABLE broken (x TEXT REFERENCES lines (id) DEFERRABLE INITIALLY DEFERRED) STRICT`)
	ok(t, err)
	for _, table := range everyTable {
		for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
			_, err := file(s).writer.ExecContext(t.Context(), `CREATE TRIGGER broken_`+table+event+` AFTER `+event+` ON `+table+`
				BEGIN INSERT INTO broken VALUES ('no such key'); END`)
			ok(t, err)
		}
	}
	return func() {
		for _, table := range everyTable {
			for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
				_, err := file(s).writer.ExecContext(t.Context(), `DROP TRIGGER broken_`+table+event)
				ok(t, err)
			}
		}
	}
}

func TestAWriteThatCannotBeCommittedChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		fill(t, s)
		mend := breakCommits(t, s)
		unchanged(t.Context(), t, s, func(err error) bool { return err != nil && strings.Contains(err.Error(), "commit") }, mend)
	})
}

func TestAFullDiskChangesNothing(t *testing.T) {
	t.Parallel()
	s := filled(t)
	var pages int
	ok(t, file(s).writer.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	limit := func(n int) {
		t.Helper()
		var got int
		ok(t, file(s).writer.QueryRowContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(n)).Scan(&got))
	}
	limit(pages)
	large := aKey("large")
	large.Description = strings.Repeat("x", 1<<20)
	before := contents(s.mem)
	var e sqlite3.Error
	if err := s.InsertKey(t.Context(), large); !errors.As(err, &e) || e.Code != sqlite3.ErrFull {
		t.Fatalf("error %v, want a full disk", err)
	}
	equal(t, contents(s.mem), before)
	likeFile(t, s)
	limit(1 << 20)
	ok(t, s.InsertKey(t.Context(), large))
}

func TestACancelledWriteChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		unchanged(ctx, t, filled(t), func(err error) bool { return errors.Is(err, context.Canceled) }, func() {})
	})
}

// A write that has begun ends one way or the other, whoever has gone away, and
// the connection lives on.
func TestCancelledInsideAWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			k := aKey(strconv.Itoa(i))
			ok(t, s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
				cancel()
				k = k.stored()
				k.State, k.Versions = StateCreating, nil
				err := insertLine(ctx, tx, k.ID, &k.Line)
				return func(m *memory) { m.putKey(k) }, errors.Join(err, insertMember(ctx, tx, k))
			}))
		}
		equal(t, len(s.Creating()), 3)
	})
}

// A commit that fails may have reached the file all the same: it is read again.
func TestAFailedCommitIsLookedUp(t *testing.T) {
	t.Parallel()
	s := filled(t)
	before := s.mem
	ok(t, s.follow(t.Context()))
	if s.mem != before {
		t.Fatal("loaded without a reason")
	}
	err := s.write(t.Context(), func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		_, err := tx.ExecContext(ctx, "PRAGMA defer_foreign_keys = on")
		ok(t, err)
		_, err = tx.ExecContext(ctx, "INSERT INTO aliases VALUES ('x', 'alias/x', 'no such key', 0, 0)")
		return func(*memory) {}, err
	})
	is(t, err, ErrNotFound)
	ok(t, s.follow(t.Context()))
	if s.mem == before {
		t.Error("not read again")
	}
}

// Who waits for another write gives up when its own time is over.
func TestWaitingForAWriteEndsWithTheContext(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			left <- s.write(t.Context(), func(context.Context, *sql.Tx) (func(*memory), error) {
				close(inside)
				<-leave
				return func(*memory) {}, nil
			})
		}()
		<-inside
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		is(t, s.InsertKey(ctx, aKey("k")), context.DeadlineExceeded)
		if _, found := s.Key(home, "k"); found { // and reads do not wait at all
			t.Error("found")
		}
		close(leave)
		ok(t, <-left)
		ok(t, s.InsertKey(t.Context(), aKey("k")))
	})
}

// Another process that holds the write lock is waited for, then named.
func TestAnotherProcessHoldsTheLock(t *testing.T) {
	t.Parallel()
	s := filled(t)
	o := openAgain(t, s)
	_, err := file(s).writer.ExecContext(t.Context(), "PRAGMA busy_timeout = 10")
	ok(t, err)
	tx, err := file(o).writer.BeginTx(t.Context(), nil)
	ok(t, err)
	before := contents(s.mem)
	var e sqlite3.Error
	if err := s.InsertKey(t.Context(), aKey("k")); !errors.As(err, &e) || e.Code != sqlite3.ErrBusy {
		t.Errorf("error %v, want busy", err)
	}
	equal(t, contents(s.mem), before)
	ok(t, tx.Rollback())
	ok(t, s.InsertKey(t.Context(), aKey("k")))
}

// SQLite itself would go on in a file that has no name any more.
func TestTheFileIsMovedOrReplaced(t *testing.T) {
	t.Parallel()
	s := filled(t)
	s.Watch(t.Context())
	aside := file(s).path + ".aside"
	move := func(from, to string) { ok(t, os.Rename(from, to)) }
	move(file(s).path, aside)
	before := contents(s.mem)
	for name, write := range writes(t.Context(), s) {
		if err := write(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	equal(t, contents(s.mem), before)
	until(t, "the failure is told", func() bool { return s.Ready() != nil })
	ok(t, os.WriteFile(file(s).path, nil, 0o600))
	if err := s.InsertKey(t.Context(), aKey("lost")); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("written to a file without a name: %v", err)
	}
	move(aside, file(s).path)
	until(t, "it mends itself", func() bool { return s.Ready() == nil })
	ok(t, s.InsertKey(t.Context(), aKey("kept")))
	likeFile(t, s)
}

func TestAfterClose(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		fill(t, s)
		ok(t, s.Close())
		ok(t, s.Close())
		unchangedMemory := contents(s.mem)
		for name, write := range writes(t.Context(), s) {
			if err := write(); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: error %v", name, err)
			}
		}
		equal(t, contents(s.mem), unchangedMemory)
		if _, found := s.Key(home, "key-000"); !found {
			t.Error("requests under way lose their key at Close")
		}
	})
}
