package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// DefaultToken is the name of the token that holds every key which was not made
// in another one by name. The gateway cannot do without it.
const DefaultToken = "default"

// keyStore is a token with a name: a custom key store in the words of AWS KMS.
// One goroutine opens and closes it, as the store says.
type keyStore struct {
	name   string
	config hsm.Config
	token  atomic.Pointer[hsm.Token] // nil while it is closed
	failed atomic.Pointer[failure]   // why it could not be opened; nil when it was, or was not tried
	asked  atomic.Uint64             // how often a caller connected or disconnected it
	kick   chan struct{}             // look at the store now
}

// failure of an attempt to open a token.
type failure struct {
	err  error
	next time.Time // when to try again; zero: never of itself
	wait time.Duration
}

// The times of key stores.
const (
	followEvery = time.Second // how soon what another process wrote is followed
	reopenFirst = time.Second
	reopenMost  = time.Minute
	startWait   = 10 * time.Second // how long a start waits for the tokens that it can do without
)

func newKeyStores(tokens map[string]hsm.Config, def *hsm.Token) map[string]*keyStore {
	all := make(map[string]*keyStore, len(tokens)+1)
	for name, config := range tokens {
		all[name] = &keyStore{name: name, config: config, kick: make(chan struct{}, 1)}
	}
	all[DefaultToken] = &keyStore{name: DefaultToken}
	all[DefaultToken].token.Store(def)
	return all
}

// keyStoreNames lists the names of all tokens, sorted.
func (s *Service) keyStoreNames() []string {
	names := make([]string, 0, len(s.keyStores))
	for name := range s.keyStores {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// startKeyStores begins to follow what the store says of each key store, and
// waits a while for the first attempts: one that is away stops nothing.
func (s *Service) startKeyStores(ctx context.Context) {
	if s.stopFollowing != nil {
		return // it is a second start
	}
	ctx, s.stopFollowing = context.WithCancel(ctx)
	var first sync.WaitGroup
	for name, ks := range s.keyStores {
		if name != DefaultToken {
			first.Add(1)
			s.followers.Go(func() { s.follow(ctx, ks, sync.OnceFunc(first.Done)) })
		}
	}
	tried := make(chan struct{})
	go func() { first.Wait(); close(tried) }()
	select {
	case <-tried:
	case <-time.After(startWait):
		s.log.Warn("a key store takes its time to open; its keys are unavailable until it has")
	}
}

// Close closes the tokens of the key stores. The default one belongs to its opener.
func (s *Service) Close() error {
	if s.stopFollowing != nil {
		s.stopFollowing()
	}
	s.followers.Wait()
	var errs []error
	for name, ks := range s.keyStores {
		if name == DefaultToken {
			continue
		}
		if t := ks.token.Swap(nil); t != nil {
			errs = append(errs, t.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Service) follow(ctx context.Context, ks *keyStore, tried func()) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		s.settle(ctx, ks)
		tried()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-ks.kick:
		}
	}
}

// settle opens the token or closes it.
func (s *Service) settle(ctx context.Context, ks *keyStore) {
	if s.store.Disconnected(ks.name) {
		ks.failed.Store(nil) // the next connection tries again, after a refused PIN too
		if t := ks.token.Swap(nil); t != nil {
			s.log.Info("a key store is disconnected", zap.String("token", ks.name), zap.NamedError("closed", t.Close()))
		}
		return
	}
	last := ks.failed.Load()
	if ks.token.Load() != nil || last != nil && (last.next.IsZero() || time.Now().Before(last.next)) {
		return
	}
	asked := ks.asked.Load()
	// Without a time limit: where the module hangs, a second attempt would hang behind the first.
	t, err := hsm.Open(ctx, ks.config)
	if err != nil {
		if ks.asked.Load() == asked { // otherwise the failure is of before, and the next look tries again
			ks.fail(last, err)
		}
		if ctx.Err() == nil {
			s.log.Error("a key store cannot be opened", zap.String("token", ks.name), zap.Bool("tryingAgain", !errors.Is(err, hsm.ErrPINRefused)), zap.Error(err))
		}
		return
	}
	ks.failed.Store(nil)
	s.observeToken(ks.name, t)
	ks.token.Store(t)
	s.log.Info("a key store is connected", zap.String("token", ks.name))
	if err := s.report(ctx, ks.name, t); err != nil {
		s.log.Warn("a key store is not compared with the database", zap.String("token", ks.name), zap.Error(err))
	}
}

// fail notes why the token could not be opened. A refused PIN is not tried again:
// many tokens lock after a few.
func (ks *keyStore) fail(last *failure, err error) {
	f := &failure{err: err, wait: reopenFirst}
	if last != nil {
		f.wait = min(2*last.wait, reopenMost)
	}
	if !errors.Is(err, hsm.ErrPINRefused) {
		f.next = time.Now().Add(f.wait)
	}
	ks.failed.Store(f)
}

// wake has the key store look at the store now.
func (ks *keyStore) wake() {
	select {
	case ks.kick <- struct{}{}:
	default:
	}
}

// connection is the state of a key store, with the reason of a failure.
func (s *Service) connection(ks *keyStore) (api.ConnectionState, api.ConnectionErrorCode) {
	t := ks.token.Load()
	switch out := s.store.Disconnected(ks.name); {
	case out && t != nil && ks.name != DefaultToken:
		return api.Disconnecting, ""
	case out && ks.name != DefaultToken:
		return api.Disconnected, ""
	case t != nil && t.Stats().Available:
		return api.Connected, ""
	case t != nil:
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		if err := t.Ready(ctx); err != nil { // at once, with the reason, while the token is away
			return api.Failing, connectionError(err)
		}
		return api.Connected, ""
	}
	if f := ks.failed.Load(); f != nil {
		return api.Failing, connectionError(f.err)
	}
	return api.Connecting, ""
}

func connectionError(err error) api.ConnectionErrorCode {
	switch {
	case errors.Is(err, hsm.ErrPINRefused):
		return "INVALID_CREDENTIALS"
	case errors.Is(err, hsm.ErrUnavailable):
		return "NETWORK_ERRORS"
	}
	return "INTERNAL_ERROR"
}

// keyStoreOf finds a key store by the id that a caller names.
func (s *Service) keyStoreOf(id string) (*keyStore, *api.Error) {
	if ks, ok := s.keyStores[id]; ok {
		return ks, nil
	}
	return nil, api.Errorf(api.CustomKeyStoreNotFound, "There is no custom key store %q. DescribeCustomKeyStores lists them; the configuration names them under key_stores.", id)
}

// tokenNamed is the token of a custom key store that a caller names, in which
// something is to be made; "" is the default one.
func (s *Service) tokenNamed(id string) (*hsm.Token, *api.Error) {
	if id == "" {
		return s.token, nil
	}
	ks, err := s.keyStoreOf(id)
	if err != nil {
		return nil, err
	}
	if t := ks.token.Load(); t != nil && (id == DefaultToken || !s.store.Disconnected(id)) {
		return t, nil
	}
	state, _ := s.connection(ks)
	return nil, api.Errorf(api.CustomKeyStoreInvalidState, "Custom key store %s is %s. This operation needs it CONNECTED.", id, state)
}

// tokenFor is the token in which a new key is to be made.
func (s *Service) tokenFor(in *api.CreateKeyRequest) (*hsm.Token, *api.Error) {
	switch {
	case in.CustomKeyStoreId != "" && in.Origin != "" && in.Origin != api.OriginAWSCloudHSM:
		return nil, api.Errorf(api.Validation, "A key in a custom key store has the Origin AWS_CLOUDHSM, not %s. Leave Origin out.", in.Origin)
	case in.CustomKeyStoreId == "" && in.Origin == api.OriginAWSCloudHSM:
		return nil, api.Errorf(api.Validation, "A key with the Origin AWS_CLOUDHSM needs a CustomKeyStoreId. DescribeCustomKeyStores lists them.")
	}
	return s.tokenNamed(in.CustomKeyStoreId)
}

// place notes in which token a new key is made, and whether it may have replicas.
func place(k *store.Key, in *api.CreateKeyRequest) {
	if in.CustomKeyStoreId != "" {
		k.Origin = string(api.OriginAWSCloudHSM)
	}
	if in.CustomKeyStoreId != DefaultToken {
		k.Token = in.CustomKeyStoreId
	}
	if in.MultiRegion {
		k.MultiRegion, k.PrimaryRegion = true, k.Region
	}
}

// reachable says whether the token that holds a key answers now.
func (s *Service) reachable(k *store.Key) bool {
	token, err := s.tokenOf(k)
	return err == nil && token.Stats().Available
}

// keyState is the state in which a key shows itself: one whose key store is
// disconnected is Unavailable, unless it waits for its deletion.
func (s *Service) keyState(k *store.Key) api.KeyState {
	state := k.StateAt(s.now())
	if k.Token != "" && (state == store.StateEnabled || state == store.StateDisabled) && s.store.Disconnected(k.Token) {
		return api.Unavailable
	}
	return api.KeyState(state)
}

// TokenName is the name of the token that holds a key.
func TokenName(k *store.Key) string {
	if k.Token == "" {
		return DefaultToken
	}
	return k.Token
}
