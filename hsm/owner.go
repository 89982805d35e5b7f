package hsm

import (
	"fmt"

	"github.com/ThalesIgnite/crypto11"
	"github.com/miekg/pkcs11"
)

// owner is the one place that calls C_Initialize, C_Finalize and C_Login. crypto11 does it where it can. It has no pReserved, and does not
// show the function list it uses; so where InitArgs is set, or the library makes a new client of each C_GetFunctionList, the same is done
// by miekg/pkcs11. Nothing here or elsewhere ever calls C_Logout on a token in use: it logs every
// session of the process out.
type owner struct {
	mod   *module
	slot  uint
	life  *life
	c11   *crypto11.Context    // nil where miekg/pkcs11 stands in
	hold  pkcs11.SessionHandle // keeps the login alive where crypto11 does not
	slots slotChoice
}

// crypto11Sessions are what crypto11 needs of the token's sessions: one that holds the login and one to make keys.
const crypto11Sessions = 2

// slotChoice is how the configuration names the token.
type slotChoice struct {
	label, serial string
	slot          *uint
}

func (s slotChoice) String() string {
	switch {
	case s.label != "":
		return fmt.Sprintf("label %q", s.label)
	case s.serial != "":
		return fmt.Sprintf("serial %q", s.serial)
	case s.slot != nil:
		return fmt.Sprintf("slot %d", *s.slot)
	}
	return "no label, serial or slot"
}

// openOwner initialises the library if it is not, finds the token and logs in, exactly once. pin is nil for no login. ended is called when
// the library's life ends beneath the owner.
func (m *module) openOwner(s slotChoice, pin *string, ended func()) (*owner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := &owner{mod: m, life: m.life, slots: s}
	var err error
	if m.initArgs == "" && !m.clients {
		err = o.openCrypto11(pin)
	} else {
		err = o.openMiekg(pin, len(m.owners) == 0)
	}
	if err != nil {
		if len(m.owners) == 0 {
			m.nextLife() // it was initialised and finalised again
		}
		return nil, err
	}
	m.owners[o] = true
	m.ended[o] = ended
	return o, nil
}

// openCrypto11 opens the module first without a login: so that the choice of the token can be checked before the PIN goes anywhere, and
// because a Configure whose login fails finalises the module when it is the only one.
func (o *owner) openCrypto11(pin *string) error {
	cfg := crypto11.Config{Path: o.mod.path, TokenLabel: o.slots.label, TokenSerial: o.slots.serial, MaxSessions: crypto11Sessions,
		LoginNotSupported: true}
	if o.slots.slot != nil {
		n := int(*o.slots.slot)
		cfg.SlotNumber = &n
	}
	module, err := crypto11.Configure(&cfg)
	if err != nil {
		return openError(o.slots, err)
	}
	if err := o.choose(); err != nil {
		_ = module.Close()
		return err
	}
	if pin == nil {
		o.c11 = module
		return nil
	}
	defer func() { _ = module.Close() }()
	slot := int(o.slot)
	o.c11, err = crypto11.Configure(&crypto11.Config{Path: o.mod.path, SlotNumber: &slot, Pin: *pin, MaxSessions: crypto11Sessions})
	if err != nil {
		return o.loginError(err)
	}
	return nil
}

// openMiekg does the same by miekg/pkcs11.
func (o *owner) openMiekg(pin *string, first bool) (err error) {
	ctx := o.life.ctx
	if first {
		if err := o.mod.initialize(); err != nil {
			return openError(o.slots, err)
		}
		defer func() {
			if err != nil {
				_ = ctx.Finalize()
			}
		}()
	}
	if err := o.choose(); err != nil {
		return err
	}
	o.hold, err = ctx.OpenSession(o.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return openError(o.slots, err)
	}
	if pin == nil {
		return nil
	}
	err = ctx.Login(o.hold, pkcs11.CKU_USER, *pin)
	if rvOf(err) == pkcs11.CKR_USER_ALREADY_LOGGED_IN { // whatever the PIN was: it proves nothing, and needs nothing
		err = nil
	}
	if err != nil {
		_ = ctx.CloseSession(o.hold)
		return o.loginError(err)
	}
	return nil
}

// loginError is openError for a failed login. Modules have codes of their own for a wrong PIN, and a login that failed for another reason is
// repeated; so the token is asked whether it counted this one. A token that is lost has counted nothing.
func (o *owner) loginError(err error) *Error {
	const counted = pkcs11.CKF_USER_PIN_COUNT_LOW | pkcs11.CKF_USER_PIN_FINAL_TRY | pkcs11.CKF_USER_PIN_LOCKED
	e := openError(o.slots, err)
	if c := classify(rvOf(err)); c != classOther && c != classUnsupported {
		return e
	}
	if info, err := o.life.ctx.GetTokenInfo(o.slot); err == nil && info.Flags&counted != 0 {
		e.Kind, e.Advice = ErrPINRefused, fail("", pkcs11.CKR_PIN_INCORRECT, "").Advice
	}
	return e
}

// choose finds the one token that is meant, and refuses to give the PIN to one whose PIN is locked.
func (o *owner) choose() error {
	slots, err := o.life.ctx.GetSlotList(true)
	if err != nil {
		return openError(o.slots, err)
	}
	found := 0
	var flags uint
	for _, slot := range slots {
		info, err := o.life.ctx.GetTokenInfo(slot)
		if err != nil {
			continue // an absent token in another slot is not our affair
		}
		if o.slots.slot != nil && *o.slots.slot == slot || o.slots.label != "" && info.Label == o.slots.label ||
			o.slots.serial != "" && info.SerialNumber == o.slots.serial {
			found++
			o.slot, flags = slot, info.Flags
		}
	}
	switch {
	case found == 0:
		return &Error{Kind: ErrUnavailable, Op: "open", Detail: "no token with " + o.slots.String(), Advice: "list the tokens with: pkcs11-tool --module … -L"}
	case found > 1:
		return &Error{Kind: ErrInvalid, Op: "open", Detail: fmt.Sprintf("%d tokens have %s", found, o.slots), Advice: "choose the token by its serial"}
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return &Error{Kind: ErrPINRefused, Op: "open", RV: pkcs11.CKR_PIN_LOCKED, Detail: "the token says that its PIN is locked", Advice: "unlock it as security officer"}
	}
	return nil
}

// close gives the token up, and finalises the library if it was the last: with the gate shut then.
func (o *owner) close() {
	if o.c11 != nil {
		_ = o.c11.Close()
		return
	}
	_ = o.life.ctx.CloseSession(o.hold)
	if len(o.mod.owners) == 0 {
		_ = o.life.ctx.Finalize()
	}
}

func openError(s slotChoice, err error) *Error {
	rv := rvOf(err)
	e := fail("open", rv, err.Error())
	if e.Kind != ErrPINRefused && e.Kind != ErrTokenFull {
		e.Kind, e.Advice = ErrUnavailable, ""
	}
	e.Detail = "token with " + s.String() + ": " + e.Detail
	return e
}

// withModule runs f on the initialised library whether or not a token is open, for the making of tokens.
func (m *module) withModule(f func(*pkcs11.Ctx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.owners) == 0 {
		if err := m.initialize(); err != nil {
			return err
		}
		defer func() {
			_ = m.life.ctx.Finalize()
			m.nextLife()
		}()
	}
	return f(m.life.ctx)
}

// initialize calls C_Initialize with pReserved where it is set.
func (m *module) initialize() error {
	if m.initArgs == "" {
		return m.life.ctx.Initialize()
	}
	args := cString(m.initArgs)
	defer freeCString(args)
	return m.life.ctx.Initialize(pkcs11.InitializeWithReserved(args))
}
