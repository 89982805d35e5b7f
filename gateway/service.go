package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/watch"
	"github.com/hsmgate/hsmgate/hsm"
)

// Config holds the parts that a Service is made of. What has no
// default is required.
type Config struct {
	// Name tells the process from all others that use the same store. What a
	// process has begun, others leave to it; see store.ClaimFor.
	Name    string
	Names   Names
	Store   *store.Store
	Token   *hsm.Token
	Audit   *audit.Log
	Tree    Tree // over the records of Audit
	Log     *zap.Logger
	Metrics prometheus.Registerer
	// Series bound what the metrics tell apart. The zero value has the defaults.
	Series Series
	// KeyStores are further tokens by name, which Start opens: the custom key
	// stores of AWS KMS. Default none.
	KeyStores map[string]hsm.Config
	// Regions are served beside that of Names. Default none.
	Regions []string
	// AuditTimeout is how long a call waits for its audit record to become
	// durable before its result is thrown away. Default 5s.
	AuditTimeout time.Duration
	// Rotation says how keys get new versions.
	Rotation Rotation
	// Imports says how key material is brought in.
	Imports Imports
	// Identities knows the callers.
	Identities *identity.Identities
	// Sessions say how long sessions of roles are good.
	Sessions Sessions
	// Quotas bound what callers may make. The zero value has those of AWS KMS.
	Quotas Quotas
	// Limits bound how fast callers may call. The zero value bounds nothing.
	Limits Limits
	// Idempotency says how answers to requests with an idempotency key are kept.
	Idempotency Idempotency
	// StaleLimit is how long calls that only read memory and use the token are
	// served while the database is away. Default 0: not at all.
	StaleLimit time.Duration
	// Watch says how the log is watched for unusual patterns; see [Service.Watch].
	Watch watch.Settings
	// Tracer makes spans of calls. Default none.
	Tracer trace.Tracer
	// Now is the clock of key states and deletions. Default time.Now.
	Now func() time.Time
}

// Service performs the operations of [Ops].
type Service struct {
	name           string
	names          Names
	store          *store.Store
	token          *hsm.Token
	audit          *audit.Log
	treeConfig     Tree
	logKeyTries    tries // of whoever starts the tree: Start, then the rounds
	tree           atomic.Pointer[logTree]
	log            *zap.Logger
	metrics        *metrics
	stamps         atomic.Pointer[Timestamps] // nil: no authority
	tracer         trace.Tracer               // nil: calls are not traced
	auditTimeout   time.Duration
	receiptTimeout time.Duration // how long a receipt is waited for
	rotation       Rotation
	imports        Imports
	quotas         Quotas
	idempotency    Idempotency
	once           *once
	limits         limiter
	identities     *identity.Identities
	sessions       Sessions
	staleLimit     time.Duration
	now            func() time.Time
	uses           lastUses
	counted        *useCounter         // encryptions that were set aside
	making         *semaphore.Weighted // of RSA keys, which keeps a processor busy
	keys           sync.Map            // object id -> *hsm.Key or *hsm.Secret, which cache their handles
	changes        sync.Mutex          // held by one call that changes a key's state or an alias; see Op.changes
	creating       sync.Map            // ids of keys whose creation is under way here
	atWork         sync.Map            // ids of pending objects that are being made here
	asking         singleflight.Group  // of Readiness
	parts          []func() Part       // of Readiness, beside its own
	watching       *watching           // nil: switched off
	regions        []string            // that are served, the home region first
	keyStores      map[string]*keyStore
	retries        map[string]retry // what is to be done -> when to try again; of Start and Run alone

	followers     sync.WaitGroup // those who open and close key stores
	stopFollowing context.CancelFunc
}

// New makes a Service. It does not touch the token; see [Service.Start].
func New(c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AuditTimeout == 0 {
		c.AuditTimeout = 5 * time.Second
	}
	if c.Rotation.Overlap == 0 {
		c.Rotation.Overlap = defaultOverlap
	}
	if c.Sessions.MaxDuration == 0 {
		c.Sessions.MaxDuration = time.Hour
	}
	s := &Service{
		identities: c.Identities, sessions: c.Sessions, tracer: c.Tracer,
		rotation: c.Rotation, imports: c.Imports, name: c.Name,
		names: c.Names, store: c.Store, token: c.Token, audit: c.Audit, log: c.Log,
		auditTimeout: c.AuditTimeout, staleLimit: c.StaleLimit, quotas: c.Quotas.withDefaults(), limits: newLimiter(c.Limits), now: c.Now,
		retries: make(map[string]retry),
		counted: newUseCounter(c.Store), making: semaphore.NewWeighted(maxMaking),
	}
	s.idempotency = c.Idempotency.withDefaults()
	s.once = newOnce(c.Store, s.keptSince)
	s.treeConfig, s.receiptTimeout = c.Tree, c.AuditTimeout
	s.tree.Store(&logTree{})
	if c.Tree.Path != "" {
		s.AddPart(s.treePart)
	}
	s.regions = append([]string{c.Names.Region}, c.Regions...)
	s.keyStores = newKeyStores(c.KeyStores, c.Token)
	s.metrics = newMetrics(c.Metrics, s, c.Series)
	s.observeToken(DefaultToken, s.token)
	if !c.Watch.Off {
		s.watching = newWatching(c.Watch, c.Metrics, s)
	}
	s.audit.GatherWhile(func() bool { return s.token.Waiting() > 0 })
	return s
}
