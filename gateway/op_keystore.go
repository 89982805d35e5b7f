package gateway

import (
	"context"
	"slices"
	"sync"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// DescribeCustomKeyStores lists the tokens by name; the marker is the last name
// of the page before.
func (s *Service) DescribeCustomKeyStores(_ context.Context, c *Call, in *api.DescribeCustomKeyStoresRequest) (*api.DescribeCustomKeyStoresResponse, *api.Error) {
	name := in.CustomKeyStoreId
	if in.CustomKeyStoreName != "" {
		if name != "" {
			return nil, api.Errorf(api.Validation, "You cannot specify CustomKeyStoreId and CustomKeyStoreName in the same request.")
		}
		name = in.CustomKeyStoreName
	}
	names := s.keyStoreNames()
	if name != "" {
		if _, err := s.keyStoreOf(name); err != nil {
			return nil, err
		}
		c.record.Resource, names = name, []string{name}
	}
	if in.Marker != "" {
		at, found := slices.BinarySearch(names, in.Marker)
		if !found {
			return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of DescribeCustomKeyStores.", in.Marker)
		}
		names = names[at+1:]
	}
	out := &api.DescribeCustomKeyStoresResponse{}
	if limit := orElse(in.Limit, 100); len(names) > limit {
		names = names[:limit]
		out.Truncated, out.NextMarker = true, names[limit-1]
	}
	out.CustomKeyStores = atOnce(names, func(name string) api.CustomKeyStoresListEntry {
		entry := api.CustomKeyStoresListEntry{CustomKeyStoreId: name, CustomKeyStoreName: name, CustomKeyStoreType: api.AWSCloudHSM}
		entry.ConnectionState, entry.ConnectionErrorCode = s.connection(s.keyStores[name])
		return entry
	})
	return out, nil
}

// atOnce asks for all at the same time: tokens that do not answer are waited for
// together. The answers are in the order of the names.
func atOnce[T any](names []string, ask func(name string) T) []T {
	out := make([]T, len(names))
	var all sync.WaitGroup
	for n, name := range names {
		all.Go(func() { out[n] = ask(name) })
	}
	all.Wait()
	return out
}

// ConnectCustomKeyStore has the token opened. It does not wait for that:
// DescribeCustomKeyStores tells what came of it.
func (s *Service) ConnectCustomKeyStore(ctx context.Context, c *Call, in *api.ConnectCustomKeyStoreRequest) (*api.Empty, *api.Error) {
	c.record.Resource = in.CustomKeyStoreId
	ks, err := s.keyStoreOf(in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	switch state, why := s.connection(ks); state {
	case api.Failing:
		if ks.name == DefaultToken {
			return nil, api.Errorf(api.CustomKeyStoreInvalidState, "Custom key store %s is FAILED (%s). It is opened again of itself.", ks.name, why)
		}
		return nil, api.Errorf(api.CustomKeyStoreInvalidState,
			"Custom key store %s is FAILED (%s). Mend the cause, then disconnect it (DisconnectCustomKeyStore) and connect it again.", ks.name, why)
	case api.Disconnecting:
		return nil, api.Errorf(api.CustomKeyStoreInvalidState, "Custom key store %s is DISCONNECTING. Connect it once it is DISCONNECTED.", ks.name)
	case api.Disconnected:
		return s.setDisconnected(ctx, c, ks, false)
	}
	return &api.Empty{}, nil // as in AWS KMS, connecting what is connected is no error
}

// DisconnectCustomKeyStore takes a token out of service, over restarts, until it
// is connected again. Its keys are Unavailable from now on.
func (s *Service) DisconnectCustomKeyStore(ctx context.Context, c *Call, in *api.DisconnectCustomKeyStoreRequest) (*api.Empty, *api.Error) {
	c.record.Resource = in.CustomKeyStoreId
	ks, err := s.keyStoreOf(in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	if ks.name == DefaultToken {
		return nil, api.Errorf(api.UnsupportedOperation, "The default token cannot be disconnected: the gateway does not serve without it. Stop the gateway instead.")
	}
	if s.store.Disconnected(ks.name) {
		return nil, api.Errorf(api.CustomKeyStoreInvalidState, "Custom key store %s is disconnected already.", ks.name)
	}
	return s.setDisconnected(ctx, c, ks, true)
}

func (s *Service) setDisconnected(ctx context.Context, c *Call, ks *keyStore, out bool) (*api.Empty, *api.Error) {
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	set := func(ctx context.Context, out bool) error {
		ks.asked.Add(1)
		ks.failed.Store(nil) // a connection tries again, after a refused PIN too
		defer ks.wake()
		return s.store.SetDisconnected(ctx, ks.name, out, s.now())
	}
	if err := set(ctx, out); err != nil {
		return nil, internal(c.RequestID, err)
	}
	c.undoBy(s, func(ctx context.Context) error { return set(ctx, !out) })
	return &api.Empty{}, nil
}

// notByCall is the answer to those who would name a module over the network.
func notByCall() *api.Error {
	return api.Errorf(api.UnsupportedOperation, "Custom key stores are not made, changed or removed by API: a module path that came by API would be code execution. "+
		"Name the token under key_stores in the configuration and restart.")
}

// CreateCustomKeyStore is refused.
func (s *Service) CreateCustomKeyStore(context.Context, *Call, *api.CreateCustomKeyStoreRequest) (*api.CreateCustomKeyStoreResponse, *api.Error) {
	return nil, notByCall()
}

// UpdateCustomKeyStore is refused.
func (s *Service) UpdateCustomKeyStore(context.Context, *Call, *api.UpdateCustomKeyStoreRequest) (*api.Empty, *api.Error) {
	return nil, notByCall()
}

// DeleteCustomKeyStore is refused.
func (s *Service) DeleteCustomKeyStore(context.Context, *Call, *api.DeleteCustomKeyStoreRequest) (*api.Empty, *api.Error) {
	return nil, notByCall()
}
