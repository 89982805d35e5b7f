package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// Each way in which a creation can go wrong: the call is refused, and nothing is left in the token.
func TestFailedCreationLeavesNothing(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fault string
		want  error
	}{
		{"extractable", hsm.ErrUnprotected},
		{"decrypts", hsm.ErrUnprotected},
		{"blind", hsm.ErrUnprotected},
		{"fails-after", hsm.ErrFailed},
	} {
		for _, spec := range []hsm.KeySpec{hsm.RSA2048, hsm.NISTP256, hsm.Edwards25519, hsm.Symmetric, hsm.HMAC256} { // by crypto11, and by miekg/pkcs11
			if spec == hsm.Symmetric && c.fault == "decrypts" {
				continue // as it should
			}
			generate := func(id []byte, label string) ([]byte, error) { return tok.Generate(ctx, spec, hsm.UseSign, id, label) }
			if spec == hsm.Symmetric || spec == hsm.HMAC256 {
				generate = func(id []byte, label string) ([]byte, error) { return tok.GenerateSecret(ctx, spec, id, label) }
			}
			f.set(c.fault)
			id := hsm.NewID()
			_, err := generate(id, "faulty")
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", c.fault, spec, err, c.want)
			}
			f.set("")
			if n := f.objects(info.Label); n != 0 {
				t.Fatalf("%s, %s: %d objects are left", c.fault, spec, n)
			}
			if _, err := generate(id, "sound"); err != nil {
				t.Errorf("%s, %s: the same CKA_ID afterwards: %v", c.fault, spec, err)
			}
			if _, err := generate(id, "twice"); !errors.Is(err, hsm.ErrInvalid) {
				t.Errorf("a CKA_ID in use: %v", err)
			}
			if err := tok.Destroy(ctx, id); err != nil {
				t.Error(err)
			}
			if n := f.objects(info.Label); n != 0 {
				t.Fatalf("%s, %s: %d objects are left after destruction", c.fault, spec, n)
			}
		}
	}
}

// A caller who stops waiting for a key gets none, and none is left.
func TestAbandonedCreationLeavesNothing(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	f.set("slow-generate")
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	id := hsm.NewID()
	if _, err := tok.Generate(short, hsm.NISTP256, hsm.UseSign, id, "slow"); !errors.Is(err, hsm.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an impatient caller: %v", err)
	}
	f.set("")
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Generate(ctx, hsm.NISTP256, hsm.UseSign, hsm.NewID(), "next"); err != nil { // one at a time: the other has ended
		t.Fatal(err)
	}
	if n := f.objects(info.Label); n != 2 {
		t.Errorf("%d objects in the token, want the 2 of the next key", n)
	}
	f.set("slow-generate")
	short, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := tok.GenerateSecret(short, hsm.Symmetric, id, "slow"); !errors.Is(err, hsm.ErrTimeout) {
		t.Errorf("an impatient caller: %v", err)
	}
	f.set("")
	if _, err := tok.GenerateSecret(ctx, hsm.HMAC256, hsm.NewID(), "next"); err != nil {
		t.Fatal(err)
	}
	if n := f.objects(info.Label); n != 3 {
		t.Errorf("%d objects in the token, want the 3 of the other keys", n)
	}
}

// An HSM closes idle sessions: that costs no creation, and leaves no half-made key.
func TestCreationOnADeadSession(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.set("sessions-dead")
	if _, err := tok.Generate(ctx, hsm.NISTP256, hsm.UseSign, hsm.NewID(), "on a new session"); err != nil {
		t.Error(err)
	}
	if n := f.objects(info.Label); n != 2 {
		t.Errorf("%d objects in the token, want 2", n)
	}
}

// One key is made without CKA_ALLOWED_MECHANISMS because of an error that passes; the next one has it again.
func TestAllowedMechanismsAfterAnError(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaulty(t)
	tok := hsmtest.Open(t, hsmtest.TokenIn(t, f.module))
	info, err := tok.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []string{"general-error", ""} {
		f.set(fault)
		k := hsmtest.NewKey(t, tok, hsm.NISTP256, hsm.UseSign)
		out := run(t, "pkcs11-tool", "--module", hsmtest.SoftHSM(t), "--login", "--pin", hsmtest.PIN, "--token-label", info.Label, "--list-objects",
			"--type", "privkey", "--id", fmt.Sprintf("%x", k.ID()))
		if has := bytes.Contains(out, []byte("Allowed mechanisms")); has != (fault == "") {
			t.Errorf("fault %q: CKA_ALLOWED_MECHANISMS: %v\n%s", fault, has, out)
		}
	}
}
