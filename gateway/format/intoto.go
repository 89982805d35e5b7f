package format

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// InToto is an attestation of a file: an in-toto statement (v1) in a DSSE envelope. It needs Key.Predicate.
var InToto = &Format{
	Name: "intoto", Summary: "any file: an in-toto attestation in a DSSE envelope; cosign verify-blob-attestation", Keys: "RSA, P-256, P-384, P-521, Ed25519 (statements of at most about 4060 bytes)",
	Output: ending(".intoto.json"), suits: isRSANISTOrEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		sum, err := digest(crypto.SHA256, in)
		if err != nil {
			return err
		}
		envelope, err := Attest(k, filepath.Base(in.Name()), hex.EncodeToString(sum))
		if err != nil {
			return err
		}
		_, err = out.Write(append(envelope, '\n'))
		return err
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		envelope, err := io.ReadAll(io.LimitReader(from, maxBundle))
		if err != nil {
			return err
		}
		sum, err := digest(crypto.SHA256, in)
		if err != nil {
			return err
		}
		return t.Attested(envelope, hex.EncodeToString(sum))
	},
}

// Predicate is what an attestation says of an artifact.
type Predicate struct {
	Type string          // a URI that says what the body means
	Body json.RawMessage // a JSON object; of a Trust also nil, which is any
}

const (
	statementType = "https://in-toto.io/Statement/v1"
	// statementOld is that of attestations that others make still; it has the same fields.
	statementOld = "https://in-toto.io/Statement/v0.1"
	// StatementPayload is the payloadType of an envelope that holds a statement.
	StatementPayload = "application/vnd.in-toto+json"
)

// statement is an in-toto statement (in-toto/attestation, spec/v1/statement.md).
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Attest signs k.Predicate as a statement of what has this name and this SHA-256, in hexadecimal, and gives the DSSE
// envelope, in JSON.
func Attest(k *Key, name, sha256 string) ([]byte, error) {
	if k.Predicate == nil {
		return nil, fmt.Errorf("%w: an attestation needs a predicate: use hsmgate attest", ErrKey)
	}
	text, err := json.Marshal(statement{statementType, []subject{{name, map[string]string{"sha256": sha256}}}, k.Predicate.Type, k.Predicate.Body})
	if err != nil {
		return nil, err
	}
	signature, err := SignMessage(k, dsse.PAE(StatementPayload, text))
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{StatementPayload, text, []envelopeSignature{{Sig: signature}}})
}

// envelope is dsse.Envelope with its bytes read and written as such. The signatures name no key: some of those who verify
// refuse a name that is not made as theirs.
type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     []byte              `json:"payload"`
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// Attested is nil if the envelope holds a statement of what has this SHA-256, by a trusted key, that says t.Predicate.
// Where that is nil, the statement may say anything of it, good or bad: who relies on it reads the predicate.
func (t *Trust) Attested(text []byte, sha256 string) error {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSigned, err)
	}
	if e.PayloadType != StatementPayload || len(e.Signatures) == 0 {
		return fmt.Errorf("%w: it is no envelope of a statement", ErrNotSigned)
	}
	signed, err := dsse.PAE(e.PayloadType, e.Payload), notGood("it has no signature")
	for _, s := range e.Signatures {
		if err = t.VerifyMessage(signed, s.Sig); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	var s statement
	if err := json.Unmarshal(e.Payload, &s); err != nil {
		return notGood("it is of no statement: %v", err)
	}
	return t.says(&s, sha256)
}

// says compares a statement with what is asked for.
func (t *Trust) says(s *statement, sha256 string) error {
	found := false
	for _, one := range s.Subject {
		found = found || one.Digest["sha256"] == sha256
	}
	switch {
	case s.Type != statementType && s.Type != statementOld:
		return notGood("it is no in-toto statement of version 1 or 0.1 but %q", s.Type)
	case !found:
		return fmt.Errorf("%w: %w", ErrNotGood, ErrOther)
	case t.Predicate == nil:
	case s.PredicateType != t.Predicate.Type:
		return fmt.Errorf("%w: it is a statement of the type %q", ErrNotSigned, s.PredicateType)
	case t.Predicate.Body != nil && !sameJSON(s.Predicate, t.Predicate.Body):
		return notGood("it says something else")
	}
	return nil
}

func sameJSON(a, b []byte) bool {
	read := func(text []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return nil
		}
		return v
	}
	x, y := read(a), read(b)
	return x != nil && reflect.DeepEqual(x, y)
}
