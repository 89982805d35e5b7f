package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxAnswer bounds what is read of an answer, in bytes: 16 signatures with their names are far below it.
const maxAnswer = 64 << 10

// ConflictError is the answer of a witness that knows another size than the one that a proof begins with.
type ConflictError struct{ Size int64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the last tree that it has cosigned has %d records", e.Size)
}

// ErrInconsistent is the answer of a witness that has seen another tree of this log.
var ErrInconsistent = errors.New("it has cosigned a tree that is not the beginning of this one")

// add is one add-checkpoint request (c2sp.org/tlog-witness): from the tree of old records to that of the signed checkpoint.
// It answers with the witness's cosignature, checked, as a line of a note.
func (w *Witness) add(ctx context.Context, old int64, proof tlog.TreeProof, checkpoint []byte) (string, error) {
	body := fmt.Appendf(nil, "old %d\n", old)
	for _, h := range proof {
		body = append(base64.StdEncoding.AppendEncode(body, h[:]), '\n')
	}
	body = append(append(body, '\n'), checkpoint...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := w.HTTP.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return w.cosignature(checkpoint, answer)
	case http.StatusConflict:
		size, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if err != nil || size < 0 {
			return "", fmt.Errorf("it answers 409 without the size that it knows: %.100q", answer)
		}
		return "", &ConflictError{size}
	case http.StatusUnprocessableEntity:
		return "", ErrInconsistent
	case http.StatusForbidden, http.StatusNotFound:
		return "", fmt.Errorf("it does not know this log, or not its key (%d %.100q): give it the log's name and verifier key", resp.StatusCode, bytes.TrimSpace(answer))
	}
	return "", fmt.Errorf("it answers %d: %.100q", resp.StatusCode, bytes.TrimSpace(answer))
}

// cosignature takes from an answer the line of the pinned key, if it is good for the checkpoint; others are passed over.
func (w *Witness) cosignature(checkpoint, answer []byte) (string, error) {
	text, _, ok := bytes.Cut(checkpoint, []byte("\n\n"))
	if !ok {
		return "", errors.New("the checkpoint is no signed note")
	}
	signed := append(append(text[:len(text):len(text)], "\n\n"...), answer...)
	n, err := note.Open(signed, note.VerifierList(w.Key))
	if err != nil {
		return "", fmt.Errorf("its answer holds no cosignature of %s that is good: %w", w.Key.Name(), err)
	}
	s := n.Sigs[0]
	return "— " + s.Name + " " + s.Base64 + "\n", nil
}
