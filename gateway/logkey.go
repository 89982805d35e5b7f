package gateway

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// makeLogKey makes a key that signs checkpoints. As with every object, a note of it comes first, so that a crash at
// any step leaves no orphan; and so do its records.
func (s *Service) makeLogKey(ctx context.Context, origin string) error {
	k := store.LogKey{Instance: s.name, Origin: origin, Spec: string(hsm.Edwards25519), ObjectID: hsm.NewID(), CreatedAt: s.now()}
	if err := s.token.Supports(hsm.Edwards25519, hsm.UseSign); err != nil {
		k.Spec = string(hsm.NISTP256)
	}
	c := &Call{RequestID: uuid.NewString(), Face: internalFace, op: &Op{Name: "CreateLogKey"}}
	c.record.Resource = origin
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	start := time.Now()
	cause := s.makeLogObject(ctx, k)
	var failed *api.Error
	if cause != nil {
		failed = s.tokenError(c, cause)
	}
	if err := s.finish(ctx, c, start, failed); err != nil {
		return err
	}
	return nil
}

func (s *Service) makeLogObject(ctx context.Context, k store.LogKey) error {
	done, err := s.pend(ctx, &store.Key{}, k.ObjectID, 0)
	defer done()
	if err == nil {
		k.PublicKey, err = s.token.Generate(ctx, hsm.KeySpec(k.Spec), hsm.UseSign, k.ObjectID, "hsmgate log "+k.Origin)
	}
	if err == nil {
		_, err = s.store.InsertLogKey(ctx, k)
	}
	if err != nil {
		s.discard(s.token, k.ObjectID)
	}
	return err
}

// logSigner signs checkpoints like any caller: in its turn, and with the signature checked.
func (s *Service) logSigner(key *hsm.Key, spec api.KeySpec) func(context.Context, []byte) ([]byte, error) {
	algorithm := signingAlgorithms[spec][0]
	if spec == api.Ed25519 {
		algorithm = api.Ed25519SHA512
	}
	return func(ctx context.Context, text []byte) ([]byte, error) {
		input, refused := messageInput(text, api.Raw, algorithm)
		if refused != nil {
			return nil, refused
		}
		return s.token.Sign(hsm.WithCaller(ctx, "log"), key, mechanisms[algorithm], input)
	}
}

// logVerifierKey gives a key of a log, and how others write it.
func logVerifierKey(k *store.LogKey) (*hsm.Key, string, error) {
	key, err := hsm.NewKey(k.ObjectID, hsm.KeySpec(k.Spec), k.PublicKey)
	if err != nil {
		return nil, "", err
	}
	vkey, err := tree.VerifierKey(k.Origin, key.Public())
	return key, vkey, err
}
