package awsclients

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// importMaterial drives the three operations of an import with all their members.
func importMaterial(t *testing.T, g *gatewaytest.Gateway, c *kms.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	must(err)
	if m := made.KeyMetadata; m.KeyState != types.KeyStatePendingImport || m.Enabled || m.Origin != types.OriginTypeExternal || m.CurrentKeyMaterialId != nil || m.ExpirationModel != "" {
		t.Errorf("%+v", m)
	}
	id := made.KeyMetadata.KeyId
	p, err := c.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: id, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha1, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	must(err)
	if *p.KeyId != *made.KeyMetadata.Arn || time.Until(*p.ParametersValidTo).Round(time.Hour) != 24*time.Hour {
		t.Errorf("%+v", p)
	}
	wrap := func(material []byte) []byte {
		t.Helper()
		pub, err := x509.ParsePKIXPublicKey(p.PublicKey)
		must(err)
		wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, pub.(*rsa.PublicKey), material, nil)
		must(err)
		return wrapped
	}
	until := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Second)
	first := &kms.ImportKeyMaterialInput{
		KeyId: id, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrap(bytes.Repeat([]byte{1}, 32)), ExpirationModel: types.ExpirationModelTypeKeyMaterialExpires,
		ValidTo: aws.Time(until), ImportType: types.ImportTypeNewKeyMaterial, KeyMaterialDescription: aws.String("the first"),
	}
	in, err := c.ImportKeyMaterial(ctx, first)
	must(err)
	described, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: id})
	must(err)
	if m := described.KeyMetadata; m.KeyState != types.KeyStateEnabled || !m.ValidTo.Equal(until) || m.ExpirationModel != types.ExpirationModelTypeKeyMaterialExpires || *m.CurrentKeyMaterialId != *in.KeyMaterialId || *in.KeyId != *m.Arn {
		t.Errorf("%+v %+v", m, in)
	}
	second := *first
	second.EncryptedKeyMaterial, second.ExpirationModel, second.ValidTo = wrap(bytes.Repeat([]byte{2}, 32)), types.ExpirationModelTypeKeyMaterialDoesNotExpire, nil
	second.KeyMaterialDescription = aws.String("the second")
	next, err := c.ImportKeyMaterial(ctx, &second)
	must(err)
	_, err = c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: id})
	must(err)
	listed, err := c.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: id, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
	must(err)
	if r := listed.Rotations; len(r) != 2 || r[0].KeyMaterialState != types.KeyMaterialStateNonCurrent || *r[0].KeyMaterialDescription != "the first" || r[0].ImportState != types.ImportStateImported ||
		r[1].KeyMaterialState != types.KeyMaterialStateCurrent || *r[1].KeyMaterialId != *next.KeyMaterialId || r[1].RotationType != types.RotationTypeOnDemand {
		t.Errorf("%+v", r)
	}
	gone, err := c.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: id, KeyMaterialId: next.KeyMaterialId})
	must(err)
	if *gone.KeyMaterialId != *next.KeyMaterialId || *gone.KeyId != *in.KeyId {
		t.Errorf("%+v", gone)
	}
	back := second
	back.ImportType, back.KeyMaterialId = types.ImportTypeExistingKeyMaterial, next.KeyMaterialId
	back.EncryptedKeyMaterial = wrap(bytes.Repeat([]byte{3}, 32))
	var wrong *types.IncorrectKeyMaterialException
	if _, err := c.ImportKeyMaterial(ctx, &back); !errors.As(err, &wrong) {
		t.Errorf("other material: %v", err)
	}
	var token *types.InvalidImportTokenException
	foreign := back
	foreign.ImportToken = bytes.Repeat([]byte{7}, 64)
	if _, err := c.ImportKeyMaterial(ctx, &foreign); !errors.As(err, &token) {
		t.Errorf("another token: %v", err)
	}
	back.EncryptedKeyMaterial = wrap(bytes.Repeat([]byte{2}, 32))
	again, err := c.ImportKeyMaterial(ctx, &back)
	must(err)
	if *again.KeyMaterialId != *next.KeyMaterialId {
		t.Errorf("%+v", again)
	}
	importPair(t, g, c)
}

// importPair imports a key pair, which signs.
func importPair(t *testing.T, g *gatewaytest.Gateway, c *kms.Client) {
	t.Helper()
	ctx := t.Context()
	pair := newOpenSSLKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	pkcs8, refused := openssl(t, map[string][]byte{"key": pair.private}, "pkcs8", "-topk8", "-nocrypt", "-in", "key", "-outform", "DER", "-out", "OUT")
	if refused != nil {
		t.Fatal(refused)
	}
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternal, KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	p, err := c.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: id, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha1, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(p.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, pub.(*rsa.PublicKey), pkcs8, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImportKeyMaterial(ctx, &kms.ImportKeyMaterialInput{KeyId: id, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrapped, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire}); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("m"))
	signed, err := c.Sign(ctx, &kms.SignInput{KeyId: id, Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParsePKIXPublicKey(pair.spki)
	if err != nil || !ecdsa.VerifyASN1(own.(*ecdsa.PublicKey), digest[:], signed.Signature) {
		t.Errorf("the signature is not one of the key that was imported (%v)", err)
	}
	if r := g.Records(); r[len(r)-1].Operation != "Sign" {
		t.Errorf("%+v", r[len(r)-1])
	}
}
