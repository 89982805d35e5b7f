package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/hsm"
)

// openTimeout is how long the module may take to open. A SoftHSM token with
// 10,000 keys takes ten seconds.
const openTimeout = 2 * time.Minute

// The states of a finding.
const (
	stateOK     = "ok"
	stateNote   = "note"   // something is not there, and nothing depends on it
	stateNeeded = "needed" // the gateway cannot serve, or not all of its keys
)

// finding is one line of the check.
type finding struct {
	What   string `json:"what"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// findings gathers what the check finds.
type findings struct {
	list []finding
	pin  error  // the default token refused the PIN
	of   string // the key store that is looked at, with a colon; "" for everything else
}

func (f *findings) add(state, what, do, format string, args ...any) {
	f.list = append(f.list, finding{f.of + what, state, fmt.Sprintf(format, args...), do})
}

// failed adds something that is needed, with the advice in the error.
func (f *findings) failed(what string, err error) {
	var e *hsm.Error
	var hinted *hintedError
	var log *audit.Error
	do := ""
	switch {
	case errors.As(err, &hinted):
		do = hinted.hint
	case errors.As(err, &e) && e.Advice != "":
		do = e.Advice
	case errors.As(err, &log) && log.Advice != "":
		do = log.Advice
	}
	text := strings.TrimSuffix(layers.ReplaceAllString(err.Error(), "$1"), "; "+do)
	if do == "" {
		do = remedies[what]
	}
	f.add(stateNeeded, what, do, "%s", text)
}

// remedies are what to do where the error itself does not say it.
var remedies = map[string]string{
	"environment": "correct 'environment' in the settings",
	"certificate": "let tls.cert_file and tls.key_file name a certificate and its key, in PEM",
	"timestamps":  "let timestamp.certificate_file name the certificate of the authority's key, in PEM, from 'hsmgate certificate issue --profile timestamping'",
	"provider":    "let issuer, or jwks_url or jwks_file, lead to the provider's keys, and ca_file to the CA of its certificate",
	"clients":     "let client_certificates.ca_file and crl_file name certificates and revocation lists of the CAs, in PEM",
	"token":       tokenAway,
	"database":    "a file has to be one that this user may read and write, with its folder; if it is damaged, put it back from a copy",
	"seal key":    "put it back from a copy",
	"keys":        "see the lines on token and database, then check again",
	"audit sink":  "correct 'audit.sinks' in the settings, or the file that is named: docs/siem.md",
	"checkpoints": "let audit.origin be the name of the log, or leave it out; for other reasons see docs/transparency.md, 'When something is wrong'",
	"audit log":   "look with 'hsmgate audit verify'; put the log and its head back from a copy, or go on with what is there: 'hsmgated audit adopt'",
}

func (f *findings) needed() int {
	n := 0
	for _, one := range f.list {
		if one.State == stateNeeded {
			n++
		}
	}
	return n
}

func newCheck() *cobra.Command {
	var path, state, format string
	c := &cobra.Command{
		Use:   "check --config FILE | --state DIR",
		Short: "Check token, database, audit log and certificates, and say what to do",
		Long: `Opens the token as the daemon does (one login), tries what it can do with throw-away session
keys, and compares its keys with the database. Reads the whole audit log. Changes nothing,
not even an older database, and may run beside the daemon. Exit code 1: something is needed.`,
		Example: "  hsmgated check --state ./var\n  hsmgated check --config /etc/hsmgate/hsmgated.yaml --output json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return &usageError{fmt.Errorf("--output is text or json, not %q", format)}
			}
			c, err := configOf(path, state)
			if err != nil {
				return err
			}
			f := &findings{}
			f.check(cmd.Context(), c)
			if err := f.print(format); err != nil {
				return err
			}
			if f.pin != nil {
				return f.pin
			}
			if n := f.needed(); n > 0 {
				return fmt.Errorf("%d thing(s) are needed: see the lines that begin with 'needed'", n)
			}
			return nil
		},
	}
	configFlags(c, &path, &state)
	outputFlag(c, &format)
	return c
}

func (f *findings) print(format string) error {
	if format == "json" {
		return printJSON(f.list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, one := range f.list {
		fmt.Fprintf(w, "%s\t%s\t%s\n", one.State, one.What, one.Detail)
		if one.Do != "" {
			fmt.Fprintf(w, "\t\tdo: %s\n", one.Do)
		}
	}
	return w.Flush()
}

// check looks at everything, whatever is found on the way.
func (f *findings) check(ctx context.Context, c *Config) {
	if err := setEnvironment(c); err != nil {
		f.failed("environment", err)
	}
	f.certificate(c)
	f.callers(ctx, c)
	tokens := f.tokens(ctx, c)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s := f.openDatabase(ctx, c)
	if s != nil {
		f.database(ctx, c, s, tokens)
	}
	f.timestamps(c, s)
	f.auditLog(ctx, c, s)
	f.sinks(c)
	if s != nil {
		if err := s.Close(); err != nil {
			f.failed("database", err)
		}
	}
	for _, t := range tokens {
		if err := t.Close(); err != nil {
			f.failed("token", err)
		}
	}
}

// tokens opens every token and looks at it; those that open are returned by name.
func (f *findings) tokens(ctx context.Context, c *Config) map[string]*hsm.Token {
	open := make(map[string]*hsm.Token)
	look := func(name string, config hsm.Config) error {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		t, err := hsm.Open(ctx, config)
		if err != nil {
			f.failed("token", err)
			return err
		}
		open[name] = t
		f.token(ctx, t, config.Module)
		return nil
	}
	if err := look(gateway.DefaultToken, c.Token); errors.Is(err, hsm.ErrPINRefused) {
		f.pin = err
	}
	for _, k := range c.KeyStores {
		f.of = k.Name + ": "
		_ = look(k.Name, k.Config) // it is among the findings
	}
	f.of = ""
	return open
}

func (f *findings) token(ctx context.Context, t *hsm.Token, module string) {
	info, err := t.Info(ctx)
	if err != nil {
		f.failed("token", err)
		return
	}
	f.add(stateOK, "token", "", "%q, serial %s, %s %s, firmware %s", info.Label, info.Serial, info.Manufacturer, info.Model, info.Firmware)
	f.add(stateOK, "module", "", "%s: %s %s, PKCS#11 %s", module, info.Library, info.LibraryVersion, info.Cryptoki)
	f.sessions(info)
	f.clock(info.Clock)
	if info.WriteProtected {
		f.add(stateNote, "token", "take the write protection off to make keys", "it is write-protected: no key can be made or destroyed")
	}
	if info.PINCountLow || info.PINFinalTry {
		f.add(stateNote, "PIN", "find out who tries, before the token locks", "a wrong PIN was given before this one")
	}
	for _, a := range t.Abilities() {
		if a.Name == string(api.Ed25519PHSHA512) && a.State == hsm.No && strings.Contains(info.Manufacturer, "SoftHSM") {
			f.add(stateNote, a.Name, "", "no: SoftHSM has no ED25519_PH; nothing to do. ED25519_SHA_512 signs messages of up to 4096 bytes")
			continue
		}
		state := stateOK
		if a.State != hsm.Yes || a.Advice != "" {
			state = stateNote
		}
		detail := string(a.State)
		if a.Detail != "" {
			detail += ": " + a.Detail
		}
		f.add(state, a.Name, a.Advice, "%s", detail)
	}
}

func (f *findings) sessions(info hsm.Info) {
	switch {
	case info.MaxSessions == 0:
		f.add(stateOK, "sessions", "", "the token sets no limit")
	case info.MaxSessions < 0 || info.OpenSessions < 0:
		f.add(stateOK, "sessions", "", "the token does not say how many it has")
	default:
		f.add(stateOK, "sessions", "", "%d free of %d", info.MaxSessions-info.OpenSessions, info.MaxSessions)
	}
}

// maxSkew is how far the clocks of token and machine may be apart.
const maxSkew = 30 * time.Second

func (f *findings) clock(token time.Time) {
	switch skew := time.Until(token).Abs(); {
	case token.IsZero():
		f.add(stateOK, "clock", "", "the token has none; this machine says %s", time.Now().UTC().Format(time.RFC3339))
	case skew > maxSkew:
		f.add(stateNote, "clock", "set the clocks: requests are signed and records are kept by this machine's", "the token's clock and this machine's are %s apart", skew.Round(time.Second))
	default:
		f.add(stateOK, "clock", "", "%s, as this machine's", token.UTC().Format(time.RFC3339))
	}
}
