package hsm

import "fmt"

// State says whether the token has an ability.
type State string

// The states of an Ability. Unknown: the token refuses the throw-away session keys of the self-test, so nobody knows before the first use.
const (
	Yes     State = "yes"
	No      State = "no"
	Unknown State = "unknown"
)

// Ability is one thing that the self-test tried.
type Ability struct {
	Name   string `json:"name"` // a key spec, a signing or an encryption algorithm in the words of the KMS API: "RSA_2048", "RSASSA_PSS_SHA_256"
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"` // how it works, or what the token answered
	Advice string `json:"advice,omitempty"` // what to do where it is missing, or works in a way to know of
}

// Abilities says what the self-test found, in a fixed order: key specs, signing algorithms, encryption algorithms, MACs, ECDH
// by curve, random numbers.
func (t *Token) Abilities() []Ability {
	if tests := t.tests.Load(); tests != nil {
		return append([]Ability{}, tests.list...)
	}
	return nil
}

// Supports is nil when the token can make keys of this spec for this use, or does not let itself be tested (Unknown). ErrInvalid: the two do not
// go together; ErrUnsupported: the token cannot.
func (t *Token) Supports(spec KeySpec, use Use) error {
	rsa := rsaBits[spec] != 0
	if secretKinds[spec] != nil || use == UseCipher || use == UseMAC {
		return t.supportsSecret(spec, use)
	}
	switch {
	case !rsa && ecParams[spec] == nil && spec != Edwards25519 && parameterSets[spec] == nil:
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: fmt.Sprintf("there is no key spec %q", string(spec))}
	case use != UseSign && use != UseDecrypt && use != UseAgree && use != UseDecapsulate:
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: fmt.Sprintf("there is no use %d", use)}
	case use == UseDecrypt && !rsa:
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: fmt.Sprintf("a key of type %s cannot decrypt", spec)}
	case use == UseAgree && curves[spec] == nil:
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: fmt.Sprintf("a key of type %s cannot agree on a secret", spec)}
	case isKEM(spec) != (use == UseDecapsulate):
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: "UseDecapsulate is for ML-KEM, and ML-KEM for nothing else"}
	}
	if err := t.able(string(spec)); err != nil || use == UseSign || use == UseDecapsulate {
		return err
	}
	if use == UseAgree {
		return t.able(agreeName(spec))
	}
	if err := t.able(oaepSHA256); err == nil {
		return nil
	}
	return t.able(oaepSHA1)
}

// SupportsSign is nil when the token can sign by m with a key of this spec, or does not let itself be tested (Unknown); ErrInvalid when the two
// do not go together, ErrUnsupported otherwise. Ed25519ph must have been seen to work: a token may ignore the parameter and sign the digest by
// plain Ed25519.
func (t *Token) SupportsSign(spec KeySpec, m SignMechanism) error {
	if m.Scheme == MLDSAMu && isMLDSA(spec) {
		return externalMu("supports", make([]byte, muSize))
	}
	if signers[signerKey{spec, m}] == nil {
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: fmt.Sprintf("%s is no mechanism for a key of type %s", m, spec)}
	}
	if tests := t.tests.Load(); m.Scheme == Ed25519ph && tests != nil && tests.byName[abilityName(spec, m)].State != Yes {
		return &Error{Kind: ErrUnsupported, Op: "supports", Detail: "the token has not been seen to sign by " + m.String(), Advice: "use ED25519_SHA_512"}
	}
	return t.able(abilityName(spec, m))
}

// The names of the encryption algorithms.
const (
	oaepSHA1   = "RSAES_OAEP_SHA_1"
	oaepSHA256 = "RSAES_OAEP_SHA_256"
)

// abilityName: two curves sign ECDSA_SHA_256, three parameter sets ML_DSA_SHAKE_256, and a token may do the one and not the other.
func abilityName(spec KeySpec, m SignMechanism) string {
	if m.Scheme == ECDSA || m.Scheme == MLDSA {
		return m.String() + " (" + string(spec) + ")"
	}
	return m.String()
}

func (t *Token) able(name string) error {
	tests := t.tests.Load()
	if tests == nil {
		return nil
	}
	a, ok := tests.byName[name]
	if !ok || a.State != No {
		return nil
	}
	return &Error{Kind: ErrUnsupported, Op: "supports", Detail: name + ": " + a.Detail, Advice: a.Advice}
}
