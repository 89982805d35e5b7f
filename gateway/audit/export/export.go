// Package export writes audit records in the shapes that other tools read: as they are (jsonl), as AWS CloudTrail events
// (cloudtrail) and as OCSF API Activity (ocsf). It is pure functions; docs/siem.md has the tables of members.
package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Formats are the names of the shapes.
var Formats = []string{"jsonl", "cloudtrail", "ocsf"}

// Home is the account and region of records that name no key, alias or principal.
type Home struct{ Account, Region string }

// Shape appends one record to b as one JSON object, without a newline.
type Shape func(b []byte, l audit.Line) ([]byte, error)

// New gives the shape of that name.
func New(format string, home Home) (Shape, error) {
	switch format {
	case "jsonl":
		return func(b []byte, l audit.Line) ([]byte, error) { return append(b, l.Text...), nil }, nil
	case "cloudtrail":
		return func(b []byte, l audit.Line) ([]byte, error) { return shape(b, l, home, cloudTrail) }, nil
	case "ocsf":
		return func(b []byte, l audit.Line) ([]byte, error) { return shape(b, l, home, ocsf) }, nil
	}
	return nil, fmt.Errorf("format %q is not one of %s", format, strings.Join(Formats, ", "))
}

// event is a record with what the shapes have in common.
type event struct {
	audit.Record
	id      string
	service string
	account string
	region  string
	message string
	kind    activity
	who     principal
	rest    map[string]json.RawMessage // what has no place in the shape: ours
}

func shape(b []byte, l audit.Line, home Home, of func(*event) any) ([]byte, error) {
	e, err := newEvent(l, home)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", l.Seq, err)
	}
	w := bytes.NewBuffer(b)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(of(e)); err != nil {
		return nil, fmt.Errorf("record %d: %w", l.Seq, err)
	}
	return bytes.TrimSuffix(w.Bytes(), []byte("\n")), nil
}

// newEvent keeps every member of the line, those too that this version does not know.
func newEvent(l audit.Line, home Home) (*event, error) {
	e := &event{id: eventID(l.Hash)}
	var err error
	if e.Record, err = l.Record(); err != nil {
		return nil, err
	}
	if err = json.Unmarshal(l.Text, &e.rest); err != nil {
		return nil, err
	}
	e.rest["hash"] = json.RawMessage(strconv.Quote(fmt.Sprintf("%x", l.Hash)))
	e.service, e.kind, e.who = serviceOf(e.Operation), activityOf(e.Operation), principalOf(&e.Record)
	e.account, e.region = home.Account, home.Region
	for _, arn := range []string{e.Record.Principal, e.Resource, e.KeyARN} { // the key comes last: it says the region
		if region, account, ok := placeOf(arn); ok {
			e.account = account
			if region != "" {
				e.region = region
			}
		}
	}
	e.message = messageOf(&e.Record)
	return e, nil
}

// without takes the members out of the rest that have a place of their own.
func (e *event) without(names ...string) map[string]json.RawMessage {
	for _, name := range names {
		delete(e.rest, name)
	}
	return e.rest
}

func (e *event) allowed() bool { return e.Outcome == "allowed" || e.Outcome == "" }

// messageOf says in words what the log says of a call that was not allowed; the text that the caller got is not in it.
func messageOf(r *audit.Record) string {
	if r.Outcome == "" || r.Outcome == "allowed" {
		return ""
	}
	text := r.Operation + " was " + r.Outcome
	if r.Outcome != "denied" { // invalid, failed
		text = r.Operation + ": " + r.Outcome
	}
	if r.Reason != "" {
		text += ", decided by " + r.Reason
	}
	return text
}

// eventID is the record's hash as a UUID of version 8 (RFC 9562, section 5.8), so that a record that comes twice is known.
func eventID(hash [32]byte) string {
	u := hash[:16] // of a copy
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// placeOf reads region and account of an ARN.
func placeOf(arn string) (region, account string, ok bool) {
	p := strings.SplitN(arn, ":", 6)
	if len(p) != 6 || p[0] != "arn" || len(p[4]) != 12 {
		return "", "", false
	}
	return p[3], p[4], true
}
