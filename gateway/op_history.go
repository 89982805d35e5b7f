package gateway

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"math/big"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// ListPublicKeys tells the public keys of all versions with the times in which
// each is used, the announced one too: whoever fetches them at least once in an
// overlap never meets a signature that he cannot check.
func (s *Service) ListPublicKeys(_ context.Context, c *Call, _ *api.ListPublicKeysRequest) (*api.ListPublicKeysResponse, *api.Error) {
	if err := hasPublicKey(c); err != nil {
		return nil, err
	}
	current, err := s.current(c)
	if err != nil {
		return nil, err
	}
	return publicKeys(c.key, c.record.KeyARN, current.Number), nil
}

func hasPublicKey(c *Call) *api.Error {
	if isSecret(api.KeySpec(c.key.Spec)) {
		return api.Errorf(api.UnsupportedOperation, "%s is a key of spec %s, which has no public key.", c.record.KeyARN, c.key.Spec)
	}
	return nil
}

// publicKeys are those of all versions. name is what the key is called in them.
func publicKeys(k *store.Key, name string, current int) *api.ListPublicKeysResponse {
	out := &api.ListPublicKeysResponse{KeyId: name, KeySpec: api.KeySpec(k.Spec), KeyUsage: api.KeyUsage(k.Usage), Keys: []api.PublicKeyVersion{}}
	for _, v := range k.Versions {
		if v.PublicKey == nil || v.CurrentAt.IsZero() {
			continue
		}
		p := api.PublicKeyVersion{KeyVersion: v.Number, Kid: materialID(v), PublicKey: v.PublicKey, NotBefore: api.NewTime(v.CurrentAt), State: api.CurrentVersion}
		switch {
		case v.Number > current:
			p.State = api.Announced
		case v.Number < current:
			p.State = api.Retired
		}
		if n := len(out.Keys); n > 0 {
			out.Keys[n-1].NotAfter = p.NotBefore
		}
		out.Keys = append(out.Keys, p)
	}
	return out
}

// webAlgorithms are the JSON Web Algorithms (RFC 7518, 8037, 8812) by which keys
// sign their history.
var webAlgorithms = map[api.KeySpec]struct {
	name      string
	algorithm api.SigningAlgorithm
	half      int // bytes of r and of s; 0: not ECDSA
}{
	api.RSA2048: {"RS256", api.PKCS1SHA256, 0},
	api.RSA3072: {"RS256", api.PKCS1SHA256, 0},
	api.RSA4096: {"RS256", api.PKCS1SHA256, 0},
	api.P256:    {"ES256", api.ECDSASHA256, 32},
	api.P384:    {"ES384", api.ECDSASHA384, 48},
	api.P521:    {"ES512", api.ECDSASHA512, 66},
	api.P256K1:  {"ES256K", api.ECDSASHA256, 32},
	api.Ed25519: {"EdDSA", api.Ed25519SHA512, 0},
}

// historyType keeps a key history from being taken for a token of another kind
// (RFC 8725, 3.11).
const historyType = "key-history+jws"

// GetKeyHistory tells the same in a document that the current version signs.
func (s *Service) GetKeyHistory(ctx context.Context, c *Call, _ *api.GetKeyHistoryRequest) (*api.GetKeyHistoryResponse, *api.Error) {
	if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
		return nil, err
	}
	web, ok := webAlgorithms[api.KeySpec(c.key.Spec)]
	if !ok {
		return nil, api.Errorf(api.UnsupportedOperation, "A key of spec %s signs no JSON document. Use ListPublicKeys.", c.key.Spec)
	}
	token, key, err := s.currentPair(c)
	if err != nil {
		return nil, err
	}
	v, _ := c.key.Version(c.record.KeyVersion)
	doc, err := s.history(c, web.name, materialID(v))
	if err != nil {
		return nil, err
	}
	input, err := messageInput([]byte(doc.Protected+"."+doc.Payload), api.Raw, web.algorithm)
	if err != nil {
		return nil, err
	}
	mechanism := mechanisms[web.algorithm]
	c.record.Algorithm, c.record.MessageType, c.record.Digest = string(web.algorithm), string(api.Raw), digestOf(mechanism, input)
	if err := s.takeUse(ctx, c); err != nil {
		return nil, err
	}
	signature, cause := token.Sign(ctx, key, mechanism, input)
	if cause == nil && web.half > 0 {
		signature, cause = rawECDSA(signature, web.half)
	}
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	sum := sha256.Sum256(signature)
	c.record.SignatureHash = named(crypto.SHA256, sum[:])
	doc.Signature = b64(signature)
	return doc, nil
}

// history is the document without its signature.
func (s *Service) history(c *Call, algorithm, kid string) (*api.GetKeyHistoryResponse, *api.Error) {
	set, cause := NewWebKeySet(publicKeys(c.key, c.record.KeyARN, c.record.KeyVersion))
	set.Iat = s.now().Unix()
	payload, err := json.Marshal(set)
	header, err2 := json.Marshal(map[string]string{"alg": algorithm, "kid": kid, "typ": historyType})
	if cause = errors.Join(cause, err, err2); cause != nil {
		return nil, internal(c.RequestID, cause)
	}
	return &api.GetKeyHistoryResponse{Payload: b64(payload), Protected: b64(header)}, nil
}

// rawECDSA turns the DER of ECDSA-Sig-Value into r || s, as JOSE has it (RFC 7518,
// 3.4), each of so many bytes.
func rawECDSA(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}
