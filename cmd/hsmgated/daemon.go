package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/sink"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/tracing"
	"github.com/hsmgate/hsmgate/gateway/witness"
	"github.com/hsmgate/hsmgate/hsm"
)

// deletionRound is how often keys are looked for whose waiting period is over.
const deletionRound = time.Minute

// flushTimeout is how long the last uses of keys may take to be written at the end.
const flushTimeout = 5 * time.Second

// daemon holds the open parts, in the order in which they were opened.
type daemon struct {
	config     *Config
	log        *zap.Logger
	listener   net.Listener
	store      *store.Store
	identities *identity.Identities
	audit      *audit.Log
	sinks      *sink.Set
	token      *hsm.Token
	registry   *prometheus.Registry
	tracing    *tracing.Tracing // nil: off
	service    *gateway.Service
	pusher     *witness.Pusher // of checkpoints; nil where there is no place for them
	url        string          // under which clients on this machine reach the server

	background sync.WaitGroup
	lastTree   atomic.Pointer[tree.Publisher]  // for the last checkpoint, which comes at its end
	sealer     atomic.Pointer[gateway.Service] // service, for the log, which is opened before it
}

// tokenAway is what to do about a token that cannot be opened.
const tokenAway = "is the device there, and does the module find its own configuration? Its variables stand under 'environment' in the settings"

// openDaemon opens everything. The token comes last, so that no other mistake
// costs a login.
func openDaemon(ctx context.Context, c *Config, log *zap.Logger) (_ *daemon, err error) {
	d := &daemon{config: c, log: log, registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := setEnvironment(c); err != nil {
		return nil, err
	}
	if d.listener, err = listen(ctx, c.Listen, c.MaxConnections); err != nil {
		return nil, err
	}
	if d.url, err = clientURL(c, d.listener.Addr().String()); err != nil {
		return nil, err
	}
	if d.store, d.identities, err = openIdentities(ctx, c); err != nil {
		return nil, err
	}
	if err := trust(d.identities, c, log); err != nil {
		return nil, err
	}
	for _, name := range missingRoles(c, d.store) {
		log.Warn(noSuchRole(name), zap.String("do", "hsmgated role create "+name))
	}
	if d.audit, err = openAudit(c, log, d.seal, d.sealed); err != nil {
		return nil, err
	}
	if d.sinks, err = openSinks(c, d.audit, log, d.registry); err != nil {
		return nil, err
	}
	token := c.Token
	token.Log = log.Named("token")
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if d.token, err = hsm.Open(opening, token); err != nil {
		err = fmt.Errorf("the token cannot be opened: %w", err)
		if errors.Is(err, hsm.ErrUnavailable) {
			err = &hintedError{err, tokenAway + "; 'hsmgated check' looks at everything"}
		}
		return nil, err
	}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	name, err := c.instance()
	if err != nil {
		return nil, err
	}
	if c.StoreDSNFile != "" && c.Instance == "" {
		log.Warn("'instance' is not set: this daemon is known by the names of its machine and log, and signs no checkpoints under another one", zap.String("do", "set instance: "+name))
	}
	if d.tracing, err = tracing.Open(ctx, c.Tracing, version, name, log); err != nil {
		return nil, err
	}
	d.service = gateway.New(gateway.Config{
		Name: name, StaleLimit: c.staleLimit(), Names: gateway.Names{Account: c.Account, Region: c.Region}, Store: d.store, Token: d.token, Audit: d.audit, Tree: c.tree(name),
		Log: log, Metrics: d.registry, AuditTimeout: c.Audit.Timeout, KeyStores: keyStores(c, log), Regions: c.Regions,
		Rotation: c.Rotation.gateway(), Quotas: c.Quotas, Limits: c.Limits, Idempotency: c.Idempotency, Series: c.Metrics, Tracer: d.tracing.Tracer(), Imports: c.Import, Identities: d.identities, Sessions: c.Sessions,
		Watch: c.Watch,
	})
	stamps, err := c.Timestamp.gateway()
	if err != nil {
		return nil, err
	}
	if stamps != nil {
		d.service.ServeTimestamps(stamps)
	}
	if d.pusher, err = newPusher(&c.Audit, d.logTree, log); err != nil {
		return nil, err
	}
	if d.pusher != nil {
		registerPusher(d.registry, d.pusher)
	}
	if err := d.service.Start(ctx); err != nil {
		return nil, err
	}
	d.sealer.Store(d.service)
	return d, nil
}

// seal gives what the log's key has signed for records that go, once there is a service that has the key.
func (d *daemon) seal(last audit.Receipt) ([]byte, error) {
	s := d.sealer.Load()
	if s == nil {
		return nil, audit.ErrSealLater
	}
	return s.SealLog(last)
}

// sealed says whether the log's key has signed what a cut of the log holds.
func (d *daemon) sealed(c audit.Cut) error {
	s := d.sealer.Load()
	if s == nil {
		return errors.New("the service has not started yet")
	}
	return s.CheckLogCut(c)
}

// keyStores are the further tokens by name, which the service opens.
func keyStores(c *Config, log *zap.Logger) map[string]hsm.Config {
	all := make(map[string]hsm.Config, len(c.KeyStores))
	for _, k := range c.KeyStores {
		k.Log = log.Named("token").With(zap.String("token", k.Name))
		all[k.Name] = k.Config
	}
	return all
}

// listen accepts so many connections at a time, and never so many that the
// module and the logs lack files.
func listen(ctx context.Context, address string, connections int) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		err = fmt.Errorf("the address %s cannot be served: %w", address, err)
		if errors.Is(err, unix.EADDRINUSE) {
			err = &hintedError{err, "choose another one; port 0 is a free one: quickstart --addr 127.0.0.1:0, make run ADDR=127.0.0.1:0, or 'listen' in the settings"}
		}
		return nil, err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && uint64(connections) > files.Cur/2 {
		connections = max(int(files.Cur/2), 1)
	}
	return netutil.LimitListener(l, connections), nil
}

// gcPercent trades some 30 MB for a third of the garbage collector's work: what
// lives in the heap is small.
const gcPercent = 400

// setEnvironment sets what the PKCS#11 module reads, the number of threads and
// how often garbage is collected.
func setEnvironment(c *Config) error {
	for name, value := range c.Environment {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		n := c.GOMAXPROCS
		if n == 0 {
			n = 2 * runtime.GOMAXPROCS(0)
		}
		runtime.GOMAXPROCS(n)
	}
	return nil
}

// openIdentities opens the database and the credentials in it, and makes the
// seal key where there is nothing yet that it could have sealed.
func openIdentities(ctx context.Context, c *Config) (*store.Store, *identity.Identities, error) {
	s, err := openStore(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if err := elsewhere(s.BelongsTo(ctx, c.Account, c.Region)); err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	seal, err := identity.ReadSealKey(c.SealKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if n := len(s.AccessKeys("")); n > 0 {
			err = &hintedError{fmt.Errorf("%s is missing, and the database holds %d access keys that were sealed under it", c.SealKeyFile, n),
				"put the file back from a copy; without it, the access keys have to be deleted and issued anew"}
			return nil, nil, errors.Join(err, s.Close())
		}
		seal, err = identity.CreateSealKey(c.SealKeyFile)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	ids, err := identity.New(s, seal, c.Account)
	if err == nil {
		err = elsewhere(s.Settle(ctx, c.Account, c.Region)) // after the principals, which know the account in older databases
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, ids, nil
}

// trust has the callers accepted whom others vouch for.
func trust(ids *identity.Identities, c *Config, log *zap.Logger) error {
	if err := ids.TrustProviders(c.IdentityProviders, log); err != nil {
		return err
	}
	if !c.ClientCertificates.Configured() {
		return nil
	}
	return ids.TrustCertificates(c.ClientCertificates, log)
}

func openAudit(c *Config, log *zap.Logger, seal func(audit.Receipt) ([]byte, error), sealed func(audit.Cut) error) (*audit.Log, error) {
	if err := os.MkdirAll(filepath.Dir(c.Audit.Path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the audit log: %w", err)
	}
	return audit.Open(c.Audit.Path, audit.Options{
		Timeout:     c.Audit.Timeout,
		SegmentSize: c.Audit.SegmentSize, SegmentAge: c.Audit.SegmentAge, Retention: c.Audit.Retention,
		Seal: seal, Sealed: sealed,
		Uncompressed: c.Audit.Compress != nil && !*c.Audit.Compress,
		OnTrouble: func(what string, err error) {
			if err != nil {
				log.Error("a part of the work with the audit log's segments fails; it is tried again", zap.String("part", what), zap.Error(err))
				return
			}
			log.Info("a part of the work with the audit log's segments goes on again", zap.String("part", what))
		},
		OnRecovered: func(r audit.Recovery) {
			log.Warn("the audit log ended with an unfinished line, which nobody had been told about; it was cut off",
				zap.Stringer("after", r.After), zap.Int64("bytes", r.Bytes))
		},
		OnState: func(err error) {
			if err != nil {
				log.Error("the audit log takes no records: every call is refused until it does", zap.Error(err))
				return
			}
			log.Info("the audit log takes records again")
		},
	})
}

// start starts what goes on beside the calls. It ends with ctx; close waits.
func (d *daemon) start(ctx context.Context) {
	d.store.Watch(ctx)
	d.identities.Watch(ctx)
	d.background.Go(func() { d.service.Run(ctx, deletionRound) })
	d.background.Go(func() { d.service.Watch(ctx) })
	if d.pusher != nil {
		d.background.Go(func() { d.pusher.Run(ctx) })
		d.background.Go(func() { push(ctx, d.service.LogTree, d.pusher) })
	}
}

// close closes what is open, the last first, once no call is under way.
func (d *daemon) close() error {
	d.background.Wait()
	var errs []error
	if d.listener != nil {
		if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if d.service != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		errs = append(errs, d.service.Flush(ctx))
		ended := d.logTree()
		if err := d.service.EndTree(ctx); err != nil {
			d.log.Warn("the last records have no checkpoint yet; the next start makes one", zap.Error(err))
		}
		d.pushLast(ended)
	}
	if d.audit != nil {
		errs = append(errs, d.audit.Close())
	}
	d.sinks.Stop() // once they know the last record
	if d.service != nil {
		errs = append(errs, d.service.Close())
	}
	flush, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := d.tracing.Close(flush); err != nil { // traces are no part of the service
		d.log.Warn("the last traces were not sent", zap.Error(err))
	}
	if d.token != nil {
		errs = append(errs, d.token.Close())
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	return errors.Join(errs...)
}
