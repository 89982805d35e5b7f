package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// What a token without AES-GCM does instead is a note of the check, not one line among those that are well.
func TestCheckNotesDerivedKeys(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	dir := t.TempDir()
	library, fault := filepath.Join(dir, "fault.so"), filepath.Join(dir, "fault")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, "../../hsm/testdata/fault.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(fault, []byte("no-gcm"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HSM_FAULT_FILE", fault)
	t.Setenv("HSM_FAULT_MODULE", hsmtest.SoftHSM(t))
	for setting, want := range map[string]finding{
		"derive": {State: stateNote, Detail: "yes: each message by a key of its own", Do: "docs/ciphertext.md"},
		"refuse": {State: stateNote, Detail: "no: the token answers CKR_MECHANISM_INVALID", Do: "another token"},
	} {
		c := hsmtest.TokenIn(t, library)
		c.WithoutGCM = setting
		f := &findings{}
		f.token(t.Context(), hsmtest.Open(t, c), library)
		for _, one := range f.list {
			if one.What != "SYMMETRIC_DEFAULT" {
				continue
			}
			if one.State != want.State || !strings.HasPrefix(one.Detail, want.Detail) || !strings.Contains(one.Do, want.Do) {
				t.Errorf("%s: %+v", setting, one)
			}
			want.What = "found"
		}
		if want.What == "" {
			t.Errorf("%s: no line on symmetric keys", setting)
		}
	}
}
