package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const reference = "../../docs/configuration.md"

// TestConfigurationReference fails when docs/configuration.md is not what the doc
// comments of the settings say.
func TestConfigurationReference(t *testing.T) {
	docs := commentsOf(t, "config.go", "timestamp.go", "../../hsm/config.go", "../../gateway/quotas.go", "../../gateway/limits.go", "../../gateway/idempotency.go", "../../gateway/import.go", "../../gateway/op_session.go",
		"../../gateway/series.go", "../../gateway/watch/settings.go", "../../gateway/tracing/config.go",
		"../../gateway/identity/provider.go", "../../gateway/identity/clientcert.go", "../../gateway/identity/subject.go", "../../gateway/audit/sink/config.go")
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Configuration of hsmgated\n\n<!-- Made from the comments of cmd/hsmgated/config.go: go test ./cmd/hsmgated -run Reference -update -->\n\n")
	fmt.Fprintf(&b, "%s\n\n```yaml\n%s```\n", strings.Replace(oneLine(docs["Config"]), "Config is the", "This is the", 1), example)
	writeSettings(t, &b, docs, reflect.TypeFor[Config](), "")
	if *update {
		if err := os.WriteFile(reference, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Fatalf("docs/configuration.md is stale: go test ./cmd/hsmgated -run Reference -update")
	}
}

// example is a configuration with a certificate, as a person would write it.
const example = `listen: 0.0.0.0:8443
tls:
  cert_file: /etc/hsmgate/tls.crt
  key_file: /etc/hsmgate/tls.key
account: "111122223333"
region: eu-central-1
regions: [eu-west-1]
token:
  module: /usr/lib/softhsm/libsofthsm2.so
  label: hsmgate
  pin_file: /etc/hsmgate/pin
  max_sessions: 8
key_stores:
  - name: network-hsm
    module: /opt/vendor/lib/libvendor-pkcs11.so
    serial: "1234567"
    pin_file: /etc/hsmgate/network-hsm.pin
    max_sessions: 30
environment:
  SOFTHSM2_CONF: /etc/hsmgate/softhsm2.conf
store: /var/lib/hsmgate/hsmgate.db
seal_key_file: /etc/hsmgate/seal.key
identity_providers:
  - name: github
    preset: github
    audiences: [hsmgate]
    rules:
      - role: release
        claims: {repository: example/app, ref: "refs/tags/*"}
client_certificates:
  ca_file: /etc/hsmgate/clients.pem
  crl_file: /etc/hsmgate/clients.crl
  rules:
    - role: release
      subject: CN=builder-*,O=Example
      sans: ["dns:builder-*.example.com"]
audit:
  path: /var/lib/hsmgate/audit/audit.log
  timeout: 5s
watch:
  zone: Europe/Berlin
  rate: {floor: 100}
`

// TestExample reads the example of the reference.
func TestExample(t *testing.T) {
	c, err := parseConfig([]byte(example), "/etc/hsmgate/hsmgated.yaml")
	if err == nil {
		err = c.check()
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.Token.MaxSessions != 8 || c.Audit.Timeout != 5*time.Second || c.Environment["SOFTHSM2_CONF"] != "/etc/hsmgate/softhsm2.conf" ||
		len(c.IdentityProviders) != 1 || c.IdentityProviders[0].Rules[0].Claims["ref"] != "refs/tags/*" ||
		c.ClientCertificates.Rules[0].Subject != "CN=builder-*,O=Example" || len(c.KeyStores) != 1 || c.KeyStores[0].Name != "network-hsm" || c.KeyStores[0].MaxSessions != 30 || c.KeyStores[0].Serial != "1234567" {
		t.Errorf("the example is not read as it is written: %+v", c)
	}
}

// writeSettings writes one entry for each setting; a struct becomes a section, and
// so does a list of them, after its entry.
func writeSettings(t *testing.T, b *bytes.Buffer, docs map[string]string, of reflect.Type, prefix string) {
	t.Helper()
	var sections []reflect.StructField
	for i := range of.NumField() {
		f := of.Field(i)
		name := f.Tag.Get("yaml")
		if name == "-" || name == ",inline" {
			continue
		}
		doc := docs[inDocs(of, f)]
		if name == "" || doc == "" {
			t.Errorf("the setting %s.%s has no name or no comment", of, f.Name)
		}
		if f.Type.Kind() == reflect.Struct {
			sections = append(sections, f)
			continue
		}
		doc, _ = strings.CutPrefix(doc, f.Name+" ")
		fmt.Fprintf(b, "\n**`%s`** (%s) %s\n", prefix+name, kindOf(f.Type), oneLine(doc))
		if isList(f.Type) {
			sections = append(sections, f)
		}
	}
	for _, f := range sections {
		name := prefix + f.Tag.Get("yaml")
		if isList(f.Type) {
			fmt.Fprintf(b, "\n## %s[]\n\nOf each of `%s`:\n", name, name)
			writeSettings(t, b, docs, f.Type.Elem(), name+"[].")
			continue
		}
		doc, _ := strings.CutPrefix(docs[inDocs(of, f)], f.Name+" ")
		fmt.Fprintf(b, "\n## %s\n\n**`%s`** %s\n", name, name, oneLine(doc))
		writeSettings(t, b, docs, f.Type, name+".")
	}
}

// inDocs is the name of a setting in what commentsOf has read.
func inDocs(of reflect.Type, f reflect.StructField) string {
	name := of.Name() + "." + f.Name
	if of.PkgPath() == reflect.TypeFor[Config]().PkgPath() {
		return name
	}
	return of.PkgPath()[strings.LastIndex(of.PkgPath(), "/")+1:] + "." + name
}

// isList says whether the elements of a list have settings that are described by
// themselves; those that have a section's are described there.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !t.Elem().Field(t.Elem().NumField()-1).Anonymous
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration, such as 5s"
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map:
		return "map"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "number"
}

func oneLine(doc string) string { return strings.Join(strings.Fields(doc), " ") }

// commentsOf reads the doc comments of the types and fields of the files: of the
// first by Type and Type.Field, of the others with their package before it.
func commentsOf(t *testing.T, files ...string) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		prefix := ""
		if file.Name.Name != "main" {
			prefix = file.Name.Name + "."
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				ts := s.(*ast.TypeSpec)
				docs[prefix+ts.Name.Name] = g.Doc.Text()
				fields, ok := ts.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, f := range fields.Fields.List {
					for _, n := range f.Names {
						docs[prefix+ts.Name.Name+"."+n.Name] = f.Doc.Text()
					}
				}
			}
		}
	}
	return docs
}

// TestConfigRefused: each mistake is named, with its line or its setting.
func TestConfigRefused(t *testing.T) {
	const good = "token: {module: /m.so, label: x, pin_file: pin}\n"
	const provider = "identity_providers:\n  - name: p\n    rules: [{role: r, claims: {repository: a/b}}]\n"
	for _, test := range []struct{ name, text, want string }{
		{"unknown setting", good + "listn: 127.0.0.1:1\n", "listn"},
		{"unknown setting has its line", good + "\n\nlistn: 127.0.0.1:1\n", "4"},
		{"unknown setting in a section", "token: {module: /m.so, pin: 1234}\n", "pin"},
		{"two documents", good + "---\n" + good, "more than one"},
		{"address", good + "listen: nonsense\n", "host:port"},
		{"plain HTTP on any address", good + "listen: 0.0.0.0:80\n", "plain HTTP is refused"},
		{"plain HTTP on a name", good + "listen: kms.example.com:80\n", "plain HTTP is refused"},
		{"plain HTTP on all interfaces", good + "listen: :80\n", "plain HTTP is refused"},
		{"half a certificate", good + "tls: {cert_file: c.pem}\n", "belong together"},
		{"account", good + "account: \"12\"\n", "12 digits"},
		{"account as an octal number", good + "account: 000000000010\n", ""},
		{"region", good + "region: 'eu/central'\n", "region"},
		{"a time zone to watch in", good + "watch: {zone: Berlin}\n", "watch: zone"},
		{"a count to watch for", good + "watch: {denials: {count: -1}}\n", "watch: denials.count"},
		{"an unknown rule", good + "watch: {denial: {count: 1}}\n", "denial"},
		{"another region", good + "regions: [west]\n", "regions: \"west\""},
		{"a region twice", good + "regions: [eu-west-1, eu-west-1]\n", "twice"},
		{"the home region again", good + "regions: [us-east-1]\n", "home region"},
		{"a home region that cannot be named", good + "region: here\nregions: [eu-west-1]\n", "of the form"},
		{"key store without a name", good + "key_stores: [{module: /m.so, label: x}]\n", "key_stores: \"\""},
		{"key store with a bad name", good + "key_stores: [{name: Main, module: /m.so, label: x}]\n", "lower-case"},
		{"key store named default", good + "key_stores: [{name: default, module: /m.so, label: x}]\n", "taken"},
		{"key stores of one name", good + "key_stores: [{name: a, module: /m.so, label: x}, {name: a, module: /m.so, label: y}]\n", "taken"},
		{"key store without a module", good + "key_stores: [{name: a, label: x}]\n", "needs module"},
		{"key store without a token", good + "key_stores: [{name: a, module: /m.so}]\n", "exactly one"},
		{"unknown setting of a key store", good + "key_stores: [{name: a, module: /m.so, label: x, pin: 1234}]\n", "pin"},
		{"module", "region: eu-central-1\n", "token.module"},
		{"proxies", good + "trusted_proxies: [here]\n", "trusted_proxies"},
		{"level", good + "log: {level: loud}\n", "log.level"},
		{"duration", good + "stop_timeout: -1s\n", "not negative"},
		{"small segments", good + "audit: {segment_size: 1000}\n", "segment_size is 65536 at least"},
		{"young segments", good + "audit: {segment_age: 1s}\n", "segment_age 1m"},
		{"retention", good + "audit: {retention: -1h}\n", "retention is not negative"},
		{"quota", good + "quotas: {tags_per_key: -1}\n", "none is negative"},
		{"unknown quota", good + "quotas: {grants_per_keys: 1}\n", "grants_per_keys"},
		{"a larger policy", good + "quotas: {policy_bytes: 32769}\n", "quotas.policy_bytes"},
		{"a limit of nothing", good + "limits: {principal: {requests_per_second: -1}}\n", "limits.principal: requests_per_second"},
		{"a limit that is no number", good + "limits: {key: {requests_per_second: .nan}}\n", "limits.key: requests_per_second"},
		{"a burst without a rate", good + "limits: {gateway: {burst: 5}}\n", "limits.gateway: burst"},
		{"answers kept too shortly", good + "idempotency: {keep: 59s}\n", "idempotency.keep: 59s is not from 1m to 720h"},
		{"fewer answers than none", good + "idempotency: {per_principal: -1}\n", "idempotency.per_principal"},
		{"an unknown limit", good + "limits: {caller: {burst: 5}}\n", "caller"},
		{"sessions that hardly last", good + "sessions: {max_duration: 14m}\n", "sessions.max_duration: 14m0s"},
		{"sessions that last", good + "sessions: {max_duration: 13h}\n", "from 15m to 12h"},
		{"sink without a name", good + "audit: {sinks: [{type: stdout}]}\n", "the name of sink number 1"},
		{"sinks of one name", good + "audit: {sinks: [{name: a, type: stdout}, {name: a, type: syslog}]}\n", "two sinks"},
		{"two sinks on one output", good + "audit: {sinks: [{name: a, type: stdout}, {name: b, type: stdout}]}\n", "one sink of type stdout"},
		{"sink of no type", good + "audit: {sinks: [{name: a, type: kafka}]}\n", "stdout, file, syslog or http"},
		{"sink in no format", good + "audit: {sinks: [{name: a, type: stdout, format: cef}]}\n", "jsonl, cloudtrail, ocsf"},
		{"sink with another's setting", good + "audit: {sinks: [{name: a, type: stdout, path: x}]}\n", "path is a setting of the type file"},
		{"sink that begins somewhere", good + "audit: {sinks: [{name: a, type: stdout, begin: 7}]}\n", "now or first"},
		{"sink of no operation", good + "audit: {sinks: [{name: a, type: stdout, operations: ['kms:Sign']}]}\n", "operations: \"kms:Sign\""},
		{"file sink without a path", good + "audit: {sinks: [{name: a, type: file}]}\n", "path is missing"},
		{"file sink in the log", good + "audit: {sinks: [{name: a, type: file, path: audit/audit.log.head}]}\n", "belongs to the audit log"},
		{"syslog nowhere", good + "audit: {sinks: [{name: a, type: syslog, address: 'tcp://host'}]}\n", "tcp://host:601"},
		{"syslog with a CA for nothing", good + "audit: {sinks: [{name: a, type: syslog, address: 'tcp://host:1', ca_file: x}]}\n", "tls://"},
		{"http sink without TLS", good + "audit: {sinks: [{name: a, type: http, url: 'http://siem.example.com/'}]}\n", "http is for loopback"},
		{"http sink with a password", good + "audit: {sinks: [{name: a, type: http, url: 'https://me:pass@siem.example.com/'}]}\n", "headers_file"},
		{"http sink with a large batch", good + "audit: {sinks: [{name: a, type: http, url: 'https://siem.example.com/', batch: 5000}]}\n", "batch: 5000"},
		{"http sink in a body", good + "audit: {sinks: [{name: a, type: http, url: 'https://siem.example.com/', body: xml}]}\n", "ndjson, array or single"},
		{"unknown setting of a sink", good + "audit: {sinks: [{name: a, type: stdout, token: x}]}\n", "token"},
		{"two databases", good + "store: a.db\nstore_dsn_file: dsn\n", "name one database"},
		{"limit", good + "store_stale_limit: -1s\n", "not negative"},
		{"administrator without a file", good + "first_administrator: {name: a}\n", "env_file"},
		{"type", good + "gomaxprocs: many\n", "many"},
		{"provider without an audience", good + provider + "    preset: github\n", "audiences: at least one"},
		{"provider that signs with none", good + provider + "    preset: github\n    audiences: [a]\n    algorithms: [none]\n", `"none" is none of`},
		{"unknown setting of a provider", good + provider + "    client_secret: x\n", "client_secret"},
		{"certificates without TLS", good + "client_certificates: {ca_file: ca.pem}\n", "tls is needed"},
		{"certificates without a CA", good + "client_certificates: {required: true}\n", "ca_file is missing"},
		{"certificate rule", good + "client_certificates: {ca_file: ca.pem, rules: [{role: r, subject: builder}]}\n", "attribute=value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hsmgated.yaml")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := loadConfig(path)
			if test.want == "" {
				if err != nil || c.Account != "000000000010" {
					t.Fatalf("account %v, error %v", c, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v does not name %q and the file", err, test.want)
			}
		})
	}
}

// TestConfigPaths: relative paths are relative to the folder of the file.
func TestConfigPaths(t *testing.T) {
	c, err := parseConfig([]byte("token: {module: /m.so, pin_file: pin}\n"+
		"environment: {A: ./a, B: b}\nkey_stores: [{name: a, module: /m.so, label: x, pin_file: other}]\n"+
		"audit: {sinks: [{name: a, type: file, path: events}, {name: b, type: http, headers_file: h, secret_file: s, ca_file: c}]}\n"+
		"client_certificates: {ca_file: ca, crl_file: crl}\nidentity_providers: [{name: p, ca_file: idp, jwks_file: keys}]\n"), "/state/hsmgated.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Token.PINFile, c.Store, c.SealKeyFile, c.Audit.Path, c.Environment["A"], c.Environment["B"], c.TLS.CertFile, c.KeyStores[0].PINFile,
		c.ClientCertificates.CAFile, c.ClientCertificates.CRLFile, c.IdentityProviders[0].CAFile, c.IdentityProviders[0].JWKSFile,
		c.Audit.Sinks[0].Path, c.Audit.Sinks[1].HeadersFile, c.Audit.Sinks[1].SecretFile, c.Audit.Sinks[1].CAFile}
	want := []string{"/state/pin", "/state/hsmgate.db", "/state/seal.key", "/state/audit/audit.log", "/state/a", "b", "", "/state/other", "/state/ca", "/state/crl", "/state/idp", "/state/keys", "/state/events", "/state/h", "/state/s", "/state/c"}
	if !slices.Equal(got, want) {
		t.Errorf("paths %q, want %q", got, want)
	}
}

// TestConfigDatabase: PostgreSQL takes the place of the file, and alone outlives
// an absence.
func TestConfigDatabase(t *testing.T) {
	read := func(text string) *Config {
		t.Helper()
		c, err := parseConfig([]byte(text), "/state/hsmgated.yaml")
		if err == nil && c.Token.Module != "" {
			err = c.check()
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	file, server := read("token: {module: /m.so}\n"), read("token: {module: /m.so}\nstore_dsn_file: dsn\ninstance: one\n")
	if file.Store != "/state/hsmgate.db" || file.staleLimit() != 0 || file.folder() != "/state" {
		t.Errorf("%+v", file)
	}
	if server.Store != "" || server.StoreDSNFile != "/state/dsn" || server.staleLimit() != 5*time.Minute || server.folder() != "/state" {
		t.Errorf("%+v", server)
	}
	for text, want := range map[string]time.Duration{"0s": 0, "7s": 7 * time.Second} {
		if limit := read("token: {module: /m.so}\nstore_dsn_file: dsn\nstore_stale_limit: " + text + "\n").staleLimit(); limit != want {
			t.Errorf("the limit %s is %s", text, limit)
		}
	}
	one, err := server.instance()
	if err != nil || one != "one" {
		t.Errorf("%q, %v", one, err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := file.instance(); err != nil || name != host+":/state/audit/audit.log" {
		t.Errorf("%q, %v", name, err)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "localhost:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "localhost.example.com:80": false, "[::ffff:10.0.0.1]:80": false, "": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("isLoopback(%q) = %v", address, got)
		}
	}
}

func TestProxies(t *testing.T) {
	c := &Config{TrustedProxies: []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::1"}}
	nets, err := c.proxies()
	if err != nil || len(nets) != 3 || nets[1].String() != "192.0.2.1/32" || nets[2].String() != "2001:db8::1/128" {
		t.Errorf("%v, %v", nets, err)
	}
}
