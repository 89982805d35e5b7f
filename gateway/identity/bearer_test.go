package identity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/store"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	i, ci, admin := newIdentities(t)
	token, err := i.IssueBearer(t.Context(), ci.ARN, time.Hour, now)
	ok(t, err)
	adminToken, err := i.IssueBearer(t.Context(), admin.ARN, time.Hour, now)
	ok(t, err)

	p, err := i.Bearer(token, now)
	ok(t, err)
	ci.CredentialID = strings.Split(token, "_")[1]
	equal(t, p, ci)
	p, err = i.Bearer(adminToken, now)
	ok(t, err)
	admin.CredentialID = strings.Split(adminToken, "_")[1]
	equal(t, p, admin)

	// Good until the moment of its expiry, and not at it.
	_, err = i.Bearer(token, now.Add(time.Hour-time.Microsecond))
	ok(t, err)
	_, err = i.Bearer(token, now.Add(time.Hour))
	is(t, err, ErrExpired)
	wrong := token[:len(token)-1] + flip(token[len(token)-1])
	_, err = i.Bearer(wrong, now.Add(2*time.Hour))
	is(t, err, ErrUnknown) // who lacks the secret does not learn that it has expired

	for _, ttl := range []time.Duration{0, -time.Second} {
		_, err = i.IssueBearer(t.Context(), ci.ARN, ttl, now)
		is(t, err, ErrInvalid)
	}
	_, err = i.IssueBearer(t.Context(), ci.ARN+"x", time.Hour, now)
	is(t, err, store.ErrNotFound)

	list := i.Bearers(ci.ARN)
	equal(t, len(list), 1)
	ok(t, i.DeleteBearer(t.Context(), list[0].ID))
	_, err = i.Bearer(token, now)
	is(t, err, ErrUnknown)
	is(t, i.DeleteBearer(t.Context(), list[0].ID), store.ErrNotFound)
}

func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// Every change of a token, of one character or of its form, makes it unknown.
func TestWrongBearers(t *testing.T) {
	t.Parallel()
	i, ci, admin := newIdentities(t)
	token, err := i.IssueBearer(t.Context(), ci.ARN, time.Hour, now)
	ok(t, err)
	other, err := i.IssueBearer(t.Context(), admin.ARN, time.Hour, now)
	ok(t, err)
	id, secret, good := parseBearer(token)
	if !good {
		t.Fatalf("%d characters are not a token", len(token))
	}
	otherID, otherSecret, _ := parseBearer(other)
	wrong := []string{"", "hsmgate_", "hsmgate__", token + "a", token + " ", " " + token, token + "\n", token[:len(token)-1],
		strings.ToUpper(token), "HSMGATE_" + id + "_" + secret, "hsmgate-" + id + "-" + secret, "hsmgate_" + secret + "_" + id,
		"hsmgate_" + id + "_" + otherSecret, "hsmgate_" + otherID + "_" + secret, "hsmgate_" + id + "_", "hsmgate_" + id + "_" + strings.Repeat("a", bearerSecretLen),
		"hsmgate_" + strings.Repeat("a", bearerIDLen) + "_" + secret, "Bearer " + token}
	for at := range token {
		wrong = append(wrong, token[:at]+flip(token[at])+token[at+1:])
	}
	for _, w := range wrong {
		if _, err := i.Bearer(w, now); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: error %v", w, err)
		}
	}
}

// The hash that stands in for an unknown id must match no secret: not even
// when the store held a token of that hash.
func TestTheDummyMatchesNothing(t *testing.T) {
	t.Parallel()
	i, ci, _ := newIdentities(t)
	if sha256.Sum256([]byte(strings.Repeat("a", bearerSecretLen))) == noHash {
		t.Fatal("a secret hashes to the dummy")
	}
	ok(t, i.store.InsertBearer(t.Context(), &store.Bearer{ID: strings.Repeat("b", bearerIDLen), Hash: noHash[:], PrincipalARN: ci.ARN, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}))
	_, err := i.Bearer("hsmgate_"+strings.Repeat("b", bearerIDLen)+"_"+strings.Repeat("a", bearerSecretLen), now)
	is(t, err, ErrUnknown)
}

func TestTokensAreRandom(t *testing.T) {
	t.Parallel()
	i, ci, _ := newIdentities(t)
	seen := map[string]bool{}
	for range 50 {
		token, err := i.IssueBearer(t.Context(), ci.ARN, time.Hour, now)
		ok(t, err)
		id, secret, good := parseBearer(token)
		if !good || seen[id] || seen[secret] {
			t.Fatalf("token of id %q: form %v, seen before %v", id, good, seen[id] || seen[secret])
		}
		seen[id], seen[secret] = true, true
	}
}

// Neither secret is anywhere in the files.
func TestSecretsAreNotInTheDatabase(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/hsmgate.db"
	i, err := New(openStore(t, path), seal, account)
	ok(t, err)
	p, err := i.CreatePrincipal(t.Context(), "ci", "user", nil, now)
	ok(t, err)
	token, err := i.IssueBearer(t.Context(), p.ARN, time.Hour, now)
	ok(t, err)
	id, secret, err := i.IssueAccessKey(t.Context(), p.ARN, 0, now)
	ok(t, err)
	bearerID, bearerSecret, _ := parseBearer(token)
	var all []byte
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		ok(t, err)
		all = append(all, data...)
	}
	for _, there := range []string{id, bearerID} {
		equal(t, bytes.Contains(all, []byte(there)), true)
	}
	for _, absent := range []string{secret, bearerSecret} {
		equal(t, bytes.Contains(all, []byte(absent)), false)
	}
}

// What the parser accepts is put together again to the same token, so no two
// spellings name one credential.
func FuzzParseBearer(f *testing.F) {
	f.Add("hsmgate_" + strings.Repeat("a", bearerIDLen) + "_" + strings.Repeat("7", bearerSecretLen))
	f.Add("hsmgate_" + strings.Repeat("a", bearerIDLen) + "-" + strings.Repeat("7", bearerSecretLen))
	for _, c := range []string{"A", "0", "1", "8", "_", " ", "\x00", "=", "\xc3"} { // in the id, in the secret
		f.Add("hsmgate_" + c + strings.Repeat("a", bearerIDLen-1) + "_" + strings.Repeat("7", bearerSecretLen))
		f.Add("hsmgate_" + strings.Repeat("a", bearerIDLen) + "_" + strings.Repeat("7", bearerSecretLen-1) + c)
	}
	f.Add("hsmgate__")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		id, secret, good := parseBearer(token)
		if !good {
			if id != "" && (isBase32(id) && isBase32(secret)) {
				t.Errorf("%q is refused although its parts are right", token)
			}
			return
		}
		if bearerPrefix+id+"_"+secret != token || len(id) != bearerIDLen || len(secret) != bearerSecretLen {
			t.Errorf("%q was read as %q and %q", token, id, secret)
		}
		if strings.Trim(id+secret, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("%q is accepted", token)
		}
	})
}
