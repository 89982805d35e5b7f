package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Imported is what Import put into the token.
type Imported struct {
	Public  []byte // of a key pair: DER of SubjectPublicKeyInfo, for NewKey
	Check   []byte // of a secret key: its check value, for NewSecret
	InToken bool   // the material was unwrapped inside the token; false: it passed through this process's memory
}

// Import puts key material into the token under this CKA_ID and label, protected like a key that was made there: SENSITIVE, not EXTRACTABLE, for one
// use, all of it read back. wrapping is a key of GenerateWrapping, and wrapped the material under its public key. The material of Symmetric is 32
// bytes, of HMAC_224 and so on 28, 32, 48 or 64; that of a key pair is the DER of its PKCS#8 (RFC 5958), for RSA by WrapAESSHA1 or
// WrapAESSHA256 only. The new key is used once and the result checked, before Import returns.
//
// The token unwraps by itself where it can. Where it cannot (SoftHSM by SHA-256), allowMemory has it decrypt here and make the key of what comes out,
// so that the material is in this process's memory for a moment; it is cleared afterwards. Without allowMemory that is ErrUnsupported.
//
// Errors: ErrInvalid (spec, use, size, curve or form of the material do not go together; a CKA_ID in use), ErrBadCiphertext, the same for everything
// that can be wrong with wrapped, ErrUnsupported, ErrUnprotected, and those of Generate. On an error nothing is left in the token.
func (t *Token) Import(ctx context.Context, wrapping *Key, how WrapAlgorithm, wrapped []byte, spec KeySpec, use Use, id []byte, label string,
	allowMemory bool) (Imported, error) {
	return t.ImportAgain(ctx, wrapping, how, wrapped, spec, use, id, label, allowMemory, nil)
}

// ImportAgain is Import of material that was here before and whose check value was this, nil of a key pair. It is kept in the token as it was then,
// whatever Config.WithoutGCM says by now, so that it undoes what it did. Whether it is the same material, SameSecret tells.
func (t *Token) ImportAgain(ctx context.Context, wrapping *Key, how WrapAlgorithm, wrapped []byte, spec KeySpec, use Use, id []byte, label string,
	allowMemory bool, check []byte) (Imported, error) {
	pub, err := importable(wrapping, how, spec)
	if err != nil {
		return Imported{}, err
	}
	kept, use, err := t.kept(spec, use, check)
	if err != nil {
		return Imported{}, withOp("import", err)
	}
	if !wellFormed(pub, how, wrapped) {
		return Imported{}, errMaterial()
	}
	g, err := t.current("import")
	if err != nil {
		return Imported{}, err
	}
	b, err := t.resolve(ctx, g, wrapping)
	if err != nil {
		return Imported{}, withOp("import", err)
	}
	i := &importer{t: t, key: b.handle, pub: pub, how: how, hash: wrapHash[how], wrapped: bytes.Clone(wrapped), memory: allowMemory, spec: spec,
		m: template{spec: kept, use: use, id: bytes.Clone(id), label: label, token: true, omit: t.omitted(), foreign: true, keyType: t.secretType(kept)}}
	err = t.create(ctx, callImport, id, label, func(now *generation, s *session) error {
		if now != g {
			return t.unavailable("import") // the handle of the wrapping key is of another life
		}
		i.g, i.s = g, s
		return i.run()
	})
	if err != nil {
		return Imported{}, withOp("import", err)
	}
	return i.out, nil
}

// importable checks what does not need the token.
func importable(wrapping *Key, how WrapAlgorithm, spec KeySpec) (*rsa.PublicKey, error) {
	bad := func(detail string) (*rsa.PublicKey, error) {
		return nil, &Error{Kind: ErrInvalid, Op: "import", Detail: detail}
	}
	pub, ok := wrapping.pub.(*rsa.PublicKey)
	switch {
	case !ok:
		return bad("the wrapping key has to be an RSA key")
	case wrapHash[how] == 0:
		return bad(fmt.Sprintf("there is no wrapping algorithm %q", string(how)))
	case parameterSets[spec] != nil:
		return bad(fmt.Sprintf("keys of type %s cannot be imported", spec))
	case rsaBits[spec] != 0 && !wrapAES[how]:
		return bad(fmt.Sprintf("an RSA private key is too long for %s: use RSA_AES_KEY_WRAP_SHA_256 or RSA_AES_KEY_WRAP_SHA_1", how))
	}
	return pub, nil
}

// maxWrapped is well above the wrapped PKCS#8 of an RSA key of 4096 bits.
const maxWrapped = 8 << 10

// wellFormed: the parts have their lengths and the number is below the modulus.
func wellFormed(pub *rsa.PublicKey, how WrapAlgorithm, wrapped []byte) bool {
	size := pub.Size()
	if len(wrapped) < size || len(wrapped) > maxWrapped || bytes.Compare(wrapped[:size], pub.N.FillBytes(make([]byte, size))) >= 0 {
		return false
	}
	rest := len(wrapped) - size
	if !wrapAES[how] {
		return rest == 0
	}
	return rest >= 16 && rest%8 == 0
}

// errMaterial is the one answer for everything that can be wrong with the wrapping: see unpadOAEP.
func errMaterial() *Error { return &Error{Kind: ErrBadCiphertext, Op: "import"} }

// errCannot: the token cannot do it by itself, whatever the material is.
var errCannot = errors.New("the token cannot import it by itself")

// cannot says why.
func cannot(why string) error { return fmt.Errorf("%w: %s", errCannot, why) }

// importer is one import, in the hands of one worker.
type importer struct {
	t       *Token
	g       *generation
	s       *session
	key     uint // the handle of the wrapping key
	pub     *rsa.PublicKey
	how     WrapAlgorithm
	hash    crypto.Hash
	wrapped []byte
	memory  bool
	spec    KeySpec // as the caller calls it; m has what it is kept as
	m       template
	out     Imported
}

func (i *importer) invalid(format string, args ...any) error {
	return &Error{Kind: ErrInvalid, Op: "import", Detail: fmt.Sprintf(format, args...)}
}

// run imports, and leaves nothing behind when it fails.
func (i *importer) run() (err error) {
	e, err := i.s.lookUp(i.m.id) // which also finds out a session that is dead, before there is anything to undo
	if err != nil {
		return err
	}
	if e != nil {
		return i.invalid("the CKA_ID %s is in use", hex.EncodeToString(i.m.id))
	}
	defer func() {
		if err != nil {
			err = i.t.afterFailure(i.g, i.s, i.m.id, err)
		}
	}()
	err = i.inside()
	if !errors.Is(err, errCannot) {
		i.out.InToken = err == nil
		return err
	}
	if !i.memory {
		advice, lost := i.instead()
		if lost != nil {
			return lost
		}
		return &Error{Kind: ErrUnsupported, Op: "import", Detail: fmt.Sprintf("%s by %s: %v", i.spec, i.how, err), Advice: advice}
	}
	if err := i.s.clear(i.m.id); err != nil {
		return err
	}
	return i.outside()
}

// finish protects the new key, completes a pair with its public key, and proves that it works. pub is nil where the token has to show it, seen
// is whether the material was: then its length is right.
func (i *importer) finish(h pkcs11.ObjectHandle, pub crypto.PublicKey, seen bool) (err error) {
	if err := i.protect(h); err != nil {
		return err
	}
	if secretKinds[i.m.spec] != nil {
		return i.finishSecret(h, seen)
	}
	if pub == nil {
		if pub, err = i.learn(h); err != nil {
			return err
		}
	}
	if got := specOf(pub); got != i.m.spec {
		return i.invalid("the material is a key of type %q, not %s", got, i.m.spec)
	}
	if err := i.createPublic(pub); err != nil {
		return err
	}
	e, err := i.s.lookUp(i.m.id)
	if err != nil {
		return err
	}
	if !i.m.madeIn(e) {
		return &Error{Kind: ErrFailed, Op: "import", Detail: "the token does not show the one private and the one public key that were imported"}
	}
	if err := i.prove(uint(e.private[0]), pub); err != nil {
		return err
	}
	if i.out.Public, err = marshalPublic(pub); err != nil {
		return &Error{Kind: ErrFailed, Op: "import", Detail: "public key: " + err.Error()}
	}
	i.g.index.put(i.m.id, e)
	return nil
}

func (i *importer) finishSecret(h pkcs11.ObjectHandle, seen bool) error {
	size, err := i.s.attribute(h, pkcs11.CKA_VALUE_LEN)
	switch c := classify(rvOf(err)); {
	case c == classLost || c == classSession || c == classKeyGone:
		return err
	case ulong(size) == 0 && !seen: // SoftHSM: nobody would know whether the material has the right length
		return cannot("it does not tell how long a secret is that it unwrapped")
	case ulong(size) != 0 && int(ulong(size)) != secretKinds[i.m.spec].size:
		return i.invalid("the material has %d bytes; %s takes %d", ulong(size), i.spec, secretKinds[i.m.spec].size)
	}
	e, err := i.s.lookUp(i.m.id)
	if err != nil {
		return err
	}
	if !i.m.madeIn(e) {
		return &Error{Kind: ErrFailed, Op: "import", Detail: "the token does not show the one secret key that was imported"}
	}
	if i.out.Check, err = i.t.checkValue(i.s, h, &i.m); err != nil {
		return err
	}
	i.g.index.put(i.m.id, e)
	return nil
}

// protect reads back what protects the key. Where the token did otherwise (opencryptoki takes no notice of CKA_SENSITIVE in C_UnwrapKey), it is
// told once more.
func (i *importer) protect(h pkcs11.ObjectHandle) error {
	err := i.t.readBack(i.s, h, &i.m)
	if !errors.Is(err, ErrUnprotected) {
		return err
	}
	for _, w := range protection(&i.m) {
		if ok, _, err := i.s.shows(h, w); err == nil && !ok {
			_ = i.s.ctx.SetAttributeValue(i.s.h, h, []*pkcs11.Attribute{pkcs11.NewAttribute(w.typ, w.want)}) // the reading decides
		}
	}
	return i.t.readBack(i.s, h, &i.m)
}

// prove uses the key once. What a token unwrapped nobody else has seen, so that material whose numbers do not go together is found out here.
func (i *importer) prove(h uint, pub crypto.PublicKey) error {
	wrong := i.invalid("what the imported key computes does not go with its public key")
	switch i.m.use {
	case UseSign:
		m := signMechanisms(i.m.spec)[0]
		in := bytes.Repeat([]byte{0xA5}, inputSize(m))
		sig, rv := i.s.trySign(h, signers[signerKey{i.m.spec, m}], in)
		if rv != pkcs11.CKR_OK {
			return i.unusable(pkcs11.Error(rv))
		}
		if m.Scheme == ECDSA {
			sig = derSignature(sig)
		}
		if sig == nil || !verify(pub, m, in, sig) {
			return wrong
		}
	case UseDecrypt:
		want := []byte("hsmgate: is this the key?")
		hash := crypto.SHA256
		if i.t.able(oaepSHA256) != nil {
			hash = crypto.SHA1
		}
		ct, err := (&Key{ref: ref{spec: i.m.spec}, pub: pub}).Encrypt(hash, want)
		if err != nil {
			return err
		}
		got, err := i.t.openOAEP(i.s, h, hash, ct)
		if err != nil {
			return i.unusable(err)
		}
		if !bytes.Equal(got, want) {
			return wrong
		}
	case UseAgree:
		point, err := pub.(*ecdsa.PublicKey).ECDH()
		if err != nil {
			return wrong
		}
		same, err := i.t.proveAgree(i.s, h, point)
		if err != nil {
			return i.unusable(err)
		}
		if !same {
			return wrong
		}
	}
	return nil
}

// unusable is for a key that the token took and cannot use. A token that is gone has another cause.
func (i *importer) unusable(err error) error {
	if c := classify(rvOf(err)); c == classLost || c == classSession || c == classKeyGone {
		return err
	}
	return i.invalid("the token cannot use the key that is in it (%v)", err)
}

// createPublic makes the public object of the pair. Its point is the DER of an OCTET STRING, or as it is: opencryptoki wants that of Ed25519.
func (i *importer) createPublic(pub crypto.PublicKey) error {
	point := pointBytes(pub)
	forms := [][]byte{mustDER(point), point}
	if point == nil {
		forms = [][]byte{nil} // RSA
	}
	var err error
	for _, form := range forms {
		_, err = i.place(func(v *template) (pkcs11.ObjectHandle, error) { return i.s.create(v.publicObject(pub, form)) }, false)
		if err == nil || stops(err) {
			return err
		}
	}
	return err
}

// publicObject is the template of a public key that exists.
func (t *template) publicObject(pub crypto.PublicKey, point []byte) []*pkcs11.Attribute {
	a := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, t.pairType())}
	for _, x := range t.public() {
		if x.Type != pkcs11.CKA_MODULUS_BITS && x.Type != pkcs11.CKA_PUBLIC_EXPONENT {
			a = append(a, x)
		}
	}
	if k, ok := pub.(*rsa.PublicKey); ok {
		return append(a, pkcs11.NewAttribute(pkcs11.CKA_MODULUS, k.N.Bytes()), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, exponent(k)))
	}
	return append(a, pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, point))
}

// pairType is the CKA_KEY_TYPE of a pair that can be imported.
func (t *template) pairType() uint {
	switch {
	case rsaBits[t.spec] != 0:
		return pkcs11.CKK_RSA
	case t.spec == Edwards25519:
		return ckkECEdwards
	}
	return pkcs11.CKK_EC
}
