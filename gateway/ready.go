package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/hsm"
)

// Status of a part, and of the whole.
type Status string

// A degraded part does not do all of its work, and calls are served without that.
const (
	StatusReady    Status = "ready"
	StatusDegraded Status = "degraded"
	StatusNotReady Status = "not ready"
)

// Part is how one thing is that the gateway is made of. Strangers read Name, Status,
// State and Do, so these name no path, no host and nothing that tells of use. Detail
// is for who may read the metrics, and for the log.
type Part struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	State  string `json:"state"`            // how it is, in words
	Do     string `json:"do,omitempty"`     // what an operator does about it
	Detail string `json:"detail,omitempty"` // figures, and the reason of an error
}

// Readiness is whether a call that uses a key would be served now, and how each part is.
type Readiness struct {
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"` // what is wrong
	Parts  []Part `json:"parts"`
}

// readyTimeout is how long the token may take to say that it is there.
const readyTimeout = 2 * time.Second

// AddPart has Readiness ask for another part, before the gateway serves. look has
// little time: it reads what others have found out.
func (s *Service) AddPart(look func() Part) { s.parts = append(s.parts, look) }

// Readiness asks every part. However many ask, each is asked once at a time, since
// anybody may ask.
func (s *Service) Readiness() *Readiness {
	answer, _, _ := s.asking.Do("ready", func() (any, error) { return s.ask(), nil })
	return answer.(*Readiness)
}

func (s *Service) ask() *Readiness {
	r := &Readiness{Status: StatusReady, Parts: []Part{s.tokenPart(), s.auditPart(), s.storePart()}}
	if len(s.keyStores) > 1 {
		r.Parts = append(r.Parts, s.keyStoresPart())
	}
	if t := s.stamps.Load(); t != nil {
		r.Parts = append(r.Parts, s.stampsPart(t))
	}
	for _, look := range s.parts {
		r.Parts = append(r.Parts, look())
	}
	var wrong []string
	for _, p := range r.Parts {
		if p.Status == StatusReady {
			continue
		}
		wrong = append(wrong, p.State)
		if p.Status == StatusNotReady {
			r.Status = StatusNotReady
			s.log.Warn("not ready", zap.String("part", p.Name), zap.String("state", p.State), zap.String("detail", p.Detail))
		}
	}
	if len(wrong) > 0 {
		r.Detail = strings.Join(wrong, "; ") + "; an operator finds the reason in the log"
	}
	return r
}

// ForStrangers is the same without what is not for anybody.
func (r *Readiness) ForStrangers() *Readiness {
	public := &Readiness{Status: r.Status, Detail: r.Detail, Parts: slices.Clone(r.Parts)}
	for i := range public.Parts {
		public.Parts[i].Detail = ""
	}
	return public
}

func (s *Service) tokenPart() Part {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	err := s.token.Ready(ctx)
	if err == nil {
		of := s.token.Stats()
		return Part{Name: "token", Status: StatusReady, State: "the token answers and is logged in",
			Detail: fmt.Sprintf("%d of %d sessions are busy, %d calls wait, %d are stuck; it was opened %d times", of.Busy, of.Sessions, of.Waiting, of.Stuck, of.Generation)}
	}
	p := Part{Name: "token", Status: StatusNotReady, State: "the token does not answer", Detail: err.Error(),
		Do: "mend the HSM or its network: the token is opened again by itself"}
	switch {
	case errors.Is(err, hsm.ErrPINRefused):
		p.State, p.Do = "the token refuses the PIN", "correct the PIN file before anything is started again, since tokens lock after a few wrong PINs"
	case errors.Is(err, hsm.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		p.State, p.Do = "the token does not answer in time", "look at the HSM and its network; /healthz says when the process has to be replaced"
	}
	return p
}

func (s *Service) auditPart() Part {
	const name = "audit log"
	err := s.audit.Ready()
	of := s.audit.Stats()
	if err != nil {
		return Part{Name: name, Status: StatusNotReady, State: "the audit log takes no records, so every call is refused", Detail: err.Error(),
			Do: "free its disk, or bring the file back: service goes on by itself"}
	}
	return Part{Name: name, Status: StatusReady, State: "the audit log takes records",
		Detail: fmt.Sprintf("the last durable record is %s; the last sync took %s, the slowest %s; %d records wait, %d were refused", of.Head, of.LastSync, of.MaxSync, of.Queued, of.Refused)}
}

func (s *Service) storePart() Part {
	stale := s.store.Stale()
	p := Part{Name: "database", Status: StatusReady, State: "the database is followed",
		Detail: fmt.Sprintf("memory was what it holds %s ago", stale.Round(time.Millisecond))}
	err := s.store.Ready()
	if err == nil {
		return p
	}
	p.Do, p.Detail = "look at the database and the way to it: it is followed again by itself", err.Error()
	if stale < s.staleLimit {
		p.Status, p.State = StatusDegraded, "the database cannot be read: keys are used by what was last known of it, and changes are refused"
		return p
	}
	p.Status, p.State = StatusNotReady, "the database cannot be read, so every call is refused"
	return p
}

// keyStoresPart is about the tokens that a start does not need.
func (s *Service) keyStoresPart() Part {
	p := Part{Name: "key stores", Status: StatusReady, State: "every further token that is to be connected is"}
	var each []string
	for _, name := range s.keyStoreNames() {
		ks := s.keyStores[name]
		t := ks.token.Load()
		state := "connected"
		switch f := ks.failed.Load(); {
		case name == DefaultToken:
			continue
		case s.store.Disconnected(name):
			state = "disconnected by an operator"
		case t != nil && t.Stats().Available:
		default:
			p.Status, p.State = StatusDegraded, "a further token is not connected: its keys cannot be used"
			p.Do = "'hsmgate key-store list' names it"
			if state = "away"; f != nil {
				state = f.err.Error()
			}
		}
		each = append(each, name+": "+state)
	}
	p.Detail = strings.Join(each, "; ")
	return p
}
