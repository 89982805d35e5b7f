package store

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
)

// A database of the first version of the schema, which knew one region, opens
// with everything in the home region, and nothing is lost.
func TestMigrationFromTheFirstVersion(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hsmgate.db")
	ok(t, private(path))
	db, err := sql.Open("sqlite3", dsn(path))
	ok(t, err)
	dir, err := fs.Sub(migrations, "migrations/sqlite")
	ok(t, err)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	ok(t, err)
	_, err = p.UpTo(t.Context(), 1)
	ok(t, err)
	_, err = db.ExecContext(t.Context(), `
		INSERT INTO keys VALUES ('a', 'ECC_NIST_P256', 'SIGN_VERIFY', 'of a', 'Enabled', 1000, NULL, NULL),
			('b', 'RSA_2048', 'ENCRYPT_DECRYPT', '', 'PendingDeletion', 2000, 3000, NULL),
			('c', 'ECC_NIST_P256', 'SIGN_VERIFY', '', 'Creating', 1000, NULL, NULL),
			('d', 'ECC_NIST_P256', 'SIGN_VERIFY', '', 'Deleted', 1000, NULL, 4000);
		INSERT INTO versions VALUES ('a', 1, x'0a', x'aa', 1000), ('b', 1, x'0b', x'bb', 2000), ('c', 1, x'0c', NULL, 1000), ('d', 1, x'0d', x'dd', 1000);
		INSERT INTO aliases VALUES ('alias/one', 'a', 1000, 1500), ('alias/two', 'b', 1000, 1000);
		INSERT INTO principals VALUES ('arn:p', 'p', 'user', 1000), ('arn:q', 'q', 'administrator', 1000);
		INSERT INTO principal_keys VALUES ('arn:p', 'a'), ('arn:p', 'b');
		INSERT INTO bearers VALUES ('bearer', zeroblob(32), 'arn:p', 1000, 2000);
		INSERT INTO access_keys VALUES ('access', x'01', 'arn:q', 1000, NULL, 1)`)
	ok(t, err)
	ok(t, db.Close())

	s := newAt(t, path)
	equal(t, ids(s.AllKeys()), []string{"a", "b"})
	a, _ := s.Key(home, "a")
	unix := func(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
	one := Version{Number: 1, ObjectID: []byte{0x0a}, PublicKey: []byte{0xaa}, CreatedAt: unix(1000), CurrentAt: unix(1000)}
	equal(t, a, &Key{Region: home, ID: "a", Description: "of a", State: StateEnabled, CreatedAt: unix(1000),
		Line: Line{Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY", Origin: "AWS_KMS", Versions: []Version{one}}})
	b, _ := s.Key(home, "b")
	equal(t, []any{b.State, b.DeletionAt, b.Usage}, []any{StatePendingDeletion, unix(3000), "ENCRYPT_DECRYPT"})
	equal(t, ids(s.Creating()), []string{"c"})
	ok(t, s.AbandonKey(t.Context(), home, "c", "me", t0)) // nobody's, since owners were not known
	equal(t, ids(s.Undestroyed()), []string{"c"})
	equal(t, s.mem.lines["d"][0].DestroyedAt, unix(4000))
	is(t, s.InsertKey(t.Context(), aKey("d")), ErrExists)

	list, _ := s.Aliases(home, "", "", 10)
	equal(t, names(list), []string{"alias/one", "alias/two"})
	equal(t, *list[0], Alias{Region: home, Name: "alias/one", KeyID: "a", CreatedAt: unix(1000), UpdatedAt: unix(1500)})
	principal, _ := s.Principal("arn:p")
	equal(t, principal, &Principal{ARN: "arn:p", Name: "p", Role: "user", Keys: []string{"a", "b"}, CreatedAt: unix(1000)})
	bearer, _ := s.Bearer("bearer")
	equal(t, bearer, &Bearer{ID: "bearer", Hash: make([]byte, 32), PrincipalARN: "arn:p", CreatedAt: unix(1000), ExpiresAt: unix(2000)})
	access, _ := s.AccessKey("access")
	equal(t, access, &AccessKey{ID: "access", SealedSecret: []byte{1}, PrincipalARN: "arn:q", CreatedAt: unix(1000), Disabled: true})
	ok(t, s.DeletePrincipal(t.Context(), "arn:p"))
	ok(t, s.ChangeTags(t.Context(), home, "a", toTags([]Tag{{"name", "value"}})))
	sound(t, s)
}
