package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	connectTimeout = 5 * time.Second
	// migrationLock is any number that no other program takes.
	migrationLock = 0x68736d67617465
	// someChanges are few enough to be taken one by one; beyond, loading everything
	// is as quick.
	someChanges = 2000
)

// session is what each connection is set to. synchronous_commit may wait for more
// than this server, never for less.
const session = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
	SET idle_in_transaction_session_timeout = '10s'`

// errReadOnly is a server that reads alone, such as one that follows another.
var errReadOnly = errors.New("the server is read-only")

// postgres is a database of a PostgreSQL server, which processes of many machines
// may use. Its version is the number and the nonce of a revision: a number alone
// might come again, in a server that took over without the last writes.
type postgres struct {
	config    *pgx.ConnConfig
	name      string   // application_name, of this Store alone
	secrets   []string // never in an error
	db        *sql.DB
	listening sync.WaitGroup
}

func newPostgres(dsn string) (*postgres, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // its text may hold the password
		return nil, errors.New("the DSN cannot be read: postgres://user:password@host/database or words such as host=… dbname=… are asked for")
	}
	p := &postgres{config: config, secrets: []string{dsn}}
	if config.Password != "" {
		p.secrets = append(p.secrets, config.Password, url.QueryEscape(config.Password), url.PathEscape(config.Password))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	p.name = "hsmgate " + rand.Text()
	config.RuntimeParams["application_name"] = p.name
	return p, nil
}

func (p *postgres) String() string {
	return fmt.Sprintf("database %s of %s", p.config.Database, p.config.Host)
}

func (p *postgres) open(ctx context.Context, _ string) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	return p.scrub(p.migrate(ctx))
}

func (p *postgres) look(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	return p.scrub(upToDate(ctx, p.db, "postgres", "SELECT to_regclass('goose_db_version') IS NOT NULL"))
}

func (p *postgres) connect(ctx context.Context) error {
	ready := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().Exec(ctx, session).ReadAll()
		return err
	})
	p.db = sql.OpenDB(connector{stdlib.GetConnector(*p.config, ready)})
	p.db.SetMaxOpenConns(maxConnections)
	if err := p.db.PingContext(ctx); err != nil {
		return p.typed(err)
	}
	return nil
}

// migrate lets one process at a time do it.
func (p *postgres) migrate(ctx context.Context) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // ends the lock
	if _, err := tx.ExecContext(ctx, "SELECT set_config('idle_in_transaction_session_timeout', '0', true), pg_advisory_xact_lock(?)", int64(migrationLock)); err != nil {
		return err
	}
	plain := stdlib.OpenDB(*p.config) // whose statements are nobody's but goose's
	return errors.Join(migrate(ctx, goose.DialectPostgres, plain, "postgres"), plain.Close())
}

// usesSince is when migration 1 ran. goose keeps the local time of the session.
func (p *postgres) usesSince() string {
	return "SELECT tstamp AT TIME ZONE current_setting('TimeZone') FROM goose_db_version WHERE version_id = 1 ORDER BY id DESC LIMIT 1"
}

func (p *postgres) reader() *sql.DB { return p.db }

func (p *postgres) begin(ctx context.Context) (tx *sql.Tx, before, after string, err error) {
	// Once the row is ours, each statement sees all that was committed before.
	if tx, err = p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}); err != nil {
		return nil, "", "", err
	}
	if err := tx.QueryRowContext(ctx, "UPDATE revision SET number = number + 1 RETURNING (number - 1) || ' ' || previous, number || ' ' || nonce").Scan(&before, &after); err != nil {
		tx.Rollback()
		return nil, "", "", err
	}
	return tx, before, after, nil
}

func (p *postgres) snapshot(ctx context.Context, known string) (tx *sql.Tx, version string, err error) {
	if tx, err = p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead}); err != nil {
		return nil, "", err
	}
	var readOnly string
	err = tx.QueryRowContext(ctx, "SELECT number || ' ' || nonce, current_setting('transaction_read_only') FROM revision").Scan(&version, &readOnly)
	switch {
	case err == nil && readOnly == "on":
		err = errReadOnly
	case err == nil && version != known:
		return tx, version, nil
	}
	tx.Rollback()
	return nil, version, err
}

func (p *postgres) changed(ctx context.Context, tx *sql.Tx, since string) (news, error) {
	if since == unknown {
		return nil, nil
	}
	number, nonce, _ := strings.Cut(since, " ")
	revision, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, err
	}
	var kept bool
	var count int
	err = tx.QueryRowContext(ctx, "SELECT count(*) FILTER (WHERE revision = ? AND kind = 'revision' AND id = ?) > 0, count(*) FROM changes WHERE revision >= ?",
		revision, nonce, revision).Scan(&kept, &count)
	if err != nil || !kept || count > someChanges {
		return nil, err
	}
	n := news{}
	rows, err := tx.QueryContext(ctx, "SELECT DISTINCT kind, region, id FROM changes WHERE revision > ?", revision)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k kind
		var c changed
		if err := rows.Scan(&k, &c.region, &c.id); err != nil {
			return nil, err
		}
		n[k] = append(n[k], c)
	}
	return n, rows.Err()
}

func (p *postgres) bound(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// typed tells what the caller did wrong from what is wrong with the database,
// where connections begin anew: the next may reach a server that is better.
func (p *postgres) typed(err error) error {
	for _, ours := range []error{ErrNotFound, ErrExists, ErrState, ErrInvalid, ErrClaimed, ErrElsewhere, ErrClosed, ErrFull, ErrNoPrincipal, ErrUsedUp, ErrUnavailable} {
		if errors.Is(err, ours) {
			return err
		}
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code == "23505":
			return fmt.Errorf("%w: %w", ErrExists, p.scrub(err))
		case e.Code == "23503":
			return fmt.Errorf("%w: %w", ErrNotFound, p.scrub(err))
		case strings.HasPrefix(e.Code, "23"), strings.HasPrefix(e.Code, "22"): // constraints, data
			return fmt.Errorf("%w: %w", ErrInvalid, p.scrub(err))
		}
	}
	p.db.SetMaxIdleConns(0) // closes them
	p.db.SetMaxIdleConns(maxConnections)
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, advice(err, e), p.scrub(err))
}

// advice is what to do about a server that does not serve. The classes of codes
// are those of appendix A of PostgreSQL's manual.
func advice(err error, e *pgconn.PgError) string {
	code := "     "
	if e != nil && len(e.Code) == len(code) {
		code = e.Code
	}
	switch {
	case errors.Is(err, errReadOnly), code == "25006", strings.Contains(err.Error(), "read only connection"):
		return "it takes no writes: let the DSN name the server that does, or all of them"
	case code[:2] == "28", code == "3D000", code == "42501":
		return "let the DSN name a database that is there and a user who may use it, with the right password"
	case code == "53100":
		return "free its disk"
	case code[:2] == "53":
		return "it has no more connections or memory: give it more, or end others"
	case code == "55P03", code == "40P01", code == "25P03", code == "57014", errors.Is(err, context.DeadlineExceeded):
		return "it takes too long, or another process holds its lock: look at pg_stat_activity"
	case code[:2] == "42", code[:2] == "XX":
		return "its schema or its files are damaged: look at the server's log"
	}
	return "start it, or mend the network between"
}

// scrub takes secrets out of an error, with all that is inside it.
func (p *postgres) scrub(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range p.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func (p *postgres) close() error {
	p.listening.Wait()
	if p.db == nil {
		return nil
	}
	return p.db.Close()
}
