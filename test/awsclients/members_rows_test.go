package awsclients

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"reflect"
	"testing"
)

const (
	box  = "SYMMETRIC_DEFAULT"
	pair = "ECC_NIST_P256"
	mac  = "HMAC_256"
	// lattice is a public key that the gateway made for others: SoftHSM has none of
	// the kind.
	lattice = "ML_KEM_768"
)

var (
	tenant   = map[string]string{"tenant": "one"}
	message  = []byte("a message")
	hashed   = sha256.Sum256(message)
	sealing  = params{"EncryptionAlgorithm": box, "EncryptionContext": tenant}
	changing = params{"SourceEncryptionAlgorithm": box, "SourceEncryptionContext": tenant, "DestinationEncryptionAlgorithm": box,
		"DestinationEncryptionContext": map[string]string{"tenant": "two"}}
	signing = params{"Message": hashed[:], "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
	macking = params{"Message": message, "MacAlgorithm": "HMAC_SHA_256"}
)

func onKey(members params) func(*testing.T, *bench, string) params {
	return func(_ *testing.T, _ *bench, arn string) params { return with(members, params{"KeyId": arn}) }
}

// sealed is the message, encrypted by the administrator.
func sealed(t *testing.T, b *bench, arn string) []byte {
	t.Helper()
	return b.must(t, b.admin, "Encrypt", with(sealing, params{"KeyId": arn, "Plaintext": message})).blob(t, "CiphertextBlob")
}

// opens decrypts an answer's ciphertext, under its context and no other.
func opens(t *testing.T, b *bench, key, context any, ciphertext []byte) (plaintext []byte) {
	t.Helper()
	open := with(sealing, params{"KeyId": key, "CiphertextBlob": ciphertext, "EncryptionContext": context})
	plaintext = b.must(t, b.admin, "Decrypt", open).blob(t, "Plaintext")
	open["EncryptionContext"] = map[string]string{"tenant": "none"}
	if err := b.refused(t, b.admin, "Decrypt", open); err.code != "InvalidCiphertextException" {
		t.Errorf("under another context: %v", err)
	}
	return plaintext
}

// dataKey is the row of an operation that makes a key of so many bytes.
func dataKey(op string, size int, members params) granted {
	return granted{op: op, spec: box, usage: "ENCRYPT_DECRYPT", in: onKey(with(members, params{"EncryptionContext": tenant})),
		check: func(t *testing.T, b *bench, in params, out result) {
			key := opens(t, b, in["KeyId"], tenant, out.blob(t, "CiphertextBlob"))
			hidden := op == "GenerateDataKeyWithoutPlaintext"
			if len(key) != size || hidden != (out["Plaintext"] == nil) || !hidden && !bytes.Equal(out.blob(t, "Plaintext"), key) {
				t.Errorf("a key of %d bytes: %v", len(key), out)
			}
		}}
}

// dataPair is the row of an operation that makes a key pair on P-384.
func dataPair(op string) granted {
	return granted{op: op, spec: box, usage: "ENCRYPT_DECRYPT", in: onKey(params{"KeyPairSpec": "ECC_NIST_P384", "EncryptionContext": tenant}),
		check: func(t *testing.T, b *bench, in params, out result) {
			private := opens(t, b, in["KeyId"], tenant, out.blob(t, "PrivateKeyCiphertextBlob"))
			key, err := x509.ParsePKCS8PrivateKey(private)
			must(t, err)
			own, is := key.(*ecdsa.PrivateKey)
			public, err := x509.ParsePKIXPublicKey(out.blob(t, "PublicKey"))
			if err != nil || !is || !own.PublicKey.Equal(public) || own.Curve != elliptic.P384() {
				t.Errorf("the private key is %T, and the public one %v (%v)", key, public, err)
			}
			hidden := op == "GenerateDataKeyPairWithoutPlaintext"
			if hidden != (out["PrivateKeyPlaintext"] == nil) || !hidden && !bytes.Equal(out.blob(t, "PrivateKeyPlaintext"), private) {
				t.Errorf("%v", out)
			}
		}}
}

// agreement has a peer who computes the same secret in Go.
func agreement() granted {
	peer, _ := ecdh.P256().GenerateKey(rand.Reader)
	spki, _ := x509.MarshalPKIXPublicKey(peer.Public())
	return granted{op: "DeriveSharedSecret", spec: pair, usage: "KEY_AGREEMENT", in: onKey(params{"KeyAgreementAlgorithm": "ECDH", "PublicKey": spki}),
		check: func(t *testing.T, b *bench, in params, out result) {
			public, err := x509.ParsePKIXPublicKey(b.must(t, b.admin, "GetPublicKey", params{"KeyId": in["KeyId"]}).blob(t, "PublicKey"))
			must(t, err)
			point, err := public.(*ecdsa.PublicKey).ECDH()
			must(t, err)
			if secret, err := peer.ECDH(point); err != nil || !bytes.Equal(out.blob(t, "SharedSecret"), secret) {
				t.Errorf("%v: %v", err, out)
			}
		}}
}

var allGranted = []granted{
	{op: "DescribeKey", spec: box, usage: "ENCRYPT_DECRYPT", in: onKey(params{}), check: func(t *testing.T, _ *bench, in params, out result) {
		if m := out.object(t, "KeyMetadata"); m["Arn"] != in["KeyId"] {
			t.Errorf("%v", m)
		}
	}},
	{op: "GetPublicKey", spec: pair, usage: "SIGN_VERIFY", in: onKey(params{}), check: func(t *testing.T, _ *bench, in params, out result) {
		if out["KeyId"] != in["KeyId"] || len(out.blob(t, "PublicKey")) == 0 {
			t.Errorf("%v", out)
		}
	}},
	{op: "Encrypt", spec: box, usage: "ENCRYPT_DECRYPT", in: onKey(with(sealing, params{"Plaintext": message})), check: func(t *testing.T, b *bench, in params, out result) {
		if got := opens(t, b, in["KeyId"], tenant, out.blob(t, "CiphertextBlob")); !bytes.Equal(got, message) {
			t.Errorf("decrypted to %q", got)
		}
	}},
	{op: "Decrypt", spec: box, usage: "ENCRYPT_DECRYPT", in: func(t *testing.T, b *bench, arn string) params {
		return with(sealing, params{"KeyId": arn, "CiphertextBlob": sealed(t, b, arn)})
	}, check: func(t *testing.T, _ *bench, in params, out result) {
		if !bytes.Equal(out.blob(t, "Plaintext"), message) || out["KeyId"] != in["KeyId"] {
			t.Errorf("%v", out)
		}
	}},
	{op: "ReEncrypt", spec: box, usage: "ENCRYPT_DECRYPT", operations: "ReEncryptFrom ReEncryptTo", in: func(t *testing.T, b *bench, arn string) params {
		return with(changing, params{"SourceKeyId": arn, "DestinationKeyId": arn, "CiphertextBlob": sealed(t, b, arn)})
	}, check: func(t *testing.T, b *bench, in params, out result) {
		if got := opens(t, b, in["DestinationKeyId"], in["DestinationEncryptionContext"], out.blob(t, "CiphertextBlob")); !bytes.Equal(got, message) {
			t.Errorf("decrypted to %q", got)
		}
	}},
	dataKey("GenerateDataKey", 16, params{"KeySpec": "AES_128"}),
	dataKey("GenerateDataKey", 63, params{"NumberOfBytes": 63}),
	dataKey("GenerateDataKeyWithoutPlaintext", 16, params{"KeySpec": "AES_128"}),
	dataKey("GenerateDataKeyWithoutPlaintext", 63, params{"NumberOfBytes": 63}),
	dataPair("GenerateDataKeyPair"),
	dataPair("GenerateDataKeyPairWithoutPlaintext"),
	{op: "GenerateMac", spec: mac, usage: "GENERATE_VERIFY_MAC", in: onKey(macking), check: func(t *testing.T, b *bench, in params, out result) {
		b.must(t, b.admin, "VerifyMac", with(in, params{"Mac": out.blob(t, "Mac")}))
	}},
	{op: "VerifyMac", spec: mac, usage: "GENERATE_VERIFY_MAC", in: func(t *testing.T, b *bench, arn string) params {
		in := with(macking, params{"KeyId": arn})
		return with(in, params{"Mac": b.must(t, b.admin, "GenerateMac", in).blob(t, "Mac")})
	}, check: func(t *testing.T, _ *bench, _ params, out result) {
		if out["MacValid"] != true {
			t.Errorf("%v", out)
		}
	}},
	{op: "Sign", spec: pair, usage: "SIGN_VERIFY", in: onKey(signing), check: func(t *testing.T, b *bench, in params, out result) {
		spki := b.must(t, b.admin, "GetPublicKey", params{"KeyId": in["KeyId"]}).blob(t, "PublicKey")
		if err := opensslVerifies(t, "ECDSA_SHA_256", spki, message, out.blob(t, "Signature")); err != nil {
			t.Error(err)
		}
	}},
	{op: "Verify", spec: pair, usage: "SIGN_VERIFY", in: func(t *testing.T, b *bench, arn string) params {
		in := with(signing, params{"KeyId": arn})
		return with(in, params{"Signature": b.must(t, b.admin, "Sign", in).blob(t, "Signature")})
	}, check: func(t *testing.T, _ *bench, _ params, out result) {
		if out["SignatureValid"] != true {
			t.Errorf("%v", out)
		}
	}},
	agreement(),
	{op: "Encapsulate", spec: lattice, in: onKey(params{"EncapsulationAlgorithm": "ML_KEM"}), check: func(t *testing.T, _ *bench, _ params, out result) {
		if len(out.blob(t, "SharedSecret")) != 32 || len(out.blob(t, "SharedSecretCiphertextBlob")) != 1088 {
			t.Errorf("%v", out)
		}
	}},
	// SoftHSM has no ML-KEM keys. What the gateway can tell without the token, it
	// tells: who may not, and that this token cannot.
	{op: "Decapsulate", spec: lattice, code: unsupported, in: onKey(params{"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": make([]byte, 1088)})},
	{op: "CreateGrant", spec: box, usage: "ENCRYPT_DECRYPT", operations: "CreateGrant Encrypt", in: func(_ *testing.T, b *bench, arn string) params {
		who, _ := b.caller()
		return params{"KeyId": arn, "GranteePrincipal": who, "RetiringPrincipal": who, "Operations": []string{"Encrypt"}, "Name": "handed-on",
			"Constraints": params{"EncryptionContextEquals": tenant}}
	}, check: func(t *testing.T, b *bench, in params, out result) {
		g := b.onlyGrant(t, params{"KeyId": in["KeyId"], "GrantId": out.str(t, "GrantId")})
		if g["GranteePrincipal"] != in["GranteePrincipal"] || g["RetiringPrincipal"] != in["RetiringPrincipal"] || g["Name"] != "handed-on" ||
			!reflect.DeepEqual(g["Operations"], []any{"Encrypt"}) || g.object(t, "Constraints").object(t, "EncryptionContextEquals")["tenant"] != "one" {
			t.Errorf("%v", g)
		}
	}},
}
