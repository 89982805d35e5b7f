package main

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// bareToken is a PKCS#11 token without anything of ours: what the daemon is compared with.
type bareToken struct {
	ctx  *pkcs11.Ctx
	slot uint
	keep pkcs11.SessionHandle // holds the login
}

func openBare(module string) (*bareToken, error) {
	ctx := pkcs11.New(module)
	if ctx == nil {
		return nil, fmt.Errorf("%s cannot be loaded", module)
	}
	if err := ctx.Initialize(); err != nil {
		return nil, fmt.Errorf("initialize: %w", err)
	}
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return nil, fmt.Errorf("list the slots: %w", err)
	}
	for _, slot := range slots {
		if info, err := ctx.GetTokenInfo(slot); err != nil || info.Label != daemon.Label {
			continue
		}
		t := &bareToken{ctx: ctx, slot: slot}
		if t.keep, err = t.session(); err != nil {
			return nil, err
		}
		if err := ctx.Login(t.keep, pkcs11.CKU_USER, daemon.PIN); err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		return t, nil
	}
	return nil, errors.New("the token is not there")
}

func (t *bareToken) session() (pkcs11.SessionHandle, error) {
	s, err := t.ctx.OpenSession(t.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return 0, fmt.Errorf("open a session: %w", err)
	}
	return s, nil
}

// key finds a private key by its label, which is the key's id.
func (t *bareToken) key(label string) (pkcs11.ObjectHandle, error) {
	return t.labelled(pkcs11.CKO_PRIVATE_KEY, label)
}

func (t *bareToken) labelled(class uint, label string) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, class),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	}
	if err := t.ctx.FindObjectsInit(t.keep, template); err != nil {
		return 0, fmt.Errorf("find: %w", err)
	}
	found, _, err := t.ctx.FindObjects(t.keep, 2)
	if err = errors.Join(err, t.ctx.FindObjectsFinal(t.keep)); err != nil {
		return 0, fmt.Errorf("find: %w", err)
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("the token has %d keys labelled %q, not one", len(found), label)
	}
	return found[0], nil
}

// sign is the whole of the bare operation: two calls of the module.
func (t *bareToken) sign(s pkcs11.SessionHandle, key pkcs11.ObjectHandle, m []*pkcs11.Mechanism, in []byte) ([]byte, error) {
	if err := t.ctx.SignInit(s, m, key); err != nil {
		return nil, err
	}
	return t.ctx.Sign(s, in)
}

// p256OID is the DER of the object identifier of P-256.
var p256OID = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// fill makes a P-256 key pair in the token, as hsmgate does.
func (t *bareToken) fill(id []byte) error {
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, "filler"),
		pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p256OID), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, "filler"),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
	}
	_, _, err := t.ctx.GenerateKeyPair(t.keep, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)}, public, private)
	return err
}
