package hsm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// Info is what the module and the token say of themselves, asked now.
type Info struct {
	Label, Serial, Manufacturer, Model  string
	Firmware, Hardware                  string // "major.minor"
	Library, LibraryVersion, Cryptoki   string // the module's description, its version, the version of PKCS#11 it speaks
	Module                              string // the path of the library
	Slot                                uint
	MaxSessions                         int       // -1: the token does not say; 0: no limit
	OpenSessions                        int       // of this process; -1: the token does not say
	FreePrivateMemory                   int       // bytes; -1: the token does not say
	Clock                               time.Time // zero where the token has none
	WriteProtected                      bool
	LoginRequired, LoggedIn             bool
	PINCountLow, PINFinalTry, PINLocked bool
}

// Info asks the token who it is and how it is.
func (t *Token) Info(ctx context.Context) (Info, error) {
	g, err := t.current("info")
	if err != nil {
		return Info{}, err
	}
	var i Info
	err = g.call(ctx, g.probe, callInfo, t.limits(), func(s *session) (err error) {
		i, err = s.info()
		return err
	})
	if err != nil {
		return Info{}, t.explain(ctx, g, "info", err)
	}
	i.Module = t.cfg.Module
	return i, nil
}

func (s *session) info() (Info, error) {
	lib, err := s.ctx.GetInfo()
	if err != nil {
		return Info{}, err
	}
	tok, err := s.ctx.GetTokenInfo(s.slot)
	if err != nil {
		return Info{}, err
	}
	me, err := s.ctx.GetSessionInfo(s.h)
	if err != nil {
		return Info{}, err
	}
	has := func(flag uint) bool { return tok.Flags&flag != 0 }
	i := Info{
		Label: clean(tok.Label), Serial: clean(tok.SerialNumber), Manufacturer: clean(tok.ManufacturerID), Model: clean(tok.Model),
		Firmware: version(tok.FirmwareVersion), Hardware: version(tok.HardwareVersion),
		Library: clean(lib.LibraryDescription), LibraryVersion: version(lib.LibraryVersion), Cryptoki: version(lib.CryptokiVersion),
		Slot: s.slot, MaxSessions: count(tok.MaxSessionCount), OpenSessions: count(tok.SessionCount), FreePrivateMemory: count(tok.FreePrivateMemory),
		WriteProtected: has(pkcs11.CKF_WRITE_PROTECTED), LoginRequired: has(pkcs11.CKF_LOGIN_REQUIRED),
		LoggedIn:    me.State == pkcs11.CKS_RW_USER_FUNCTIONS || me.State == pkcs11.CKS_RO_USER_FUNCTIONS,
		PINCountLow: has(pkcs11.CKF_USER_PIN_COUNT_LOW), PINFinalTry: has(pkcs11.CKF_USER_PIN_FINAL_TRY), PINLocked: has(pkcs11.CKF_USER_PIN_LOCKED),
	}
	if has(pkcs11.CKF_CLOCK_ON_TOKEN) && len(tok.UTCTime) >= 14 {
		i.Clock, _ = time.Parse("20060102150405", tok.UTCTime[:14]) // zero where it is not in the form of the standard
	}
	return i, nil
}

func clean(s string) string { return strings.TrimRight(s, " \x00") }

func version(v pkcs11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

func count(n uint) int {
	if n == pkcs11.CK_UNAVAILABLE_INFORMATION || n > 1<<62 {
		return -1
	}
	return int(n)
}

// Ready is nil when the token answers now and is logged in.
func (t *Token) Ready(ctx context.Context) error {
	g, err := t.current("ready")
	if err != nil {
		return err
	}
	if err := t.healthy(ctx, g); err != nil {
		t.wake()
		e := asError(callError("ready", err))
		if e.Kind != ErrTimeout && e.Kind != ErrBusy {
			e.Kind = ErrUnavailable // whatever it answered, it is not ready
		}
		return e
	}
	return nil
}

// Object is a private or secret key in the token.
type Object struct {
	ID        []byte
	Label     string
	Type      string  // "RSA", "EC", "EC_EDWARDS", "ML_DSA", "ML_KEM", "AES", "GENERIC_SECRET", "SHA256_HMAC" and the like, or the number of the CKK
	Spec      KeySpec // empty where it is none of ours
	Protected bool    // SENSITIVE and not EXTRACTABLE
	Why       string  // why it cannot be used: it is not protected, or is not the only one under its CKA_ID
	// NeverExtractable: the token says that it was never EXTRACTABLE. Not so of imported keys, and of none where the module does not keep the attribute.
	NeverExtractable bool
}

// Objects lists the private and the secret keys in the token.
func (t *Token) Objects(ctx context.Context) ([]Object, error) {
	g, err := t.current("objects")
	if err != nil {
		return nil, err
	}
	var all []Object
	l := limits{generateTimes * t.cfg.WaitTimeout, generateTimes * t.cfg.CallTimeout}
	err = g.call(ctx, g.make, callFind, l, func(s *session) error {
		all = []Object{}
		for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_SECRET_KEY} {
			handles, err := s.find([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)})
			if err != nil {
				return err
			}
			for _, h := range handles {
				all = append(all, s.describe(h))
			}
		}
		return s.healthy() // a token that went away, or logged us out, shows no objects and no error
	})
	if err != nil {
		return nil, t.explain(ctx, g, "objects", err)
	}
	ids := map[string]int{}
	for _, o := range all {
		ids[string(o.ID)]++
	}
	for i, o := range all {
		if n := ids[string(o.ID)]; n > 1 {
			all[i].Why = fmt.Sprintf("%d private or secret keys have this CKA_ID", n)
		}
	}
	return all, nil
}

func (s *session) describe(h pkcs11.ObjectHandle) Object {
	read := func(typ uint) []byte {
		b, _ := s.attribute(h, typ) // what cannot be read is left empty; protection has its own rule
		return b
	}
	o := Object{ID: read(pkcs11.CKA_ID), Label: string(read(pkcs11.CKA_LABEL))}
	var err error
	if o.Why, err = s.unprotected(h); err != nil {
		o.Why = unread
	}
	o.Protected, o.NeverExtractable = o.Why == "", isTrue(read(pkcs11.CKA_NEVER_EXTRACTABLE))
	switch typ := ulong(read(pkcs11.CKA_KEY_TYPE)); typ {
	case pkcs11.CKK_RSA:
		o.Type = "RSA"
		if pub, err := rsaPublic(read(pkcs11.CKA_MODULUS), []byte{1, 0, 1}); err == nil {
			o.Spec = specOf(pub)
		}
	case pkcs11.CKK_EC:
		o.Type, o.Spec = "EC", curveOf(read(pkcs11.CKA_EC_PARAMS))
	case ckkECEdwards:
		o.Type, o.Spec = "EC_EDWARDS", curveOf(read(pkcs11.CKA_EC_PARAMS))
	case ckkMLDSA, ckkMLKEM:
		o.Type, o.Spec = latticeNames[typ], latticeSpec(typ, ulong(read(ckaParameterSet)))
	default:
		o.Type, o.Spec = secretType(typ, ulong(read(pkcs11.CKA_VALUE_LEN)))
	}
	return o
}

// Stats are figures since Open, and the present state.
type Stats struct {
	Generation              uint64 // the number of this life of the module
	Available               bool   // false while the token is away
	Sessions, Busy, Waiting int    // workers of the pool; those in a call; calls in the queue
	Stuck                   int    // calls past their deadline that are still inside the module, their session given up
	Calls                   uint64 // jobs run in the token
	Timeouts                uint64 // calls given up by their caller while they were in the token
	Replaced                uint64 // sessions closed and opened anew
	Refused                 uint64 // calls refused because the queue was full or the wait too long
	Recoveries              uint64 // times that the token was opened again
	CheckFailures           uint64 // signatures that did not verify and were thrown away
}
