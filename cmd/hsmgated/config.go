package main

import (
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/audit/sink"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/tracing"
	"github.com/hsmgate/hsmgate/gateway/watch"
	"github.com/hsmgate/hsmgate/hsm"
)

// Config is the configuration file of hsmgated, in YAML. A setting that is not
// named here is refused, with its line. Relative paths are relative to the
// folder of the file. Secrets never stand in it: it names the files that hold
// them.
type Config struct {
	// Listen is the address to serve on, host:port. Port 0 is a free one.
	// Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// TLS holds the server's certificate. Without it, plain HTTP is served, on
	// loopback addresses only.
	TLS TLS `yaml:"tls"`
	// AllowPlainHTTP serves plain HTTP on other addresses, too: whoever can
	// read the traffic then has the bearer tokens. For a reverse proxy that
	// does TLS on the same machine, or a container whose port is published on
	// loopback.
	AllowPlainHTTP bool `yaml:"allow_plain_http"`
	// TrustedProxies are networks, such as 10.0.0.0/8, whose X-Forwarded-For
	// header is believed: the audit log then holds the address that it names.
	// Default none: the address of the connection, whatever the header says.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Account is the account id in every ARN: 12 digits. The database keeps that
	// of the first start, and another one is refused. Default 000000000000.
	Account string `yaml:"account"`
	// Region is the region in every ARN, and the one that AWS clients sign
	// for. The database keeps that of the first start, and another one is refused.
	// Default us-east-1.
	Region string `yaml:"region"`
	// Regions are further regions that are served: each has keys and aliases of
	// its own, and keys made with MultiRegion can be replicated to it. An AWS
	// client chooses one by its region setting, a REST client by the
	// Hsmgate-Region header. Names are as those of AWS, such as eu-west-1. Default
	// none.
	Regions []string `yaml:"regions"`
	// Token is the PKCS#11 module and the token that holds the keys. Its name as
	// a custom key store is default.
	Token hsm.Config `yaml:"token"`
	// KeyStores are further tokens: custom key stores, in which CreateKey makes a
	// key when CustomKeyStoreId names one. Each has a name (lower-case letters,
	// digits and -, at most 63, not default) and the settings of a token. One
	// that cannot be opened does not keep the daemon from starting. Default none.
	KeyStores []KeyStore `yaml:"key_stores"`
	// Environment holds variables that the PKCS#11 module reads, such as
	// SOFTHSM2_CONF. They are set before it is loaded. A value that begins
	// with ./ is a path, relative to the folder of this file.
	Environment map[string]string `yaml:"environment"`
	// Store is the path of the database (SQLite): metadata of keys, aliases,
	// principals and the hashes of their credentials. It has to be on a local
	// file system. For one daemon;
	// several use store_dsn_file. Default hsmgate.db.
	Store string `yaml:"store"`
	// StoreDSNFile names a file, mode 0600, that says how to reach a PostgreSQL
	// database, which takes the place of store: one line such as
	// postgres://user:password@host/database?sslmode=verify-full, as libpq takes it.
	// Several daemons may use one database. The user may create tables in it.
	StoreDSNFile string `yaml:"store_dsn_file"`
	// StoreStaleLimit is how long keys can still be used while PostgreSQL is away,
	// by what was last known of it: a revocation in another daemon is not seen for
	// as long. Changes are refused at once. 0s is not at all: all calls are, as they
	// are with store. Default 5m.
	StoreStaleLimit *time.Duration `yaml:"store_stale_limit"`
	// Instance is the name of this daemon, which no other one on the same database
	// has, and which stays the same when it starts again: what a daemon has begun
	// to make or destroy when it ends, or has signed and not recorded, only itself
	// takes up at once, and others after an hour. On PostgreSQL a daemon signs no checkpoints of a log that one of
	// another name has signed: set it where the machine's name may change, as that of
	// a container does. Default the name of the machine with the path of the audit log.
	Instance string `yaml:"instance"`
	// SealKeyFile holds the key under which the secrets of access keys are
	// sealed in the database: 64 hex digits, mode 0600. It is made when it is
	// missing and the database has no access key yet. Daemons on one database
	// need copies of one file. Default seal.key.
	SealKeyFile string `yaml:"seal_key_file"`
	// IdentityProviders are OIDC issuers, such as those of CI systems and clusters,
	// whose tokens are accepted as bearer tokens: docs/identity.md. Default none.
	IdentityProviders []identity.Provider `yaml:"identity_providers"`
	// ClientCertificates has clients asked for a certificate (mTLS), which
	// authenticates REST calls without a token, and of which conditions may ask. It
	// needs tls. Default: none is asked for.
	ClientCertificates identity.ClientCertificates `yaml:"client_certificates"`
	// Audit is the log of every use of a key.
	Audit Audit `yaml:"audit"`
	// Watch has the log watched for unusual use of keys, and calls counted: docs/usage.md.
	// It is on with the defaults below unless it is switched off.
	Watch watch.Settings `yaml:"watch"`
	// Rotation says how keys get new versions.
	Rotation Rotation `yaml:"rotation"`
	// Import says how key material is brought in.
	Import gateway.Imports `yaml:"import"`
	// Log is the log of operations, JSON lines on standard error.
	Log Log `yaml:"log"`
	// StopTimeout is how long calls that are under way may go on after SIGTERM
	// or SIGINT. Default 20s.
	StopTimeout time.Duration `yaml:"stop_timeout"`
	// MaxConnections is how many connections are served at a time; more wait
	// to be accepted. Never more than half of the files that the process may
	// have open (ulimit -n): the PKCS#11 module and the logs need theirs,
	// whatever strangers do. Default 4096.
	MaxConnections int `yaml:"max_connections"`
	// GOMAXPROCS is how many threads run Go code at a time. Calls into the
	// PKCS#11 module block their thread, so more than one a core pays. The
	// environment variable of the same name comes first. Default twice the
	// cores.
	GOMAXPROCS int `yaml:"gomaxprocs"`
	// Quotas bound what callers may make. A quota that is left out is that of
	// AWS KMS where it has one.
	Quotas gateway.Quotas `yaml:"quotas"`
	// Limits bound how fast callers may call this daemon. Over a limit a call is
	// answered with ThrottlingException (429 on REST, with Retry-After) and
	// recorded as failed. A limit that is left out is none: then only the queue in
	// front of the token bounds them.
	Limits gateway.Limits `yaml:"limits"`
	// Metrics bound what /metrics tells apart.
	Metrics gateway.Series `yaml:"metrics"`
	// Tracing sends OpenTelemetry traces of calls to a collector. They hold no
	// plaintext, message, digest or credential. Default: off.
	Tracing tracing.Config `yaml:"tracing"`
	// Idempotency says how answers to requests with an idempotency key are kept.
	Idempotency gateway.Idempotency `yaml:"idempotency"`
	// PublicMaxAge is how long caches may keep what is served of keys that are
	// published: docs/public-keys.md. Default 5m.
	PublicMaxAge time.Duration `yaml:"public_max_age"`
	// Sessions are the temporary credentials that workloads get for what they prove.
	Sessions gateway.Sessions `yaml:"sessions"`
	// Timestamp makes the daemon a timestamp authority, at POST /v1/tsa:
	// docs/timestamps.md. Default: it is none.
	Timestamp Timestamp `yaml:"timestamp"`
	// FirstAdministrator is made, with credentials, at a start that finds no
	// principal in the database. Without it, make one with
	// 'hsmgated principal create'. Of several daemons on one database, one has it.
	FirstAdministrator FirstAdministrator `yaml:"first_administrator"`
}

// KeyStore is a token with a name.
type KeyStore struct {
	// Name is its CustomKeyStoreId.
	Name       string `yaml:"name"`
	hsm.Config `yaml:",inline"`
}

// TLS holds the server's certificate. TLS 1.2 is the oldest version served.
type TLS struct {
	// CertFile holds the certificate and its intermediates, PEM. A renewed one
	// is taken without a restart.
	CertFile string `yaml:"cert_file"`
	// KeyFile holds the certificate's private key, PEM.
	KeyFile string `yaml:"key_file"`
}

// Audit is the log of every use of a key.
type Audit struct {
	// Path of the log; its head stands beside it, with .head added. The folder
	// is made when it is missing. Default audit/audit.log.
	Path string `yaml:"path"`
	// Timeout is how long a call waits for its record to become durable before
	// its result is thrown away. Default 5s.
	Timeout time.Duration `yaml:"timeout"`
	// SegmentSize is how many bytes the file may hold before it is closed and
	// goes on in a new one; closed segments lie in the folder beside it, with .d
	// added. Default 268435456 (256 MiB).
	SegmentSize int64 `yaml:"segment_size"`
	// SegmentAge is how old its first record may become before the same.
	// Default 24h.
	SegmentAge time.Duration `yaml:"segment_age"`
	// Compress compresses closed segments (zstd). Default true.
	Compress *bool `yaml:"compress"`
	// Retention is how old the last record of a closed segment may become
	// before the segment is removed. What the log's key has signed for that
	// record stays in its place, in the file cut; without such a signature
	// nothing is removed. Default none: all are kept.
	Retention time.Duration `yaml:"retention"`
	// Sinks are further places that the records are sent to, such as a SIEM, beside the log:
	// docs/siem.md. None holds up a call. Default none.
	Sinks []sink.Config `yaml:"sinks"`
	// Origin is the name of the log in its signed checkpoints, such as
	// log.example.com/hsmgate: printable ASCII without spaces and plus signs. The
	// first start sets it for good: docs/transparency.md. No two logs have one.
	// Default hsmgate/ and a name made from instance.
	Origin string `yaml:"origin"`
	// CheckpointInterval is how often a checkpoint is signed while there are new
	// records, at least 100ms. A signature with a receipt is not kept waiting for
	// it. Default 1s.
	CheckpointInterval time.Duration `yaml:"checkpoint_interval"`
	// Witnesses cosign the log's checkpoints, by the protocol of
	// c2sp.org/tlog-witness: each checks that the log has only grown since the last
	// one that it saw. They get sizes and hashes, and no record. A witness that is
	// away is tried again, and holds nobody up. Default none.
	Witnesses []Witness `yaml:"witnesses"`
	// CheckpointFiles are paths in another place, such as a mount of another machine:
	// the newest checkpoint is written to each, and all of them to the file of the
	// same name with .history added, which is thinned out from 16 MiB on where the
	// place allows it. A checkpoint that lies there and does not fit the log is left
	// alone, and told. Default none.
	CheckpointFiles []string `yaml:"checkpoint_files"`
}

// Witness is one who cosigns.
type Witness struct {
	// URL is its submission prefix, such as https://witness.example/hsmgate.
	URL string `yaml:"url"`
	// Key is its verifier key, NAME+ID+BASE64: only signatures of this key count.
	Key string `yaml:"key"`
}

// Rotation says how keys get new versions.
type Rotation struct {
	// Overlap is how long the public key of a new version is published before
	// the version signs or encrypts, so that nobody meets a signature that he
	// cannot check. Secret keys have none. 0s is none for all. Default 24h.
	Overlap *time.Duration `yaml:"overlap"`
	// LikeAWS has the AWS face refuse the rotation of every key that is not a
	// symmetric encryption key, as AWS KMS does. REST rotates them all the same.
	LikeAWS bool `yaml:"like_aws"`
}

// gateway is the same for the service.
func (r Rotation) gateway() gateway.Rotation {
	out := gateway.Rotation{LikeAWS: r.LikeAWS}
	if r.Overlap != nil {
		out.Overlap = *r.Overlap
		if out.Overlap == 0 {
			out.Overlap = -1 // none, and not the default
		}
	}
	return out
}

// Log is the log of operations.
type Log struct {
	// Level is debug, info, warn or error. At info, each call is one line.
	// Default info.
	Level string `yaml:"level"`
}

// FirstAdministrator is the administrator of a new database.
type FirstAdministrator struct {
	// Name of the principal. Empty makes none.
	Name string `yaml:"name"`
	// EnvFile receives the credentials, in shell syntax, mode 0600: read it
	// with '. FILE', and hsmgate, curl and aws work. The URLs in it are kept up
	// to date at each start.
	EnvFile string `yaml:"env_file"`
}
