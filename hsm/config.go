package hsm

import (
	"encoding/hex"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Config chooses the module and the token and sets their limits. Exactly one of Label, Serial and Slot chooses the token.
type Config struct {
	// Module is the path of the PKCS#11 library, for example /usr/lib/softhsm/libsofthsm2.so.
	Module string `yaml:"module"`
	// InitArgs is handed to C_Initialize as pReserved. NSS needs it: "configdir='sql:/path' certPrefix='' keyPrefix='' secmod='secmod.db' flags=".
	InitArgs string `yaml:"init_args"`
	// Label chooses the token by its label.
	Label string `yaml:"label"`
	// Serial chooses the token by its serial number.
	Serial string `yaml:"serial"`
	// Slot chooses the token by the number of its slot. SoftHSM renumbers slots; prefer Serial there.
	Slot *uint `yaml:"slot"`
	// PINFile is the file that holds the PIN of the user, mode 0600; one newline at its end is cut. Some HSMs want "user:password" in it.
	// Empty only with NoLogin.
	PINFile string `yaml:"pin_file"`
	// NoLogin leaves out C_Login, for tokens that have none (nShield's accelerator slot).
	NoLogin bool `yaml:"no_login"`
	// MaxSessions is the number of calls in flight. The token's own limit bounds it. Default 4: a software token gains nothing from more than
	// two a core; a network HSM wants 30 and more. Signatures that take less than 0.25 ms are made one after the other by a few of the sessions.
	MaxSessions int `yaml:"max_sessions"`
	// QueueLimit is how many callers may wait for a session; beyond it a call is refused at once with ErrBusy. Default 1024.
	QueueLimit int `yaml:"queue_limit"`
	// WaitTimeout is how long a call waits for a session before ErrBusy. Default 5s.
	WaitTimeout time.Duration `yaml:"wait_timeout"`
	// CallTimeout is how long one call in the token may take before ErrTimeout. Making an RSA key has ten times as long. Default 10s.
	CallTimeout time.Duration `yaml:"call_timeout"`
	// KeepAlive is how often an idle session is used, so that the HSM does not close it (YubiHSM: 30s, Utimaco: 30min). Default 15s.
	KeepAlive time.Duration `yaml:"keep_alive"`
	// SkipECDSACheck leaves out the check of ECDSA signatures against the expected public key. Every other signature is always checked.
	SkipECDSACheck bool `yaml:"skip_ecdsa_check"`
	// GCMIV says who makes the IV of AES-GCM: "random", 12 bytes of this process's random numbers, or "token", for an HSM that insists on its own (Luna
	// in FIPS mode, CloudHSM). Ciphertexts of either can be decrypted under both. Default random.
	GCMIV string `yaml:"gcm_iv"`
	// WithoutGCM says what becomes of symmetric keys on a token that has no AES-GCM of its own: "refuse" makes none; "derive" makes them as keys for
	// HMAC-SHA-256, which derive a key for each message in the token, and AES-GCM is computed with that in this process. Keys that were made so go on
	// under either, and imported material comes back into them; under "refuse" they get no new version, so that their rotation fails until "derive" is
	// set again or the token has AES-GCM. Default refuse.
	WithoutGCM string `yaml:"without_gcm"`
	// OmitAttributes names template attributes that this module refuses, for example CKA_ALLOWED_MECHANISMS.
	OmitAttributes []string `yaml:"omit_attributes"`
	// Exceptions maps the CKA_ID (hex) of an unprotected key (not SENSITIVE, or EXTRACTABLE) to the reason why it may be used all the same.
	Exceptions map[string]string `yaml:"exceptions"`
	// Log is told of every change of the token's state. Nil logs nothing.
	Log *zap.Logger `yaml:"-"`
}

// The defaults of Config.
const (
	defaultSessions   = 4
	defaultQueue      = 1024
	defaultWait       = 5 * time.Second
	defaultCall       = 10 * time.Second
	defaultKeepAlive  = 15 * time.Second
	generateTimes     = 10 // making a key may take this many times CallTimeout
	maxConfigSessions = 1024
	healthEvery       = time.Second
	healthLeast       = 20 * time.Millisecond
	recoverFirst      = 100 * time.Millisecond
	recoverMost       = time.Second
	endFirst          = 2 * time.Second
	endMost           = time.Minute
	missingEachCheck  = 4 // keys that are missing, looked for again in one health check
)

// withDefaults fills in what is not set and refuses what cannot be.
func (c Config) withDefaults() (Config, error) {
	bad := func(detail string) (Config, error) { return c, &Error{Kind: ErrInvalid, Op: "config", Detail: detail} }
	chosen := 0
	for _, set := range []bool{c.Label != "", c.Serial != "", c.Slot != nil} {
		if set {
			chosen++
		}
	}
	if chosen != 1 {
		return bad("set exactly one of label, serial and slot")
	}
	if c.MaxSessions < 0 || c.MaxSessions > maxConfigSessions || c.QueueLimit < 0 || c.WaitTimeout < 0 || c.CallTimeout < 0 || c.KeepAlive < 0 {
		return bad("max_sessions (at most 1024), queue_limit, wait_timeout, call_timeout and keep_alive cannot be negative")
	}
	switch c.GCMIV {
	case "":
		c.GCMIV = ivRandom
	case ivRandom, ivToken:
	default:
		return bad("gcm_iv is random or token")
	}
	switch c.WithoutGCM {
	case "":
		c.WithoutGCM = gcmRefuse
	case gcmRefuse, gcmDerive:
	default:
		return bad("without_gcm is refuse or derive")
	}
	setDefault(&c.MaxSessions, defaultSessions)
	setDefault(&c.QueueLimit, defaultQueue)
	setDefault(&c.WaitTimeout, defaultWait)
	setDefault(&c.CallTimeout, defaultCall)
	setDefault(&c.KeepAlive, defaultKeepAlive)
	for _, name := range c.OmitAttributes {
		if _, ok := attributeNames[name]; !ok {
			return bad("omit_attributes: " + name + " is no attribute of the templates")
		}
	}
	exceptions := map[string]string{}
	for id, reason := range c.Exceptions {
		raw, err := hex.DecodeString(id)
		if err != nil || strings.TrimSpace(reason) == "" {
			return bad("exceptions: " + id + " has to be a CKA_ID in hex with a reason")
		}
		exceptions[hex.EncodeToString(raw)] = reason
	}
	c.Exceptions = exceptions
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c, nil
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
