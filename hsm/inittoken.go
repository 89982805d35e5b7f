package hsm

import (
	"fmt"

	"github.com/miekg/pkcs11"
)

// InitToken makes a token with this label in a free slot of the module, sets its user PIN and returns its serial number. It refuses (ErrInvalid)
// a label that exists. For software tokens; an HSM is set up by its own tools.
func InitToken(module, initArgs, label, soPIN, userPIN string) (serial string, err error) {
	if label == "" || len(label) > 32 || soPIN == "" || userPIN == "" {
		return "", &Error{Kind: ErrInvalid, Op: "init token", Detail: "give a label of 1 to 32 bytes and both PINs"}
	}
	m, err := openModule(module, initArgs)
	if err != nil {
		return "", err
	}
	err = m.withModule(func(ctx *pkcs11.Ctx) error {
		slot, err := freeSlot(ctx, label)
		if err != nil {
			return err
		}
		if err := ctx.InitToken(slot, soPIN, label); err != nil {
			return fail("", rvOf(err), "C_InitToken")
		}
		if slot, serial, err = tokenNamed(ctx, label); err != nil {
			return err
		}
		return setUserPIN(ctx, slot, soPIN, userPIN)
	})
	if err != nil {
		return "", withOp("init token", callError("init token", err))
	}
	return serial, nil
}

func freeSlot(ctx *pkcs11.Ctx, label string) (uint, error) {
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	free, found := uint(0), false
	for _, slot := range slots {
		info, err := ctx.GetTokenInfo(slot)
		switch {
		case err != nil:
		case info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0:
			free, found = slot, true
		case clean(info.Label) == label:
			return 0, &Error{Kind: ErrInvalid, Detail: fmt.Sprintf("a token with label %q exists", label), Advice: "choose another label"}
		}
	}
	if !found {
		return 0, &Error{Kind: ErrTokenFull, Detail: "the module has no slot with a token that is not initialised"}
	}
	return free, nil
}

// tokenNamed finds the new token again: SoftHSM moves it to another slot.
func tokenNamed(ctx *pkcs11.Ctx, label string) (uint, string, error) {
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return 0, "", err
	}
	for _, slot := range slots {
		if info, err := ctx.GetTokenInfo(slot); err == nil && clean(info.Label) == label {
			return slot, clean(info.SerialNumber), nil
		}
	}
	return 0, "", &Error{Kind: ErrFailed, Detail: "the module does not show the token that it initialised"}
}

// setUserPIN logs in as security officer, which nobody else is on a new token, so the logout at the end disturbs nobody.
func setUserPIN(ctx *pkcs11.Ctx, slot uint, soPIN, userPIN string) error {
	s, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	defer func() { _ = ctx.CloseSession(s) }()
	if err := ctx.Login(s, pkcs11.CKU_SO, soPIN); err != nil {
		return fail("", rvOf(err), "C_Login of the security officer")
	}
	defer func() { _ = ctx.Logout(s) }()
	if err := ctx.InitPIN(s, userPIN); err != nil {
		return fail("", rvOf(err), "C_InitPIN")
	}
	return nil
}
