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
	ctx            *pkcs11.Ctx    // never destroyed: dlclose under a thread that is still inside would end the process
	list           unsafe.Pointer // the same library's function list, for the hot path

	mu     sync.Mutex        // held to open, close, reload
	owners map[*owner]bool   // the open tokens; the library is initialised while there is one
	life   atomic.Uint64     // the number of this life, from C_Initialize to C_Finalize
	inside atomic.Int64      // calls in the library
	closed atomic.Bool       // no call may enter: the library is about to be finalised
	ended  map[*owner]func() // told when the life in which they were opened ends
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
	if real, err := filepath.EvalSymlinks(path); err == nil {
		key = real // two names of one file are one library
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
	m := &module{path: path, initArgs: initArgs, ctx: ctx, list: list, owners: map[*owner]bool{}, ended: map[*owner]func(){}}
	modules[key] = m
	return m, nil
}

// enter must come before every call into the library, and exit after it. It refuses when the life for which the caller holds handles is over.
func (m *module) enter(life uint64) bool {
	m.inside.Add(1)
	if m.closed.Load() || m.life.Load() != life {
		m.inside.Add(-1)
		return false
	}
	return true
}

func (m *module) exit() { m.inside.Add(-1) }

// drain shuts the gate and waits until no call is inside. False: one does not come back, and finalising beneath it would end the process;
// the gate is open again.
func (m *module) drain(limit time.Duration) bool {
	m.closed.Store(true)
	for deadline := time.Now().Add(limit); m.inside.Load() != 0; {
		if time.Now().After(deadline) {
			m.closed.Store(false)
			return false
		}
		time.Sleep(200 * time.Microsecond) // a poll: the calls inside are C code and signal nothing
	}
	return true
}

// end finalises the library, if its life is still the given one. False: a call does not come back, so it cannot be done now.
func (m *module) end(life uint64, limit time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.Load() != life || len(m.owners) == 0 {
		return true
	}
	if !m.drain(limit) {
		return false
	}
	defer m.closed.Store(false)
	for o := range m.owners {
		m.drop(o)
	}
	return true
}

// release closes one owner; the last one ends the library's life. The caller has closed its sessions.
func (m *module) release(o *owner, limit time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ended, o)
	if !m.owners[o] {
		return true
	}
	if len(m.owners) == 1 {
		if !m.drain(limit) {
			return false
		}
		defer m.closed.Store(false)
	}
	m.drop(o)
	return true
}

// drop closes an owner; with m.mu held, and the gate shut where it is the last.
func (m *module) drop(o *owner) {
	delete(m.owners, o)
	if len(m.owners) == 0 {
		m.life.Add(1)
	}
	o.close()
	if f := m.ended[o]; f != nil {
		delete(m.ended, o)
		f()
	}
}
