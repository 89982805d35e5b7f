package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/witness"
)

// witnessTimeout bounds one request to a witness.
const witnessTimeout = 20 * time.Second

// checkWitnesses names what is wrong with the places where checkpoints go.
func (a *Audit) checkWitnesses(wrong func(string, ...any)) {
	seen := map[string]bool{}
	for i, w := range a.Witnesses {
		key, err := witness.ParseKey(w.Key)
		if err != nil {
			wrong("audit.witnesses: key of number %d: %w", i+1, err)
			continue
		}
		if u, err := url.Parse(w.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			wrong("audit.witnesses: %q of %s is not a URL of the form https://host/path", w.URL, key.Name())
		}
		if seen[key.Name()] {
			wrong("audit.witnesses: %s stands there twice", key.Name())
		}
		seen[key.Name()] = true
	}
	for _, path := range a.CheckpointFiles {
		if path == "" || seen[path] {
			wrong("audit.checkpoint_files: %q stands there twice, or is empty", path)
		}
		seen[path] = true
	}
}

// errNoTree is the error of a proof while there is no tree.
var errNoTree = errors.New("there is no tree of the audit log now")

// newPusher makes what hands checkpoints to the places of the configuration; nil where there are none. published gives the
// tree of the audit log, nil while there is none.
func newPusher(a *Audit, published func() *tree.Publisher, log *zap.Logger) (*witness.Pusher, error) {
	if len(a.Witnesses)+len(a.CheckpointFiles) == 0 {
		return nil, nil
	}
	o := witness.Options{OnState: placeState(log)}
	o.Prove = func(newer, older tlog.Tree) (tlog.TreeProof, error) {
		if p := published(); p != nil {
			return p.Dir().ProveTree(newer, older)
		}
		return nil, errNoTree
	}
	o.Cosigned = func(c witness.Cosigned) {
		if p := published(); p != nil {
			if err := p.Cosign(c.Checkpoint, c.Line); err != nil {
				log.Warn("a cosignature could not be added to the checkpoint", zap.Error(err))
			}
		}
	}
	keys := func() []note.Verifier {
		if p := published(); p != nil {
			return p.Keys()
		}
		return nil
	}
	client := &http.Client{Timeout: witnessTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, w := range a.Witnesses {
		key, err := witness.ParseKey(w.Key)
		if err != nil {
			return nil, err
		}
		o.Witnesses = append(o.Witnesses, &witness.Witness{URL: strings.TrimRight(w.URL, "/"), Key: key, HTTP: client})
	}
	for _, path := range a.CheckpointFiles {
		o.Files = append(o.Files, &witness.File{Path: path, Keys: keys})
	}
	return witness.New(o), nil
}

// placeState tells how it stands with a place.
func placeState(log *zap.Logger) func(string, error) {
	return func(place string, err error) {
		at := zap.String("place", place)
		switch {
		case err == nil:
			log.Info("checkpoints of the audit log arrive again", at)
		case errors.Is(err, witness.ErrInconsistent):
			log.Error("the audit log is not the one that others have seen: it was put back, cut or rewritten, or its key is used twice", at, zap.Error(err),
				zap.String("do", "hsmgate audit verify, with the checkpoint that is kept there"))
		default:
			log.Warn("checkpoints of the audit log do not arrive; they are tried again", at, zap.Error(err))
		}
	}
}

// push tells the pusher of each checkpoint, until the context ends.
func push(ctx context.Context, published func() *tree.Publisher, to *witness.Pusher) {
	for after := int64(0); ; {
		if p := published(); p != nil {
			for c, err := p.Next(ctx, after); err == nil; c, err = p.Next(ctx, after) {
				after = c.Tree.N
				to.Published(c)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second): // until there is a tree, or another one
		}
	}
}

// registerPusher exports how far each place is.
func registerPusher(reg prometheus.Registerer, p *witness.Pusher) {
	for i, s := range p.States() {
		reg := prometheus.WrapRegistererWith(prometheus.Labels{"place": s.Place}, reg)
		gauge := func(name, help string, value func(witness.State) float64) {
			reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(p.States()[i]) }))
		}
		gauge("hsmgate_audit_witnessed_records", "Records in the last tree of the audit log that this witness or file has.",
			func(s witness.State) float64 { return float64(s.Size) })
		gauge("hsmgate_audit_witness_behind_seconds", "Time since there is a checkpoint that this witness or file has not.",
			func(s witness.State) float64 { return s.Behind.Seconds() })
		gauge("hsmgate_audit_witness_inconsistent", "1 if this witness or file has seen another past of the audit log.", func(s witness.State) float64 {
			if errors.Is(s.Err, witness.ErrInconsistent) {
				return 1
			}
			return 0
		})
	}
}
