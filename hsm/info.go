package hsm

import "time"

// Info is what the module and the token say of themselves, asked now.
type Info struct {
	Label, Serial, Manufacturer, Model  string
	Firmware, Hardware                  string // "major.minor"
	Library, LibraryVersion, Cryptoki   string // the module's description, its version, the version of PKCS#11 it speaks
	Slot                                uint
	MaxSessions, OpenSessions           int       // of this process; -1 where the token does not say; MaxSessions 0 = no limit
	Clock                               time.Time // zero where the token has none
	WriteProtected                      bool
	LoginRequired, LoggedIn             bool
	PINCountLow, PINFinalTry, PINLocked bool
}

// State says whether the token has an ability.
type State string

// The states of an Ability. Unknown: the token refuses the throw-away session keys of the self-test, so nobody knows before the first use.
const (
	Yes     State = "yes"
	No      State = "no"
	Unknown State = "unknown"
)

// Ability is one thing that the self-test tried.
type Ability struct {
	Name   string `json:"name"` // "RSA_2048", "RSASSA_PSS_SHA_256" …
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"` // how it works, or what the token answered
	Advice string `json:"advice,omitempty"` // what to do where it is missing
}

// Object is a private key in the token.
type Object struct {
	ID        []byte
	Label     string
	Type      string  // "RSA", "EC", "EdDSA" …
	Spec      KeySpec // empty where it is none of ours
	Protected bool    // SENSITIVE and not EXTRACTABLE
	Why       string  // why it is not protected, or cannot be used (two objects under one CKA_ID)
}

// Stats are figures since Open, and the present state.
type Stats struct {
	Generation                uint64 // the number of this life of the module
	Available                 bool   // false while the token is away
	Sessions, Busy, Waiting   int    // workers with a session; those in a call; calls in the queue
	Stuck                     int    // calls past their deadline that are still inside the module
	Calls, Timeouts, Replaced uint64 // calls made; calls past their deadline; sessions closed and opened anew
	Refused                   uint64 // calls refused because the queue was full or the wait too long
	Recoveries, CheckFailures uint64 // generations after the first; signatures that did not verify and were thrown away
}
