package identity

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func TestAccessKey(t *testing.T) {
	t.Parallel()
	i, ci, admin := newIdentities(t)
	id, secret, err := i.IssueAccessKey(t.Context(), ci.ARN, time.Hour, now)
	ok(t, err)
	forEver, _, err := i.IssueAccessKey(t.Context(), admin.ARN, 0, now)
	ok(t, err)
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(id) || !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(secret) {
		t.Errorf("id %q, secret of %d characters", id, len(secret))
	}
	ci.CredentialID = id
	for range 2 { // opened, then remembered
		got, p, err := i.AccessKey(id, now)
		ok(t, err)
		equal(t, got, secret)
		equal(t, p, ci)
	}
	refused := func(id string, at time.Time, want error) {
		t.Helper()
		got, p, err := i.AccessKey(id, at)
		is(t, err, want)
		equal(t, got, "")
		equal(t, p, policy.Principal{})
	}
	refused(id, now.Add(time.Hour), ErrExpired)
	refused("", now, ErrUnknown)
	refused(strings.ToLower(id), now, ErrUnknown)
	refused(id+" ", now, ErrUnknown)
	_, _, err = i.AccessKey(forEver, now.Add(100*365*24*time.Hour))
	ok(t, err)

	ok(t, i.DisableAccessKey(t.Context(), id))
	refused(id, now, ErrDisabled)
	ok(t, i.EnableAccessKey(t.Context(), id))
	_, _, err = i.AccessKey(id, now)
	ok(t, err)
	is(t, i.DisableAccessKey(t.Context(), "AKIA"), store.ErrNotFound)

	_, _, err = i.IssueAccessKey(t.Context(), ci.ARN, -1, now)
	is(t, err, ErrInvalid)
	_, _, err = i.IssueAccessKey(t.Context(), "arn", time.Hour, now)
	is(t, err, store.ErrNotFound)

	equal(t, len(i.AccessKeys("")), 2)
	equal(t, i.AccessKeys(ci.ARN)[0].ID, id)
	ok(t, i.DeleteAccessKey(t.Context(), id))
	refused(id, now, ErrUnknown)
	is(t, i.DeleteAccessKey(t.Context(), id), store.ErrNotFound)
	ok(t, i.DeletePrincipal(t.Context(), admin.ARN))
	refused(forEver, now, ErrUnknown)
}

// The secret of a deleted access key does not stay in memory.
func TestDeletedSecretsAreForgotten(t *testing.T) {
	t.Parallel()
	i, ci, _ := newIdentities(t)
	id, _, err := i.IssueAccessKey(t.Context(), ci.ARN, 0, now)
	ok(t, err)
	_, _, err = i.AccessKey(id, now)
	ok(t, err)
	secrets := func() (n int) {
		i.derived.Load().secrets.Range(func(any, any) bool { n++; return true })
		return n
	}
	equal(t, secrets(), 1)
	ok(t, i.DeleteAccessKey(t.Context(), id))
	_, _, err = i.AccessKey("AKIA", now) // any request
	is(t, err, ErrUnknown)
	equal(t, secrets(), 0)
}

// A wrong seal key is told at the start, not by a request.
func TestWrongSealKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	wrong := []byte(strings.Repeat("x", SealKeySize))
	i, err := New(s, seal, account)
	ok(t, err)
	p, err := i.CreatePrincipal(t.Context(), "ci", policy.RoleUser, nil, now)
	ok(t, err)
	_, err = New(s, wrong, account)
	ok(t, err) // nothing is sealed yet
	id, _, err := i.IssueAccessKey(t.Context(), p.ARN, 0, now)
	ok(t, err)
	_, err = New(s, wrong, account)
	is(t, err, ErrSealKey)
	if !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "seal key that belongs to this database") {
		t.Errorf("the error does not help: %v", err)
	}
	_, err = New(s, seal, account)
	ok(t, err)
	for _, short := range [][]byte{nil, seal[:16], seal[:31], append(seal[:32:32], 0)} {
		_, err = New(s, short, account)
		is(t, err, ErrSealKey)
	}
}

// A sealed secret belongs to its id: who can write the database can not give
// a known secret to another's access key.
func TestSealedSecretCannotBeMoved(t *testing.T) {
	t.Parallel()
	i, ci, admin := newIdentities(t)
	id, _, err := i.IssueAccessKey(t.Context(), ci.ARN, 0, now)
	ok(t, err)
	mine, _ := i.store.AccessKey(id)
	moved := *mine
	moved.ID, moved.PrincipalARN = "AKIAMOVEDMOVEDMOVED2", admin.ARN
	ok(t, i.store.InsertAccessKey(t.Context(), &moved))
	secret, p, err := i.AccessKey(moved.ID, now)
	is(t, err, ErrSealKey)
	equal(t, secret, "")
	equal(t, p, policy.Principal{})
	for at := range mine.SealedSecret {
		broken := append([]byte{}, mine.SealedSecret...)
		broken[at] ^= 1
		_, err := i.open(id, broken)
		is(t, err, ErrSealKey)
	}
	_, err = i.open(id, nil)
	is(t, err, ErrSealKey)
}

// What a command-line tool issues beside the daemon works there.
func TestIssuedByAnotherProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hsmgate.db")
	daemonStore := openStore(t, path)
	daemon, err := New(daemonStore, seal, account)
	ok(t, err)
	daemonStore.Watch(t.Context())
	tool, err := New(openStore(t, path), seal, account)
	ok(t, err)
	p, err := tool.CreatePrincipal(t.Context(), "ci", policy.RoleUser, nil, now)
	ok(t, err)
	id, secret, err := tool.IssueAccessKey(t.Context(), p.ARN, 0, now)
	ok(t, err)
	p.CredentialID = id
	for range 3000 {
		if got, who, err := daemon.AccessKey(id, now); err == nil {
			equal(t, got, secret)
			equal(t, who, p)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the daemon never learned of it")
}
