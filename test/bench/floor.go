package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/miekg/pkcs11"
)

func keyID() []byte {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	return id
}

// floorStart asks for the floor: a server of echo, JSON, a pool of sessions and the token call, and nothing else. No authentication, no
// policy, no log, no check of the signature.
type floorStart struct {
	Module   string
	Sessions int
	Keys     []floorKey
}

type floorKey struct{ Key, Algorithm string }

// floorMessage is the body of a request, and of its answer.
type floorMessage struct {
	Message   []byte `json:",omitempty"`
	Signature []byte `json:",omitempty"`
}

// floorCommand starts the server and answers its address.
func floorCommand(line json.RawMessage) (any, error) {
	var start floorStart
	if err := json.Unmarshal(line, &start); err != nil {
		return nil, err
	}
	t, err := openBare(start.Module)
	if err != nil {
		return nil, err
	}
	pool := make(chan pkcs11.SessionHandle, start.Sessions)
	for range start.Sessions {
		s, err := t.session()
		if err != nil {
			return nil, err
		}
		pool <- s
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	for _, k := range start.Keys {
		a, ok := algorithmNamed(k.Algorithm)
		if !ok {
			return nil, fmt.Errorf("there is no algorithm %q", k.Algorithm)
		}
		key, err := t.key(k.Key)
		if err != nil {
			return nil, err
		}
		m, input := a.mechanism()
		e.POST("/"+k.Algorithm, func(c echo.Context) error {
			var in floorMessage
			if err := c.Bind(&in); err != nil {
				return err
			}
			s := <-pool
			sig, err := t.sign(s, key, m, input(in.Message))
			pool <- s
			if err != nil {
				return err
			}
			return c.JSON(http.StatusOK, floorMessage{Signature: sig})
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go func() {
		fmt.Fprintln(os.Stderr, "bench: the floor ended:", server.Serve(l))
	}()
	return "http://" + l.Addr().String(), nil
}
