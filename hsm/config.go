package hsm

import (
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
	// two a core; a network HSM wants 30 and more.
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
	// OmitAttributes names template attributes that this module refuses, for example CKA_ALLOWED_MECHANISMS.
	OmitAttributes []string `yaml:"omit_attributes"`
	// Exceptions maps the CKA_ID (hex) of an unprotected key (not SENSITIVE, or EXTRACTABLE) to the reason why it may be used all the same.
	Exceptions map[string]string `yaml:"exceptions"`
	// Log is told of every change of the token's state. Nil logs nothing.
	Log *zap.Logger `yaml:"-"`
}
