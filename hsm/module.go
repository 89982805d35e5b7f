package hsm

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// module is a PKCS#11 library in this process. The state of a library belongs to the process, not to whoever opened it, so all Tokens on
// one library share one module, and a C_Finalize ends the sessions of all of them: each then opens itself again.
type module struct {
	path, initArgs string
	clients        bool // every C_GetFunctionList makes another client with a state of its own (p11-kit)

	mu     sync.Mutex        // held to open, close, finalise
	owners map[*owner]bool   // the open tokens; the library is initialised while there is one
	life   *life             // the present one, or the next
	ended  map[*owner]func() // told when the life in which they were opened ends
}

// life is the time from a C_Initialize to its C_Finalize. Handles of sessions and objects belong to one life, and reach the library only
// through its gate.
type life struct {
	ctx    *pkcs11.Ctx    // never destroyed: dlclose under a thread that is still inside would end the process
	kem    unsafe.Pointer // its CK_FUNCTION_LIST_3_2, nil where it has none
	list   unsafe.Pointer // the same library's function list, for the hot path; nil where each caller gets a client of its own
	inside atomic.Int64   // calls in the library
	closed atomic.Bool    // no call may enter: the library is finalised, or is about to be
}

var (
	modulesMu sync.Mutex
	modules   = map[string]*module{}
)

// openModule returns the process's one module for this library.
func openModule(path, initArgs string) (*module, error) {
	bad := func(detail, advice string) error {
		return &Error{Kind: ErrInvalid, Op: "open", Detail: detail, Advice: advice}
	}
	if path == "" {
		return nil, bad("no module is set", "set module to the path of the PKCS#11 library")
	}
	modulesMu.Lock()
	defer modulesMu.Unlock()
	key := path
	if target, err := filepath.EvalSymlinks(path); err == nil {
		key = target // two names of one file are one library
	}
	if m := modules[key]; m != nil {
		if m.initArgs != initArgs {
			return nil, bad(path+" is open in this process with other init_args", "")
		}
		return m, nil
	}
	ctx := pkcs11.New(path)
	if ctx == nil {
		return nil, bad(path+" is no PKCS#11 library that can be loaded", "check the path, its rights and its own dependencies (ldd)")
	}
	list := functionList(path)
	if list == nil {
		return nil, bad(path+" gives no function list", "is it a PKCS#11 library?")
	}
	m := &module{path: path, initArgs: initArgs, owners: map[*owner]bool{}, ended: map[*owner]func(){}}
	if functionList(path) != list {
		m.clients, list = true, nil
	}
	m.life = &life{ctx: ctx, list: list}
	if list != nil {
		m.life.kem = functionList32(path)
	}
	modules[key] = m
	return m, nil
}

// enter must come before every call into the library, and exit after it. It refuses when the life is over.
func (l *life) enter() bool {
	l.inside.Add(1)
	if l.closed.Load() {
		l.inside.Add(-1)
		return false
	}
	return true
}

func (l *life) exit() { l.inside.Add(-1) }

// drain shuts the gate and waits until no call is inside. False: one does not come back, and finalising beneath it would end the process.
func (l *life) drain(limit time.Duration) bool {
	l.closed.Store(true)
	for deadline := time.Now().Add(limit); l.inside.Load() != 0; {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(200 * time.Microsecond) // a poll: the calls inside are C code and signal nothing
	}
	return true
}

// end finalises the library, if l is still its present life. False: a call does not come back, so it cannot be done now. A client library
// is left as it is then, and another client takes its place: when its server dies, p11-kit's leaves threads waiting for ever.
func (m *module) end(l *life, limit time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != l || len(m.owners) == 0 {
		return true
	}
	if m.clients {
		limit = min(limit, clientDrain)
	}
	if !l.drain(limit) {
		if !m.clients {
			l.closed.Store(false)
			return false
		}
		m.abandon()
		return true
	}
	for o := range m.owners {
		m.drop(o)
	}
	return true
}

// clientDrain is how long the calls inside a client library have to come back.
const clientDrain = 500 * time.Millisecond

// abandon leaves a client with the calls that are stuck in it.
func (m *module) abandon() {
	for o := range m.owners {
		delete(m.owners, o)
		m.tell(o)
	}
	if ctx := pkcs11.New(m.path); ctx != nil {
		m.life = &life{ctx: ctx}
	}
}

// release closes one owner; the last one ends the library's life. The caller has closed its sessions.
func (m *module) release(o *owner, limit time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ended, o)
	if !m.owners[o] {
		return true
	}
	if len(m.owners) == 1 && !o.life.drain(limit) {
		o.life.closed.Store(false)
		return false
	}
	m.drop(o)
	return true
}

// drop closes an owner; with m.mu held, and the gate shut where it is the last.
func (m *module) drop(o *owner) {
	delete(m.owners, o)
	o.close()
	if len(m.owners) == 0 {
		m.nextLife()
	}
	m.tell(o)
}

// nextLife is the library as it is after C_Finalize.
func (m *module) nextLife() {
	m.life.closed.Store(true)
	m.life = &life{ctx: m.life.ctx, list: m.life.list, kem: m.life.kem}
}

// present is the life in which the next Token would be opened.
func (m *module) present() *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

func (m *module) tell(o *owner) {
	if f := m.ended[o]; f != nil {
		delete(m.ended, o)
		f()
	}
}
