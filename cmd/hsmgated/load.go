package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

var (
	validAccount = regexp.MustCompile(`^[0-9]{12}$`)
	validRegion  = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	awsRegion    = regexp.MustCompile(`^([a-z]+-){2,3}[0-9]+$`) // the only form in which AWS KMS takes a region in a request
	validStore   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// loadConfig reads a configuration file, fills in the defaults and checks it.
func loadConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	c, err := parseConfig(text, path)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// parseConfig reads the text of the configuration file at path. A setting that
// Config does not know is an error that names its line.
func parseConfig(text []byte, path string) (*Config, error) {
	c := new(Config)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one YAML document")
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	c.setDefaults()
	c.resolve(dir)
	return c, nil
}

// minSegment is the least size of a segment of the audit log: less would be files for their own sake.
const minSegment = 64 << 10

func (c *Config) setDefaults() {
	for field, value := range map[*string]string{
		&c.Listen: "127.0.0.1:8080", &c.Account: "000000000000", &c.Region: "us-east-1",
		&c.SealKeyFile: "seal.key", &c.Audit.Path: "audit/audit.log", &c.Log.Level: "info",
	} {
		if *field == "" {
			*field = value
		}
	}
	if c.Store == "" && c.StoreDSNFile == "" {
		c.Store = "hsmgate.db"
	}
	if c.Watch.State == "" {
		c.Watch.State = c.Audit.Path + ".watch"
	}
	if c.Audit.Timeout == 0 {
		c.Audit.Timeout = 5 * time.Second
	}
	if c.Audit.SegmentSize == 0 {
		c.Audit.SegmentSize = 256 << 20
	}
	if c.Audit.SegmentAge == 0 {
		c.Audit.SegmentAge = 24 * time.Hour
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 20 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 4096
	}
}

// resolve makes every path absolute.
func (c *Config) resolve(dir string) {
	for _, p := range []*string{&c.TLS.CertFile, &c.TLS.KeyFile, &c.Token.PINFile, &c.Store, &c.StoreDSNFile, &c.SealKeyFile,
		&c.Audit.Path, &c.Watch.State, &c.FirstAdministrator.EnvFile, &c.ClientCertificates.CAFile, &c.ClientCertificates.CRLFile,
		&c.Timestamp.CertificateFile, &c.Tracing.HeadersFile, &c.Tracing.CAFile} {
		absolute(dir, p)
	}
	for i := range c.Audit.CheckpointFiles {
		absolute(dir, &c.Audit.CheckpointFiles[i])
	}
	for i := range c.KeyStores {
		absolute(dir, &c.KeyStores[i].PINFile)
	}
	for i := range c.IdentityProviders {
		absolute(dir, &c.IdentityProviders[i].JWKSFile)
		absolute(dir, &c.IdentityProviders[i].CAFile)
	}
	for i := range c.Audit.Sinks {
		for _, p := range c.Audit.Sinks[i].Files() {
			absolute(dir, p)
		}
	}
	for name, value := range c.Environment {
		if strings.HasPrefix(value, "./") {
			c.Environment[name] = filepath.Join(dir, value)
		}
	}
}

// absolute makes a path that is set absolute.
func absolute(dir string, path *string) {
	if *path != "" && !filepath.IsAbs(*path) {
		*path = filepath.Join(dir, *path)
	}
}

// check names everything that is wrong, so that all of it is mended at once.
func (c *Config) check() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen: %q is not host:port", c.Listen)
	} else if !c.tls() && !c.AllowPlainHTTP && !isLoopback(c.Listen) {
		wrong("listen: plain HTTP is refused on %s, since it is not a loopback address: set tls.cert_file and tls.key_file, or allow_plain_http where nobody can read the traffic", c.Listen)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		wrong("tls: cert_file and key_file belong together")
	}
	if !validAccount.MatchString(c.Account) {
		wrong("account: %q is not 12 digits (put them in quotes)", c.Account)
	}
	if !validRegion.MatchString(c.Region) {
		wrong("region: %q is not a region name, such as us-east-1", c.Region)
	}
	if c.Token.Module == "" {
		wrong("token.module: the path of the PKCS#11 library is missing")
	}
	c.checkRegions(wrong)
	c.checkKeyStores(wrong)
	c.Audit.checkWitnesses(wrong)
	c.checkLog(wrong)
	c.checkBounds(wrong)
	c.Timestamp.check(wrong)
	problems = append(problems, identity.CheckProviders(c.IdentityProviders), c.ClientCertificates.Check(), c.Tracing.Check(), c.checkSinks())
	if c.ClientCertificates.Configured() && !c.tls() {
		wrong("client_certificates: tls is needed, too: a certificate that a proxy has seen is not believed")
	}
	if _, err := c.proxies(); err != nil {
		problems = append(problems, err)
	}
	if _, err := zapcore.ParseLevel(c.Log.Level); err != nil {
		wrong("log.level: %q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Store != "" && c.StoreDSNFile != "" {
		wrong("store, store_dsn_file: name one database, not both")
	}
	if c.Audit.Timeout < 0 || c.StopTimeout < 0 || c.PublicMaxAge < 0 || c.MaxConnections < 0 || c.GOMAXPROCS < 0 || c.StoreStaleLimit != nil && *c.StoreStaleLimit < 0 {
		wrong("audit.timeout, stop_timeout, public_max_age, store_stale_limit, max_connections and gomaxprocs are not negative")
	}
	if c.Rotation.Overlap != nil && *c.Rotation.Overlap < 0 {
		wrong("rotation.overlap is not negative")
	}
	if f := c.FirstAdministrator; f.Name != "" && f.EnvFile == "" {
		wrong("first_administrator.env_file: the file for the credentials is missing")
	}
	return errors.Join(problems...)
}

// checkLog looks at the settings of the audit log.
func (c *Config) checkLog(wrong func(string, ...any)) {
	if c.Audit.SegmentSize < minSegment || c.Audit.SegmentAge < time.Minute || c.Audit.Retention < 0 {
		wrong("audit: segment_size is %d at least, segment_age 1m, and retention is not negative", minSegment)
	}
	if i := c.Audit.CheckpointInterval; i != 0 && i < 100*time.Millisecond {
		wrong("audit.checkpoint_interval is at least 100ms")
	}
	if c.Audit.Origin != "" {
		if err := tree.CheckOrigin(c.Audit.Origin); err != nil {
			wrong("audit.origin: %v", err)
		}
	}
}

// checkBounds looks at what is bounded: quotas, limits, and how long things are kept.
func (c *Config) checkBounds(wrong func(string, ...any)) {
	if text := c.Watch.Check(); text != "" {
		wrong("watch: %s", text)
	}
	if q := c.Quotas; min(q.Keys, q.AliasesPerKey, q.TagsPerKey, q.RotationsPerKey, q.GrantsPerKey, q.AccessKeysPerUser, q.PolicyBytes) < 0 {
		wrong("quotas: none is negative; 0 is the default")
	}
	if c.Quotas.PolicyBytes > policy.MaxKeyPolicy {
		wrong("quotas.policy_bytes: %d is more than %d, the most that a key policy may have", c.Quotas.PolicyBytes, policy.MaxKeyPolicy)
	}
	for name, limit := range map[string]gateway.Limit{"gateway": c.Limits.Gateway, "principal": c.Limits.Principal, "key": c.Limits.Key} {
		if text := limit.Check(); text != "" {
			wrong("limits.%s: %s", name, text)
		}
	}
	if text := c.Metrics.Check(); text != "" {
		wrong("metrics: %s", text)
	}
	if d := c.Sessions.MaxDuration; d != 0 && (d < api.MinSessionSeconds*time.Second || d > api.MaxSessionSeconds*time.Second) {
		wrong("sessions.max_duration: %s is not from 15m to 12h", d)
	}
	if i := c.Idempotency; i.Keep != 0 && (i.Keep < time.Minute || i.Keep > 720*time.Hour) {
		wrong("idempotency.keep: %s is not from 1m to 720h", i.Keep)
	}
	if c.Idempotency.PerPrincipal < 0 {
		wrong("idempotency.per_principal is not negative; 0 is the default")
	}
}

func (c *Config) checkRegions(wrong func(string, ...any)) {
	seen := map[string]bool{c.Region: true}
	for _, region := range c.Regions {
		if !awsRegion.MatchString(region) || len(region) > 32 {
			wrong("regions: %q is not a region name, such as eu-west-1", region)
		}
		if seen[region] {
			wrong("regions: %q stands there twice, or is the home region", region)
		}
		seen[region] = true
	}
	if len(c.Regions) > 0 && !awsRegion.MatchString(c.Region) {
		wrong("region: beside other regions, %q has to be a region name of the form eu-central-1", c.Region)
	}
}

func (c *Config) checkKeyStores(wrong func(string, ...any)) {
	seen := map[string]bool{gateway.DefaultToken: true}
	for i, k := range c.KeyStores {
		name := k.Name
		if !validStore.MatchString(name) {
			wrong("key_stores: %q (number %d) is not a name of lower-case letters, digits and -, at most 63", name, i+1)
		} else if seen[name] {
			wrong("key_stores: the name %q is taken; 'default' is that of token", name)
		}
		seen[name] = true
		chosen := 0
		for _, set := range []bool{k.Label != "", k.Serial != "", k.Slot != nil} {
			if set {
				chosen++
			}
		}
		if k.Module == "" || chosen != 1 {
			wrong("key_stores: %q needs module, and exactly one of label, serial and slot", name)
		}
	}
}

func (c *Config) tls() bool { return c.TLS.CertFile != "" }

// proxies parses the trusted networks; a bare address is a network of one.
func (c *Config) proxies() ([]*net.IPNet, error) {
	var trusted []*net.IPNet
	for _, text := range c.TrustedProxies {
		if ip := net.ParseIP(text); ip != nil {
			bits := 8 * net.IPv6len
			if ip.To4() != nil {
				bits = 8 * net.IPv4len
			}
			text = fmt.Sprintf("%s/%d", text, bits)
		}
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %q is not a network, such as 10.0.0.0/8", text)
		}
		trusted = append(trusted, network)
	}
	return trusted, nil
}

// isLoopback says whether an address reaches this machine alone. A name other
// than localhost may change what it means, so it is not.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
