package hsm_test

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// foreign makes a key by pkcs11-tool in the token that tok has open.
func foreign(t *testing.T, tok *hsm.Token, id []byte, flags ...string) {
	t.Helper()
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "pkcs11-tool", append([]string{"--module", info.Module, "--login", "--pin", hsmtest.PIN, "--token-label", info.Label, "--keypairgen",
		"--key-type", "EC:prime256v1", "--usage-sign", "--id", hex.EncodeToString(id), "--label", "foreign"}, flags...)...)
}

// export gives the public key of a key that another tool made.
func export(t *testing.T, tok *hsm.Token, id []byte) *hsm.Key {
	t.Helper()
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	der := run(t, "pkcs11-tool", "--module", info.Module, "--token-label", info.Label, "--read-object", "--type", "pubkey", "--id", hex.EncodeToString(id))
	if i := bytes.IndexByte(der, '0'); i > 0 && bytes.HasPrefix(der, []byte("Using slot")) {
		der = der[bytes.IndexByte(der, '\n')+1:]
	}
	k, err := hsm.NewKey(id, hsm.NISTP256, der)
	if err != nil {
		t.Fatalf("%v: %q", err, der)
	}
	return k
}

// A key that another tool made is found without a restart; one that is extractable is refused, unless the configuration names a reason.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	in := digest(crypto.SHA256, "a")
	good, bad := hsm.NewID(), hsm.NewID()
	foreign(t, tok, good, "--sensitive")
	foreign(t, tok, bad, "--sensitive", "--extractable")
	if _, err := tok.Sign(ctx, export(t, tok, good), p256, in); err != nil {
		t.Error(err)
	}
	k := export(t, tok, bad)
	if _, err := tok.Sign(ctx, k, p256, in); !errors.Is(err, hsm.ErrUnprotected) || !strings.Contains(fmt.Sprint(err), "CKA_EXTRACTABLE") {
		t.Errorf("an extractable key: %v", err)
	}
	all, err := tok.Objects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if o.Protected != bytes.Equal(o.ID, good) || o.Spec != hsm.NISTP256 || o.Label != "foreign" || o.Type != "EC" || o.Protected != (o.Why == "") {
			t.Errorf("inventory: %+v", o)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d objects", len(all))
	}
	c.Exceptions = map[string]string{strings.ToUpper(hex.EncodeToString(bad)): "imported from the old system, replaced next month"}
	if _, err := hsmtest.Open(t, c).Sign(ctx, k, p256, in); err != nil {
		t.Errorf("with an exception: %v", err)
	}
}

// The same CKA_ID twice (OpenSC 1613): neither is used, and neither is destroyed.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	c := hsmtest.NewToken(t)
	tok := hsmtest.Open(t, c)
	k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	foreign(t, tok, k.ID(), "--sensitive")
	tok = hsmtest.Open(t, c) // lists the objects anew
	if _, err := tok.Sign(ctx, k, p256, digest(crypto.SHA256, "a")); !errors.Is(err, hsm.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "2 private") {
		t.Errorf("a CKA_ID that two keys have: %v", err)
	}
	if err := tok.Destroy(ctx, k.ID()); !errors.Is(err, hsm.ErrInvalid) {
		t.Errorf("destroying one of two: %v", err)
	}
	all, err := tok.Objects(ctx)
	if err != nil || len(all) != 2 || all[0].Why == "" {
		t.Errorf("inventory: %+v, %v", all, err)
	}
}

// A key that another process deletes is missing, not somebody else's; others go on.
func TestDeletedByAnother(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	tok := hsmtest.Open(t, hsmtest.NewToken(t))
	k, other := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign), hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
	in := digest(crypto.SHA256, "a")
	if _, err := tok.Sign(ctx, k, p256, in); err != nil {
		t.Fatal(err)
	}
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"privkey", "pubkey"} {
		run(t, "pkcs11-tool", "--module", info.Module, "--login", "--pin", hsmtest.PIN, "--token-label", info.Label, "--delete-object", "--type", typ,
			"--id", hex.EncodeToString(k.ID()))
	}
	hsmtest.Eventually(t, back, "the key is missing", func() error {
		if _, err := tok.Sign(ctx, k, p256, in); !errors.Is(err, hsm.ErrKeyMissing) {
			return err
		}
		return nil
	})
	hsmtest.Eventually(t, back, "the other signs", func() error {
		_, err := tok.Sign(ctx, other, p256, in)
		return err
	})
	before := tok.Stats().Recoveries
	for range 100 {
		if _, err := tok.Sign(ctx, k, p256, in); err == nil {
			t.Fatal("a deleted key signs")
		}
	}
	if after := tok.Stats().Recoveries; after > before+3 {
		t.Errorf("asking for a missing key opened the token anew %d times", after-before)
	}
}
