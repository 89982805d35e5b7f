package auditor

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// Subject is a file and its signature, of which a record is to be proven.
type Subject struct {
	signature string            // as records name it
	digests   map[string]string // of the file, by the kinds that records name
	twice     string            // the SHA-512 of the SHA-512
}

// NewSubject reads a file to its end.
func NewSubject(file io.Reader, signature []byte) (*Subject, error) {
	h256, h384, h512 := sha256.New(), sha512.New384(), sha512.New()
	if _, err := io.Copy(io.MultiWriter(h256, h384, h512), file); err != nil {
		return nil, fmt.Errorf("read what was signed: %w", err)
	}
	named := func(kind string, sum []byte) string { return kind + ":" + hex.EncodeToString(sum) }
	of, again := sha256.Sum256(signature), sha512.Sum512(h512.Sum(nil))
	return &Subject{
		signature: named("sha256", of[:]),
		digests: map[string]string{
			"sha256": named("sha256", h256.Sum(nil)), "sha384": named("sha384", h384.Sum(nil)), "sha512": named("sha512", h512.Sum(nil)),
		},
		twice: named("sha512", again[:]),
	}, nil
}

// Errors of Check and Find.
var (
	ErrOtherSignature = errors.New("the record is not of this signature")
	ErrOtherFile      = errors.New("the record is of this signature, but does not show that it is over this file")
	ErrNoRecord       = errors.New("no record of the log is of this signature")
)

// Check says why a record does not show that the file was signed and that this is the signature; nil: it does.
func (s *Subject) Check(r audit.Record) error {
	switch {
	case r.Operation != "Sign" || r.Outcome != "allowed" || r.Phase != "":
		return fmt.Errorf("%w: record %d is of %s, %s", ErrOtherSignature, r.Seq, r.Operation, r.Outcome)
	case r.SignatureHash != s.signature:
		return ErrOtherSignature
	case r.MessageType == "EXTERNAL_MU":
		return fmt.Errorf("%w: an external mu was signed, which does not show the file", ErrOtherFile)
	case r.Algorithm == "ED25519_PH_SHA_512" && r.Digest == s.twice: // it hashes its message, and that is the file's digest
		return nil
	case r.Algorithm != "ED25519_PH_SHA_512" && s.digest(r.Digest):
		return nil
	}
	if r.Digest == "" {
		return fmt.Errorf("%w: record %d names no digest; whether the signature is over the file, its public key tells", ErrOtherFile, r.Seq)
	}
	return fmt.Errorf("%w: it says %s", ErrOtherFile, r.Digest)
}

func (s *Subject) digest(text string) bool {
	for _, d := range s.digests {
		if d == text {
			return true
		}
	}
	return false
}

// Found is a record of a signature.
type Found struct {
	Record audit.Record
	Line   string
	Again  int // how many later records are of the very same signature and file
}

// Find reads a log for the first record of the subject. The error is ErrNoRecord or ErrOtherFile where there is none.
func (s *Subject) Find(path string) (Found, error) {
	r, err := audit.OpenReader(path, 0)
	if err != nil {
		return Found{}, err
	}
	defer func() { _ = r.Close() }() // read only
	found, missing := Found{}, ErrNoRecord
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Found{}, err
		}
		if !bytes.Contains(line.Text, []byte(s.signature)) {
			continue
		}
		record, err := line.Record()
		if err != nil {
			return Found{}, fmt.Errorf("record %d cannot be read: %w", line.Seq, err)
		}
		switch err := s.Check(record); {
		case err == nil && found.Line != "":
			found.Again++
		case err == nil:
			found = Found{Record: record, Line: string(line.Text)}
		case errors.Is(err, ErrOtherFile):
			missing = fmt.Errorf("record %d: %w", record.Seq, err)
		}
	}
	if found.Line == "" {
		return Found{}, missing
	}
	return found, nil
}

// decode reads a record's line.
func decode(line []byte) (audit.Record, error) {
	var r audit.Record
	err := json.Unmarshal(line, &r)
	return r, err
}
