package main

import (
	"context"
	"crypto"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// What became of a file.
const (
	statusSigned  = "signed"
	statusSkipped = "already signed" // by this key, and the signature is good
	statusFailed  = "failed"
	statusWould   = "would be signed" // under --dry-run
	statusOther   = "skipped"         // of several files, one that is a signature of another, or was left by a kill
)

// signedFile is the result of one file.
type signedFile struct {
	File    string
	Format  string   `json:",omitempty"`
	Outputs []string `json:",omitempty"` // where the signature is: the file itself, or files beside it
	Status  string
	Note    string `json:",omitempty"` // why it was skipped, or what the signature lacks
	Error   string `json:",omitempty"`

	// Of what was signed now.
	KeyId            string               `json:",omitempty"`
	KeyVersion       int                  `json:",omitempty"`
	SigningAlgorithm api.SigningAlgorithm `json:",omitempty"`
	AuditRecords     []string             `json:",omitempty"` // seq:hash of each signature, for 'audit verify --receipt'
	Signature        []byte               `json:",omitempty"` // of a format that is nothing else

	err error
}

// made notes a signature that the gateway has made.
func (r *signedFile) made(s *api.SignResponse) {
	r.KeyId, r.KeyVersion, r.SigningAlgorithm = s.KeyId, s.KeyVersion, s.SigningAlgorithm
	r.AuditRecords = append(r.AuditRecords, s.AuditRecord)
	if r.Format == format.Raw.Name {
		r.Signature = s.Signature
	}
}

// failed notes an error; nil is none.
func (r *signedFile) failed(err error) {
	if r.err = err; err != nil {
		r.Status, r.Error = statusFailed, err.Error()
	}
}

// signer signs files, several at a time.
type signer struct {
	key    func(*format.Format) (*format.Key, error)
	format *format.Format // nil: found from each file
	output string         // for a single file; "" is beside it, or the file itself
	jobs   int
	trial  func() (crypto.Signer, error) // under --dry-run: a key that is thrown away
	room   *room
}

// errInterrupted is what becomes of files that were not signed when the program was told to end.
var errInterrupted = errors.New("interrupted")

// files signs each file and tells of each as it is done. Once ctx ends no file is begun.
func (s *signer) files(ctx context.Context, names []string, done func(signedFile)) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	s.room = newRoom(s.jobs)
	for _, name := range names {
		s.room.enter()
		wait.Go(func() {
			defer s.room.leave()
			r := s.result(ctx, name, len(names) > 1)
			mu.Lock()
			defer mu.Unlock()
			done(r)
		})
	}
	wait.Wait()
}

// result signs one file, of several, and says what became of it.
func (s *signer) result(ctx context.Context, name string, several bool) signedFile {
	r := signedFile{File: name}
	if r.Note = byProduct(name); several && r.Note != "" {
		r.Status = statusOther
		return r
	}
	r.Note = ""
	err := ctx.Err()
	if err == nil {
		err = s.file(ctx, name, &r)
	}
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	r.failed(err)
	return r
}

// file signs one file, or finds that it is signed.
func (s *signer) file(ctx context.Context, name string, r *signedFile) error {
	in, err := openArtifact(name)
	if err != nil {
		return err
	}
	defer in.Close()
	f := s.format
	if f == nil {
		if f, err = format.Of(in); err != nil {
			return err
		}
	}
	r.Format = f.Name
	key, err := s.key(f)
	if err != nil {
		return err
	}
	if err := f.Suits(key); err != nil {
		return &usageError{err}
	}
	if key.Timestamp != nil && !f.Stamped {
		r.Note = f.Name + " holds no timestamp"
	}
	for ; f != nil; f = f.Also {
		if err := s.signature(ctx, f, key, in, r); err != nil {
			return err
		}
	}
	return nil
}

// signature makes one signature of a file, or finds that it is there.
func (s *signer) signature(ctx context.Context, f *format.Format, key *format.Key, in *os.File, r *signedFile) error {
	output := s.output
	if output == "" {
		output = outputOf(f, in.Name())
	}
	r.Outputs = append(r.Outputs, output)
	if s.output == "" && alreadySigned(f, key, in, output) {
		if r.Status == "" {
			r.Status = statusSkipped
		}
		return nil
	}
	sign := func(out io.Writer) error {
		k, err := s.keyFor(key, in, r)
		if err != nil {
			return err
		}
		err = f.Sign(ctx, k, in, out)
		if errors.Is(err, format.ErrKey) || s.format != nil && errors.Is(err, format.ErrArtifact) {
			return &usageError{err} // the key does not fit the file, or the file the format that was named
		}
		return err
	}
	if s.trial != nil {
		r.Status = statusWould
		if err := mayWrite(output); err != nil {
			return err
		}
		return sign(io.Discard)
	}
	r.Status = statusSigned
	if output == "-" {
		return sign(os.Stdout)
	}
	mode := newMode
	if info, err := in.Stat(); err == nil && f.Output == nil { // it is the artifact that goes there
		mode = info.Mode().Perm()
	}
	return writeFileBy(output, mode, false, sign)
}

func outputOf(f *format.Format, artifact string) string {
	if f.Output == nil {
		return artifact
	}
	return f.Output(artifact)
}

// alreadySigned says whether the signature is there and is this key's over this file, with a timestamp if one is asked for.
func alreadySigned(f *format.Format, key *format.Key, in *os.File, output string) bool {
	t := &format.Trust{Keys: []crypto.PublicKey{key.Public()}, Namespace: key.Namespace, Predicate: key.Predicate,
		Stamped: f.Stamped && key.Timestamp != nil}
	if f.Output == nil {
		return f.Verify(t, in, nil) == nil
	}
	signature, err := openArtifact(output)
	if err != nil {
		return false
	}
	defer signature.Close()
	return f.Verify(t, in, signature) == nil
}

// openArtifact opens a regular file: a format reads it more than once. To open a named pipe would wait for who writes it,
// so nothing is waited for.
func openArtifact(name string) (*os.File, error) {
	if name == "-" {
		return nil, usagef("a file is read more than once for a format: name one, not standard input")
	}
	in, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &usageError{err}
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = usagef("%s is not a regular file", shown(name))
	}
	if err == nil && info.Size() == 0 {
		err = usagef("%s is empty", shown(name))
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}
