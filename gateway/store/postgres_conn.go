package store

import (
	"context"
	"database/sql/driver"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector makes connections that take the placeholders of SQLite, so that both
// databases run the same statements.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return conn{inner.(*stdlib.Conn)}, nil
}

type conn struct{ *stdlib.Conn }

func (c conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.ExecContext(ctx, numbered(query), args)
}

func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.QueryContext(ctx, numbered(query), args)
}

func (c conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.PrepareContext(ctx, numbered(query))
}

// numbered writes $1, $2 … for each ?. No statement of this package has one in a
// literal.
func numbered(query string) string {
	if !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	for n, part := range strings.Split(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
	}
	return b.String()
}

// The pauses before a connection that listens is made anew.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// listen keeps one connection that waits for the notifications of other
// processes. What may have been missed while there was none is told, too.
func (p *postgres) listen(ctx context.Context) <-chan struct{} {
	told := make(chan struct{}, 1)
	p.listening.Go(func() {
		pause := firstPause
		for ctx.Err() == nil {
			if p.hear(ctx, told) {
				pause = firstPause
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, lastPause)
		}
	})
	return told
}

// hear listens until the connection ends; heard says whether there was one.
func (p *postgres) hear(ctx context.Context, told chan<- struct{}) (heard bool) {
	c, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return false // whoever follows gets the error, too
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(end) // it may have ended by itself
	}()
	if _, err := c.Exec(ctx, "LISTEN hsmgate"); err != nil {
		return false
	}
	for {
		select {
		case told <- struct{}{}:
		default:
		}
		for {
			n, err := c.WaitForNotification(ctx)
			if err != nil {
				return true
			}
			if n.Payload != p.name { // its own writes are in memory already
				break
			}
		}
	}
}
