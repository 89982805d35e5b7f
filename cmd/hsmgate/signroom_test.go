package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// slowSigner signs once so many wait, and counts how many do.
type slowSigner struct {
	crypto.Signer
	enough int
	begin  chan struct{}

	mu            sync.Mutex
	waiting, most int
}

func (s *slowSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.mu.Lock()
	s.waiting++
	if s.most = max(s.most, s.waiting); s.most == s.enough {
		select {
		case <-s.begin:
		default:
			close(s.begin)
		}
	}
	s.mu.Unlock()
	<-s.begin
	s.mu.Lock()
	s.waiting--
	s.mu.Unlock()
	return s.Signer.Sign(rand.Reader, digest, opts)
}

// Many files wait for their signatures while a few are worked on, and no more than that.
func TestFilesWaitTogether(t *testing.T) {
	const jobs = 3
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range maxWaiting + 100 {
		names = append(names, fmt.Sprint("file", i))
	}
	artifacts(t, names...)
	by := &slowSigner{Signer: key, enough: maxWaiting + jobs, begin: make(chan struct{})}
	s := &signer{format: format.Raw, jobs: jobs, key: func(*format.Format) (*format.Key, error) { return &format.Key{Signer: by}, nil }}
	s.files(context.Background(), names, func(r signedFile) {
		if r.err != nil || r.Status != statusSigned {
			t.Errorf("%+v", r)
		}
	})
	if by.most != by.enough {
		t.Errorf("%d waited at a time, not %d", by.most, by.enough)
	}
	for _, name := range names {
		if _, err := os.Stat(name + ".sig"); err != nil {
			t.Error(err)
		}
	}
}

// What waits is bounded in bytes, too: a large file keeps its place.
func TestLargeFileKeepsItsPlace(t *testing.T) {
	r := newRoom(2)
	r.enter()
	r.enter()
	first := r.rest(maxWaitingBytes)
	if len(r.work) != 1 {
		t.Error("one that may wait makes no room")
	}
	second := r.rest(1)
	if len(r.work) != 1 {
		t.Error("one for which there is no room in memory does not keep its place")
	}
	second()
	first()
	r.leave()
	r.rest(maxWaitingBytes)
	if len(r.work) != 0 {
		t.Error("what has ended to wait is counted")
	}
}
