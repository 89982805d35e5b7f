package sink

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// rsyslog is a real rsyslogd that listens on a socket, on UDP and on TCP, and writes what it has understood.
type rsyslog struct {
	t              testing.TB
	unix, udp, tcp string
	out            string
}

// parsed are the properties that rsyslogd gives a message.
type parsed struct {
	Message   string `json:"msg"`
	Facility  string `json:"syslogfacility"`
	Severity  string `json:"syslogseverity"`
	Time      string `json:"timereported"`
	App       string `json:"app-name"`
	MessageID string `json:"msgid"`
	Data      string `json:"structured-data"`
	Version   string `json:"protocol-version"`
}

func newRsyslog(t testing.TB) *rsyslog {
	t.Helper()
	dir := t.TempDir()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rsyslog{t: t, unix: filepath.Join(dir, "s"), udp: udp.LocalAddr().String(), out: filepath.Join(dir, "out")}
	_ = udp.Close() // rsyslogd cannot say which port it got by 0
	_, port, _ := net.SplitHostPort(r.udp)
	conf := filepath.Join(dir, "conf")
	write(t, conf, fmt.Sprintf(`global(workDirectory="%[1]s" maxMessageSize="64k")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%[1]s/s" RateLimit.Interval="0")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="%[2]s")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="%[1]s/port")
template(name="all" type="list") { property(name="jsonmesg") constant(value="\n") }
action(type="omfile" file="%[1]s/out" template="all" asyncWriting="off" flushOnTXEnd="on" ioBufferSize="1")
`, dir, port))
	cmd := exec.Command("/usr/sbin/rsyslogd", "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err) // .ci/install-deps.sh test installs it
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // by its own id
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		number, err := os.ReadFile(filepath.Join(dir, "port"))
		if _, missing := os.Stat(r.unix); err == nil && missing == nil && len(number) > 0 {
			r.tcp = "127.0.0.1:" + strings.TrimSpace(string(number))
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("rsyslogd does not start: %s", said.String())
		}
	}
}

func (r *rsyslog) got() (all []parsed) {
	text, _ := os.ReadFile(r.out) // not there before the first message
	for line := range strings.Lines(string(text)) {
		var p parsed
		if err := json.Unmarshal([]byte(line), &p); err == nil { // or it is being written
			all = append(all, p)
		}
	}
	return all
}

// TestRsyslogUnderstands: by each way, rsyslogd gets each record, and takes its header apart.
func TestRsyslogUnderstands(t *testing.T) {
	const records = 50
	for _, network := range []string{"unix", "udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			r := newRsyslog(t)
			b := newBench(t)
			address := map[string]string{"unix": "unix://" + r.unix, "udp": "udp://" + r.udp, "tcp": "tcp://" + r.tcp}[network]
			b.start(Config{Name: "s", Type: "syslog", Address: address})
			for range records {
				b.add(1, "Sign")
			}
			at := time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)
			for _, record := range []audit.Record{{Operation: "GenerateDataKeyPairWithoutPlaintext", Outcome: "denied", Time: at}, {Operation: "Alert", Time: at}} {
				receipt, err := b.log.Append(t.Context(), &record)
				if err != nil {
					t.Fatal(err)
				}
				b.want = append(b.want, receipt.Seq)
			}
			b.until("rsyslogd has them", func() bool { return len(r.got()) == len(b.want) })
			b.stop()
			all := r.got()
			var seq []uint64
			for i, p := range all {
				seq = append(seq, seqOf(t, strings.TrimSpace(p.Message)))
				if p.Facility != "10" || p.App != "hsmgate" {
					t.Errorf("%+v", p)
				}
				if want := fmt.Sprintf(`[meta sequenceId="%d"]`, b.want[i]); network != "unix" && (p.Version != "1" || p.Data != want) {
					t.Errorf("%+v", p)
				}
			}
			atLeastOnce(t, seq, b.want)
			denied, alert := all[records], all[records+1]
			if all[0].Severity != "6" || denied.Severity != "4" || alert.Severity != "1" {
				t.Error(all[0].Severity, denied.Severity, alert.Severity)
			}
			if network != "unix" && (denied.MessageID != "GenerateDataKeyPairWithoutPlaint" || alert.MessageID != "Alert" || alert.Time != "2026-03-04T05:06:07.123456Z") {
				t.Errorf("%+v %+v", denied, alert)
			}
		})
	}
}

// TestTooLongForADatagram: a record that no datagram holds does not stop the rest.
func TestTooLongForADatagram(t *testing.T) {
	r := newRsyslog(t)
	b := newBench(t)
	b.start(Config{Name: "s", Type: "syslog", Address: "udp://" + r.udp})
	long := strings.Repeat("\x01", audit.MaxText) // six bytes each in JSON
	receipt, err := b.log.Append(t.Context(), &audit.Record{Operation: "Sign", Resource: long, UserAgent: long, Reason: long, ArtifactName: long, ArtifactVersion: long, Digest: long})
	if err != nil {
		t.Fatal(err)
	}
	b.add(1, "Sign")
	b.until("rsyslogd has both", func() bool { return len(r.got()) == 2 })
	b.stop()
	if p := r.got()[0]; !strings.Contains(p.Message, `{"seq":1,"hash":"`+receipt.Hash+`","tooLong":`) {
		t.Errorf("%+v", p)
	}
}

// strict is RFC 5424, section 6, as far as this program uses it.
var strict = regexp.MustCompile(`^<(8[0-7])>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} hsmgate \d{1,128} [!-~]{1,32} \[meta sequenceId="(\d+)"\] (\{.*\})$`)

// collector takes RFC 5425: TLS and messages counted by octets.
type collector struct {
	t       testing.TB
	address string
	listen  net.Listener
	mu      sync.Mutex
	got     []uint64
	open    []net.Conn
}

func (c *collector) serve(config *tls.Config) {
	plain, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.address = plain.Addr().String()
	c.listen = tls.NewListener(plain, config)
	go func() {
		for {
			conn, err := c.listen.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.open = append(c.open, conn)
			c.mu.Unlock()
			go c.read(conn)
		}
	}()
}

func (c *collector) read(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		count, err := in.ReadString(' ')
		if err != nil {
			return // the connection is over
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		if err != nil || n < 1 || count[0] == '0' {
			c.t.Errorf("%q is no count of octets", count)
			return
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return
		}
		m := strict.FindSubmatch(text)
		if m == nil || !json.Valid(m[3]) {
			c.t.Errorf("%q is no message", text)
			return
		}
		seq, _ := strconv.ParseUint(string(m[2]), 10, 64)
		c.mu.Lock()
		c.got = append(c.got, seq)
		c.mu.Unlock()
	}
}

func (c *collector) count() int { c.mu.Lock(); defer c.mu.Unlock(); return len(c.got) }

// end closes the listener and every connection, as a collector does that starts anew.
func (c *collector) end() {
	_ = c.listen.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}

// TestSyslogTLS: a collector that is late, that starts anew, and whose certificate is another's.
func TestSyslogTLS(t *testing.T) {
	s := newSIEM(t) // for its certificate
	c := &collector{t: t, address: "127.0.0.1:0"}
	c.serve(s.TLS)
	c.end()
	b := newBench(t)
	b.start(Config{Name: "s", Type: "syslog", Address: "tls://" + c.address, CAFile: s.ca}, Config{Name: "stranger", Type: "syslog", Address: "tls://" + c.address})
	b.add(20, "Sign")
	b.until("it fails", func() bool { return b.metric("hsmgate_audit_sink_failures_total", "s") > 1 })
	for round := range 4 {
		c.serve(s.TLS)
		if round > 0 {
			b.add(20, "Sign")
		}
		b.until("all are there", func() bool { return b.metric("hsmgate_audit_sink_behind", "s") == 0 && c.count() >= len(b.want) })
		c.end()
	}
	if n := b.metric("hsmgate_audit_sink_delivered_total", "stranger"); n != 0 {
		t.Errorf("%v records went to a server whose certificate nobody vouches for", n)
	}
	b.stop()
	atLeastOnce(t, c.got, b.want)
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]address{"unix:///dev/log": {"unix", "/dev/log"}, "udp://h:514": {"udp", "h:514"}, "tcp://[::1]:601": {"tcp", "[::1]:601"}, "tls://h:6514": {"tls", "h:6514"}} {
		if got, err := parseAddress(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "h:514", "unix://dev/log", "udp://h", "tcp://:601", "tls://h:1/x", "http://h:1", "tcp://u@h:1", "tcp://h:1?x"} {
		if _, err := parseAddress(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
