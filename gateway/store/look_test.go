package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func lookAt(ctx context.Context, place string) (*Store, error) {
	if strings.HasPrefix(place, "host=") {
		return LookPostgres(ctx, place)
	}
	return Look(ctx, place)
}

// handle runs statements beside a Store.
func handle(s *Store) *sql.DB {
	if p, is := s.database.(*postgres); is {
		return p.db
	}
	return file(s).db
}

// Look sees what Open wrote, and leaves an older schema as it is.
func TestLook(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		seen, err := lookAt(t.Context(), placeOf(s))
		ok(t, err)
		equal(t, seen.KeyCount(), 2)
		ok(t, seen.Close())

		db := handle(s)
		var last int
		ok(t, db.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&last))
		_, err = db.ExecContext(t.Context(), "UPDATE goose_db_version SET version_id = -version_id WHERE version_id = ?", last)
		ok(t, err)
		for range 2 {
			_, err := lookAt(t.Context(), placeOf(s))
			is(t, err, ErrOlder)
		}
		_, err = db.ExecContext(t.Context(), "UPDATE goose_db_version SET version_id = ? WHERE version_id = ?", last, -last)
		ok(t, err)
	})
}

// Look makes no file.
func TestLookAtNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hsmgate.db")
	_, err := Look(t.Context(), path)
	is(t, err, fs.ErrNotExist)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}
