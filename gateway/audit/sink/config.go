package sink

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit/export"
)

// Config is one place that audit records are sent to, in the order of the log, each at least once. docs/siem.md
// has an example of each.
type Config struct {
	// Name tells this sink from others, in metrics, in the log of operations and by the
	// file of its cursor: lower-case letters, digits and -. Under another name it is a new sink.
	Name string `yaml:"name"`
	// Type is stdout, file, syslog or http.
	Type string `yaml:"type"`
	// Format is jsonl (the records as they are), cloudtrail or ocsf. Default jsonl.
	Format string `yaml:"format"`
	// Operations are the names of the operations whose records are sent, such as Alert.
	// Default all.
	Operations []string `yaml:"operations"`
	// Begin is where a new sink begins: now, with the next record, or first, with the first
	// one in the log. Default now.
	Begin string `yaml:"begin"`
	// Path is the file of a sink of type file: a line is appended for each record. It is made
	// with mode 0600, and opened anew when it was moved away.
	Path string `yaml:"path"`
	// Address is where a sink of type syslog sends: unix:///dev/log, udp://host:514,
	// tcp://host:601 or tls://host:6514. Default unix:///dev/log.
	Address string `yaml:"address"`
	// URL is where a sink of type http posts: https, or http on a loopback address.
	URL string `yaml:"url"`
	// Body is how an http sink sends records: ndjson (a line each), array (one JSON array) or
	// single (a request for each record). Default ndjson.
	Body string `yaml:"body"`
	// Batch is the most records of one request. Default 500.
	Batch int `yaml:"batch"`
	// HeadersFile holds headers that each request has, such as "Authorization: Bearer …", one
	// a line, mode 0600. It is read for each request.
	HeadersFile string `yaml:"headers_file"`
	// SecretFile holds secrets that each request is signed with, by Standard Webhooks: whsec_
	// and 24 to 64 bytes in base64, one a line, mode 0600. It is read for each request. Default: unsigned.
	SecretFile string `yaml:"secret_file"`
	// CAFile holds the CAs, PEM, that the certificate of an https or tls server may be of.
	// Default: those of the system.
	CAFile string `yaml:"ca_file"`
	// Timeout is how long one delivery may take before it counts as failed and is made again. Default 10s.
	Timeout time.Duration `yaml:"timeout"`
}

const (
	defaultBatch   = 500
	maxBatch       = 1000 // what audit.Log.Follow gives at most
	defaultTimeout = 10 * time.Second
)

var (
	validName      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	validOperation = regexp.MustCompile(`^[A-Za-z]{1,64}$`)
)

// settings says which types have a setting that not all have.
func (c *Config) settings() []setting {
	return []setting{
		{"path", c.Path != "", []string{"file"}}, {"address", c.Address != "", []string{"syslog"}}, {"url", c.URL != "", []string{"http"}},
		{"body", c.Body != "", []string{"http"}}, {"batch", c.Batch != 0, []string{"http"}}, {"headers_file", c.HeadersFile != "", []string{"http"}},
		{"secret_file", c.SecretFile != "", []string{"http"}}, {"ca_file", c.CAFile != "", []string{"http", "syslog"}},
		{"timeout", c.Timeout != 0, []string{"http", "syslog"}},
	}
}

type setting struct {
	name  string
	set   bool
	types []string
}

// Files are the paths in the settings, to be made absolute.
func (c *Config) Files() []*string {
	return []*string{&c.Path, &c.HeadersFile, &c.SecretFile, &c.CAFile}
}

func (c Config) withDefaults() Config {
	if c.Type == "syslog" && c.Address == "" {
		c.Address = "unix:///dev/log"
	}
	if c.Format == "" {
		c.Format = "jsonl"
	}
	if c.Body == "" {
		c.Body = "ndjson"
	}
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	if c.Body == "single" {
		c.Batch = 1
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// Check names everything that is wrong with the settings of all sinks.
func Check(all []Config) error {
	var problems []error
	names, stdout := make(map[string]bool), 0
	for i, c := range all {
		wrong := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("audit.sinks: %q: %s", c.Name, fmt.Sprintf(format, args...)))
		}
		if !validName.MatchString(c.Name) {
			wrong("the name of sink number %d is not one of lower-case letters, digits and -, at most 63", i+1)
		} else if names[c.Name] {
			wrong("two sinks have this name")
		}
		names[c.Name] = true
		if c.Type == "stdout" {
			stdout++
		}
		c.check(wrong)
	}
	if stdout > 1 {
		problems = append(problems, errors.New("audit.sinks: one sink of type stdout is possible: two would write into each other's lines"))
	}
	return errors.Join(problems...)
}

func (c *Config) check(wrong func(string, ...any)) {
	if !slices.Contains([]string{"stdout", "file", "syslog", "http"}, c.Type) {
		wrong("type %q is not stdout, file, syslog or http", c.Type)
		return
	}
	for _, s := range c.settings() {
		if s.set && !slices.Contains(s.types, c.Type) {
			wrong("%s is a setting of the type %s, not of %s", s.name, strings.Join(s.types, " and "), c.Type)
		}
	}
	if _, err := export.New(c.withDefaults().Format, export.Home{}); err != nil {
		wrong("%v", err)
	}
	for _, o := range c.Operations {
		if !validOperation.MatchString(o) {
			wrong("operations: %q is not the name of an operation, such as Sign", o)
		}
	}
	if !slices.Contains([]string{"", "now", "first"}, c.Begin) {
		wrong("begin: %q is not now or first", c.Begin)
	}
	if !slices.Contains([]string{"", "ndjson", "array", "single"}, c.Body) {
		wrong("body: %q is not ndjson, array or single", c.Body)
	}
	if c.Batch < 0 || c.Batch > maxBatch || c.Body == "single" && c.Batch > 1 {
		wrong("batch: %d is not from 1 to %d, or 1 with body: single", c.Batch, maxBatch)
	}
	if c.Timeout < 0 {
		wrong("timeout: %s is negative", c.Timeout)
	}
	switch c.Type {
	case "file":
		if c.Path == "" {
			wrong("path is missing: which file?")
		}
	case "syslog":
		if _, err := parseAddress(c.withDefaults().Address); err != nil {
			wrong("address: %v", err)
		}
		if c.CAFile != "" && !strings.HasPrefix(c.Address, "tls://") {
			wrong("ca_file is for an address that begins with tls://")
		}
	case "http":
		if err := checkURL(c.URL); err != nil {
			wrong("url: %v", err)
		}
	}
}

// checkURL does not repeat the URL, which may hold a secret.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("it is missing")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it is not a URL that begins with https://")
	case u.User != nil:
		return errors.New("a password does not stand in it: headers_file holds the header Authorization")
	case u.Fragment != "":
		return errors.New("it has a fragment (#)")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("http is for loopback addresses: whoever reads the traffic would have the records; https would be right")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
