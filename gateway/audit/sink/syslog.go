package sink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// syslog sends RFC 5424 messages: one in each datagram (RFC 5426), or counted by octets on a stream (RFC 6587, section
// 3.4.1, and RFC 5425). To a socket of this machine it writes what syslog(3) does, which is what its readers take there:
// rsyslog and journald would take the header of RFC 5424 for text.
type syslog struct {
	at   address
	tls  *tls.Config
	host string
	conn net.Conn
	raw  syscall.RawConn // of TCP, to see what the other side has
}

// address is where syslog messages go.
type address struct {
	network string // unix, udp, tcp or tls
	where   string
}

const addressRight = "unix:///dev/log, udp://host:514, tcp://host:601 or tls://host:6514 would be right"

func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return address{}, fmt.Errorf("%q is no address: %s", text, addressRight)
	}
	switch u.Scheme {
	case "unix":
		if u.Host == "" && strings.HasPrefix(u.Path, "/") {
			return address{"unix", u.Path}, nil
		}
	case "udp", "tcp", "tls":
		if _, port, err := net.SplitHostPort(u.Host); err == nil && port != "" && u.Hostname() != "" && u.Path == "" {
			return address{u.Scheme, u.Host}, nil
		}
	}
	return address{}, fmt.Errorf("%q is no address: %s", text, addressRight)
}

func newSyslog(c Config) (*syslog, error) {
	at, err := parseAddress(c.Address)
	if err != nil {
		return nil, err
	}
	s := &syslog{at: at}
	if s.host, err = os.Hostname(); err != nil {
		return nil, err
	}
	if at.network == "tls" {
		s.tls, err = clientTLS(c.CAFile)
	}
	return s, err
}

func (s *syslog) stream() bool { return s.at.network == "tcp" || s.at.network == "tls" }

func (s *syslog) deliver(ctx context.Context, batch []message) error {
	if err := s.send(ctx, batch); err != nil {
		s.close() // a stream may have ended within a message
		return err
	}
	return nil
}

func (s *syslog) send(ctx context.Context, batch []message) error {
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
	}
	if end, ok := ctx.Deadline(); ok {
		if err := s.conn.SetDeadline(end); err != nil {
			return err
		}
	}
	conn := s.conn
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if !s.stream() {
		return s.datagrams(batch)
	}
	var b []byte
	for i := range batch {
		text := s.format(&batch[i], batch[i].text)
		b = append(append(strconv.AppendInt(b, int64(len(text)), 10), ' '), text...)
	}
	if _, err := s.conn.Write(b); err != nil {
		return err
	}
	return s.arrived(ctx)
}

func (s *syslog) dial(ctx context.Context) (err error) {
	s.raw = nil
	switch s.at.network {
	case "unix":
		s.conn, err = new(net.Dialer).DialContext(ctx, "unixgram", s.at.where)
		return err
	case "udp":
		s.conn, err = new(net.Dialer).DialContext(ctx, "udp", s.at.where)
		return err
	}
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", s.at.where)
	if err != nil {
		return err
	}
	if s.raw, err = plain.(*net.TCPConn).SyscallConn(); err != nil {
		return errors.Join(err, plain.Close())
	}
	s.conn = plain
	if s.at.network == "tls" {
		c := s.tls.Clone()
		c.ServerName, _, _ = net.SplitHostPort(s.at.where)
		secure := tls.Client(plain, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			s.conn = nil
			return errors.Join(err, plain.Close())
		}
		s.conn = secure
	}
	return nil
}

// arrived waits until the other machine has acknowledged all bytes: syslog itself has no word for it, and a write to a
// connection that the other side has closed succeeds.
func (s *syslog) arrived(ctx context.Context) error {
	for {
		left, broken := 0, 0
		var err error
		if controlErr := s.raw.Control(func(fd uintptr) {
			if left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
				broken, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
			}
		}); controlErr != nil {
			return controlErr
		}
		switch {
		case err != nil:
			return err
		case broken != 0:
			return unix.Errno(broken)
		case left == 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d bytes are not acknowledged: %w", left, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// datagrams sends one message in each. One that is too long for a datagram gives way to a line that says where it is.
func (s *syslog) datagrams(batch []message) error {
	for i := range batch {
		m := &batch[i]
		_, err := s.conn.Write(s.format(m, m.text))
		if errors.Is(err, unix.EMSGSIZE) {
			short := fmt.Appendf(nil, `{"seq":%d,"hash":"%x","tooLong":%d}`, m.Seq, m.Hash, len(m.text))
			_, err = s.conn.Write(s.format(m, short))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// facility is authpriv, which syslog daemons keep from all but administrators.
const facility = 10

// Severities of RFC 5424, section 6.2.1.
var severities = map[string]int{"denied": 4, "failed": 4, "invalid": 5}

// maxMessageID is of RFC 5424, section 6.
const maxMessageID = 32

// maxSequence is the last of sequenceId, which begins anew with 1 (RFC 5424, section 7.3.1).
const maxSequence = 2147483647

// format makes the message of a record; its time is that of the record.
func (s *syslog) format(m *message, text []byte) []byte {
	severity, ok := severities[m.record.Outcome]
	if !ok {
		severity = 6
	}
	if m.record.Operation == "Alert" {
		severity = 1
	}
	if s.at.network == "unix" {
		return append(fmt.Appendf(nil, "<%d>%s hsmgate[%d]: ", facility<<3|severity, m.record.Time.Local().Format(time.Stamp), os.Getpid()), text...)
	}
	b := fmt.Appendf(nil, "<%d>1 %s %s hsmgate %d %s [meta sequenceId=\"%d\"] ", facility<<3|severity, m.record.Time.UTC().Format("2006-01-02T15:04:05.000000Z"),
		printable(s.host, 255), os.Getpid(), printable(m.record.Operation, maxMessageID), (m.Seq-1)%maxSequence+1)
	return append(b, text...)
}

// printable keeps what may stand in a header of RFC 5424: ASCII without space.
func printable(text string, limit int) string {
	clean := strings.Map(func(r rune) rune {
		if r < 33 || r > 126 {
			return '_'
		}
		return r
	}, text)
	if clean == "" {
		return "-"
	}
	return clean[:min(len(clean), limit)]
}

func (s *syslog) settle() error { return nil }

func (s *syslog) close() {
	if s.conn != nil {
		_ = s.conn.Close() // what was not acknowledged is sent again
	}
	s.conn = nil
}
