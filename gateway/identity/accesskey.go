package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// The forms that AWS gives its long-term access keys, which clients check.
const (
	accessKeyPrefix = "AKIA" // and 16 characters of A-Z2-7
	accessKeyRandom = 16
	secretBytes     = 30 // 40 characters of base64
)

// AccessKey finds the secret of an access key and its principal. The caller is
// that principal only if the secret fits the request's signature, which is
// left to the caller of this method. ErrUnknown, ErrDisabled, ErrExpired, and
// ErrSealKey for a secret that another process sealed under another key; the
// secret is "" then.
func (i *Identities) AccessKey(id string, now time.Time) (secret string, p policy.Principal, err error) {
	d := i.current()
	k, err := i.usable(id, now)
	if err != nil {
		return "", p, err
	}
	if p, err = i.principal(d, k.PrincipalARN); err != nil {
		return "", p, err
	}
	if secret, err = i.secret(d, k); err != nil {
		return "", policy.Principal{}, err
	}
	p.CredentialID = id
	return secret, p, nil
}

// usable finds an access key that may be used now.
func (i *Identities) usable(id string, now time.Time) (*store.AccessKey, error) {
	k, ok := i.store.AccessKey(id)
	switch {
	case !ok:
		return nil, ErrUnknown
	case k.Disabled:
		return nil, ErrDisabled
	case expired(k.ExpiresAt, now):
		return nil, ErrExpired
	}
	return k, nil
}

// secret opens a sealed secret once.
func (i *Identities) secret(d *derived, k *store.AccessKey) (string, error) {
	if known, ok := d.secrets.Load(k); ok {
		return known.(string), nil
	}
	secret, err := i.open(k.ID, k.SealedSecret)
	if err != nil {
		return "", err
	}
	d.secrets.Store(k, secret)
	return secret, nil
}

// IssueAccessKey makes an access key for a principal, good for ttl; 0 is for
// ever. The secret is returned once and can not be had again.
func (i *Identities) IssueAccessKey(ctx context.Context, principalARN string, ttl time.Duration, now time.Time) (id, secret string, err error) {
	if ttl < 0 {
		return "", "", fmt.Errorf("identity: %w: the lifetime of an access key is positive, or 0 for ever, not %s", ErrInvalid, ttl)
	}
	if err := i.mayHaveCredentials(principalARN); err != nil {
		return "", "", err
	}
	id = accessKeyPrefix + strings.ToUpper(randomBase32(accessKeyRandom))
	raw := make([]byte, secretBytes)
	rand.Read(raw) // never fails
	secret = base64.StdEncoding.EncodeToString(raw)
	k := &store.AccessKey{ID: id, SealedSecret: i.sealed(id, secret), PrincipalARN: principalARN, CreatedAt: now}
	if ttl > 0 {
		k.ExpiresAt = now.Add(ttl)
	}
	if err := i.store.InsertAccessKey(ctx, k); err != nil {
		return "", "", fmt.Errorf("identity: %w", err)
	}
	return id, secret, nil
}

// AccessKeys lists the access keys of a principal ("" = of all), their secrets
// sealed.
func (i *Identities) AccessKeys(principalARN string) []*store.AccessKey {
	return i.store.AccessKeys(principalARN)
}

// DisableAccessKey takes an access key out of use until EnableAccessKey.
func (i *Identities) DisableAccessKey(ctx context.Context, id string) error {
	_, err := i.store.SetAccessKeyDisabled(ctx, id, true)
	return err
}

// EnableAccessKey takes a disabled access key into use again.
func (i *Identities) EnableAccessKey(ctx context.Context, id string) error {
	_, err := i.store.SetAccessKeyDisabled(ctx, id, false)
	return err
}

// DeleteAccessKey removes an access key for ever.
func (i *Identities) DeleteAccessKey(ctx context.Context, id string) error {
	_, err := i.store.DeleteAccessKey(ctx, id)
	return err
}
