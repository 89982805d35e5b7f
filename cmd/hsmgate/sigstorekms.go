package main

import (
	"context"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// Sigstore's programs, cosign among them, run a plugin for each call of a key: `sigstore-kms-NAME v1 JSON`, with what is
// signed as standard input, and read one JSON object (sigstore/sigstore, pkg/signature/kms/cliplugin, protocol v1).

const kmsProtocol = "v1"

// kmsSpecs are the keys whose signatures Sigstore verifies with the hash that it signs with, SHA-256. The first is the
// default of new ones.
var kmsSpecs = []api.KeySpec{api.P256, api.RSA2048, api.RSA3072, api.RSA4096}

type kmsCall struct {
	InitOptions struct {
		CtxDeadline   *time.Time  `json:"ctxDeadline"`
		KeyResourceID string      `json:"keyResourceID"`
		HashFunc      crypto.Hash `json:"hashFunc"`
	} `json:"initOptions"`
	MethodName string `json:"methodName"`
	CreateKey  struct {
		CtxDeadline *time.Time `json:"ctxDeadline"`
		Algorithm   string     `json:"algorithm"`
	} `json:"createKey"`
	PublicKey struct {
		PublicKeyOptions kmsOptions `json:"publicKeyOptions"`
	} `json:"publicKey"`
	SignMessage struct {
		SignOptions kmsOptions `json:"signOptions"`
	} `json:"signMessage"`
	VerifySignature struct {
		Signature     []byte     `json:"signature"`
		VerifyOptions kmsOptions `json:"verifyOptions"`
	} `json:"verifySignature"`
}

type kmsOptions struct {
	RPCOptions struct {
		CtxDeadline        *time.Time `json:"ctxDeadline"`
		KeyVersion         string     `json:"keyVersion"`
		RemoteVerification bool       `json:"remoteVerification"`
	} `json:"rpcOptions"`
	MessageOptions struct {
		Digest   []byte       `json:"digest"`
		HashFunc *crypto.Hash `json:"hashFunc"`
	} `json:"messageOptions"`
}

// asKMSPlugin answers one call. An error is in the answer, which is what its caller looks at.
func asKMSPlugin(ctx context.Context, a *app, args []string) error {
	answer, err := a.kmsMethod(ctx, args)
	if err != nil {
		answer = map[string]string{"errorMessage": err.Error()}
	}
	text, encodeErr := json.Marshal(answer)
	if encodeErr != nil {
		return encodeErr
	}
	return errors.Join(err, writeBytes("", text))
}

func (a *app) kmsMethod(ctx context.Context, args []string) (any, error) {
	var call kmsCall
	if len(args) != 2 {
		return nil, usagef("Sigstore's programs call %s, for keys that are named hsmgate://KEY", calledKMS)
	}
	if args[0] != kmsProtocol {
		return nil, fmt.Errorf("the plugin protocol of Sigstore is %s here, not %q", kmsProtocol, args[0])
	}
	if err := json.Unmarshal([]byte(args[1]), &call); err != nil {
		return nil, fmt.Errorf("the call cannot be read: %w", err)
	}
	for _, end := range []*time.Time{call.InitOptions.CtxDeadline, call.CreateKey.CtxDeadline, call.PublicKey.PublicKeyOptions.RPCOptions.CtxDeadline,
		call.SignMessage.SignOptions.RPCOptions.CtxDeadline, call.VerifySignature.VerifyOptions.RPCOptions.CtxDeadline} {
		if end != nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, *end)
			defer cancel()
		}
	}
	var answer any
	var err error
	switch call.MethodName {
	case "defaultAlgorithm":
		answer = map[string]any{"defaultAlgorithm": kmsSpecs[0]}
	case "supportedAlgorithms":
		answer = map[string]any{"supportedAlgorithms": kmsSpecs}
	case "createKey":
		answer, err = a.kmsCreate(ctx, &call)
	case "publicKey":
		answer, err = a.kmsPublicKey(ctx, &call)
	case "signMessage":
		answer, err = a.kmsSign(ctx, &call)
	case "verifySignature":
		answer, err = struct{}{}, a.kmsVerify(ctx, &call)
	default:
		err = fmt.Errorf("there is no method %q", call.MethodName)
	}
	return map[string]any{call.MethodName: answer}, err
}

// kmsCreate makes a key of the spec that is called the algorithm, under the alias that the caller names.
func (a *app) kmsCreate(ctx context.Context, call *kmsCall) (any, error) {
	spec := api.KeySpec(call.CreateKey.Algorithm)
	if !slices.Contains(kmsSpecs, spec) {
		return nil, usagef("a new key is one of %v, not %q", kmsSpecs, spec)
	}
	if err := checkAlias(call.InitOptions.KeyResourceID); err != nil {
		return nil, err
	}
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	if _, err := createKey(ctx, c, &api.CreateKeyRequest{KeySpec: spec, KeyUsage: api.SignVerify}, call.InitOptions.KeyResourceID); err != nil {
		return nil, err
	}
	return a.kmsPublicKey(ctx, call)
}

func (a *app) kmsPublicKey(ctx context.Context, call *kmsCall) (any, error) {
	_, made, err := a.kmsKey(ctx, call, &call.PublicKey.PublicKeyOptions)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"publicKeyPEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: made.Key().PublicKey})}, nil
}

func (a *app) kmsSign(ctx context.Context, call *kmsCall) (any, error) {
	options := &call.SignMessage.SignOptions
	_, made, err := a.kmsKey(ctx, call, options)
	if err != nil {
		return nil, err
	}
	hash, digest, err := options.digest(call.InitOptions.HashFunc, os.Stdin)
	if err != nil {
		return nil, err
	}
	signature, err := made.SignContext(ctx, digest, hash)
	return map[string][]byte{"signature": signature}, err
}

// kmsVerify checks a signature here, or has the gateway check it where that is asked for.
func (a *app) kmsVerify(ctx context.Context, call *kmsCall) error {
	options := &call.VerifySignature.VerifyOptions
	c, made, err := a.kmsKey(ctx, call, options)
	if err != nil {
		return err
	}
	hash, digest, err := options.digest(call.InitOptions.HashFunc, os.Stdin)
	if err != nil {
		return err
	}
	algorithm, err := made.Algorithm(hash, len(digest))
	if err != nil {
		return err
	}
	if options.RPCOptions.RemoteVerification {
		_, err := c.Verify(ctx, &api.VerifyRequest{KeyTarget: target(made.Key().KeyId), Message: digest, MessageType: api.Digest,
			Signature: call.VerifySignature.Signature, SigningAlgorithm: algorithm})
		return err
	}
	key, err := parsePublicKey(made.Key().PublicKey)
	if err != nil {
		return err
	}
	good, err := key.verify(algorithm, digest, call.VerifySignature.Signature)
	if err == nil && !good {
		err = &noError{errors.New("the signature is not good")}
	}
	return err
}

// kmsKey is the key that the call names, in the version that it asks for.
func (a *app) kmsKey(ctx context.Context, call *kmsCall, options *kmsOptions) (*client.Client, *client.Signer, error) {
	c, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	made, err := client.NewSigner(ctx, c, call.InitOptions.KeyResourceID)
	if err != nil {
		return nil, nil, err
	}
	if v := options.RPCOptions.KeyVersion; v != "" && v != strconv.Itoa(made.Key().KeyVersion) {
		return nil, nil, fmt.Errorf("%s is at version %d, and version %s is asked for", made.Key().KeyId, made.Key().KeyVersion, v)
	}
	return c, made, nil
}

// digest is what is signed: given, or of the message.
func (o *kmsOptions) digest(hash crypto.Hash, message io.Reader) (crypto.Hash, []byte, error) {
	if h := o.MessageOptions.HashFunc; h != nil && *h != 0 {
		hash = *h
	}
	switch {
	case !hash.Available() || hash.Size() < crypto.SHA256.Size():
		return 0, nil, fmt.Errorf("the hash %d is none of SHA-256, SHA-384 and SHA-512, which the keys of the gateway sign", uint(hash))
	case len(o.MessageOptions.Digest) > 0:
		return hash, o.MessageOptions.Digest, nil
	}
	h := hash.New()
	if _, err := io.Copy(h, message); err != nil {
		return 0, nil, err
	}
	return hash, h.Sum(nil), nil
}
