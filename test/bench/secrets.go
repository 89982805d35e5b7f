package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// secretSize is how much is encrypted and authenticated, in bytes: the most that a request takes.
const secretSize = 4096

// secretParts are the operations of secret keys that are measured, by their names in --only.
var secretParts = []string{"encrypt", "decrypt", "data-key", "mac"}

// secretRow is one operation on 32 connections, beside the bare calls in four threads.
type secretRow struct {
	Name   string  `json:"name"`
	Bare   figures `json:"bare"`
	Daemon figures `json:"daemon"`
}

const secretConnections, secretThreads = 32, 4

// measureSecrets measures what secret keys do, with a state of its own.
func (r *rig) measureSecrets(rep *report) error {
	wanted := slices.DeleteFunc(slices.Clone(secretParts), func(part string) bool { return !r.o.wants(part) })
	if len(wanted) == 0 {
		return nil
	}
	s, err := r.newState("secrets")
	if err != nil {
		return err
	}
	p, err := r.start(s)
	if err != nil {
		return err
	}
	keys, err := newSecretKeys(p)
	if err != nil {
		return err
	}
	loop, err := startChild("secret", "SOFTHSM2_CONF="+s.SoftHSMConf())
	if err != nil {
		return err
	}
	r.atEnd(loop.stop)
	for _, part := range wanted {
		progress("%s, %d connections", part, secretConnections)
		found, err := r.interleave([]target{
			{targetBare, func(window time.Duration) (out sample, err error) {
				err = loop.ask(secretRun{s.Options.Module, keys.named(part), part, secretThreads, window}, &out)
				return out, err
			}},
			r.httpTarget(targetDaemon, p.PID(), secretConnections, keys.request(p, part)),
		})
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		rep.Secrets = append(rep.Secrets, secretRow{part, found[targetBare], found[targetDaemon]})
	}
	return nil
}

// secretKeys are a symmetric key and an HMAC key of a daemon, with something to decrypt.
type secretKeys struct {
	box, mac   string
	ciphertext []byte
}

func newSecretKeys(p *daemon.Process) (k secretKeys, err error) {
	for id, in := range map[*string]api.CreateKeyRequest{
		&k.box: {KeySpec: api.Symmetric, KeyUsage: api.EncryptDecrypt}, &k.mac: {KeySpec: api.HMAC256, KeyUsage: api.GenerateVerifyMac},
	} {
		var made api.CreateKeyResponse
		if err := p.Call("POST", "/v1/keys", in, &made); err != nil {
			return k, err
		}
		*id = made.KeyMetadata.KeyId
	}
	var sealed api.EncryptResponse
	err = p.Call("POST", "/v1/keys/"+k.box+"/encrypt", api.EncryptRequest{Plaintext: randomBytes(secretSize)}, &sealed)
	k.ciphertext = sealed.CiphertextBlob
	return k, err
}

// named is the key of a part.
func (k secretKeys) named(part string) string {
	if part == "mac" {
		return k.mac
	}
	return k.box
}

func (k secretKeys) request(p *daemon.Process, part string) func() (*http.Request, error) {
	return func() (*http.Request, error) {
		var path string
		var in any
		switch part {
		case "encrypt":
			path, in = "/v1/keys/"+k.box+"/encrypt", api.EncryptRequest{Plaintext: randomBytes(secretSize)}
		case "decrypt":
			path, in = "/v1/decrypt", api.DecryptRequest{CiphertextBlob: k.ciphertext}
		case "data-key":
			path, in = "/v1/keys/"+k.box+"/generate-data-key", api.GenerateDataKeyRequest{KeySpec: api.AES256}
		default:
			path, in = "/v1/keys/"+k.mac+"/generate-mac", api.GenerateMacRequest{Message: randomBytes(secretSize), MacAlgorithm: api.HMACSHA256}
		}
		req, err := jsonRequest(p.URL+path, in)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+p.Token)
		}
		return req, err
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// secretRun asks for the bare loop of a secret key.
type secretRun struct {
	Module, Key, Part string
	Threads           int
	Window            time.Duration
}

func secretCommand(line json.RawMessage) (any, error) {
	var run secretRun
	if err := json.Unmarshal(line, &run); err != nil {
		return nil, err
	}
	var err error
	if bare == nil {
		if bare, err = openBare(run.Module); err != nil {
			return nil, err
		}
	}
	key, err := bare.labelled(pkcs11.CKO_SECRET_KEY, run.Key)
	if err != nil {
		return nil, err
	}
	sessions := make([]pkcs11.SessionHandle, run.Threads)
	for i := range sessions {
		if sessions[i], err = bare.session(); err != nil {
			return nil, err
		}
		defer func() { _ = bare.ctx.CloseSession(sessions[i]) }()
	}
	op, err := bare.secretOp(sessions[0], key, run.Part)
	if err != nil {
		return nil, err
	}
	return bareLoop(sessions, run.Window, op)
}

// secretOp is the bare calls of an operation.
func (t *bareToken) secretOp(first pkcs11.SessionHandle, key pkcs11.ObjectHandle, part string) (func(pkcs11.SessionHandle) error, error) {
	message := randomBytes(secretSize)
	switch part {
	case "encrypt":
		return func(s pkcs11.SessionHandle) error { _, _, err := t.encrypt(s, key, message); return err }, nil
	case "decrypt":
		iv, ciphertext, err := t.encrypt(first, key, message)
		return func(s pkcs11.SessionHandle) error { return t.decrypt(s, key, iv, ciphertext) }, err
	case "data-key":
		return func(s pkcs11.SessionHandle) error {
			made, err := t.ctx.GenerateRandom(s, 32)
			if err == nil {
				_, _, err = t.encrypt(s, key, made)
			}
			return err
		}, nil
	case "mac":
		m := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_SHA256_HMAC, nil)}
		return func(s pkcs11.SessionHandle) error { _, err := t.sign(s, key, m, message); return err }, nil
	}
	return nil, errors.New("there is no operation " + part)
}

func (t *bareToken) encrypt(s pkcs11.SessionHandle, key pkcs11.ObjectHandle, plaintext []byte) (iv, ciphertext []byte, err error) {
	iv = randomBytes(12)
	params := pkcs11.NewGCMParams(iv, nil, 128)
	defer params.Free()
	if err := t.ctx.EncryptInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, nil, err
	}
	ciphertext, err = t.ctx.Encrypt(s, plaintext)
	return iv, ciphertext, err
}

func (t *bareToken) decrypt(s pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, ciphertext []byte) error {
	params := pkcs11.NewGCMParams(iv, nil, 128)
	defer params.Free()
	if err := t.ctx.DecryptInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return err
	}
	_, err := t.ctx.Decrypt(s, ciphertext)
	return err
}
