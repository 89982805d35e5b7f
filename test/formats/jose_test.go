package formats

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

func init() {
	rows = append(rows,
		row{name: "jws", tools: []string{"jose"}, specs: nistAndRSA, make: anyFile, args: []string{"--format", "jws"}, trust: trustJWKS,
			check: func(b *bench, file string) error {
				return b.run("jose", "jws", "ver", "-i", file+".jws", "-I", file, "-k", "keys.jwks")
			}},
		row{name: "jws python", tools: []string{"python3-jwcrypto"}, specs: []api.KeySpec{api.Ed25519, api.RSA2048, api.P256}, args: []string{"--format", "jws"}, trust: trustJWKS,
			make: func(b *bench) string { return b.write("app.txt", strings.Repeat("what is released\n", 100)) },
			check: func(b *bench, file string) error {
				b.write("check.py", jwcrypto)
				return b.run("/usr/bin/python3", "check.py", file, file+".jws")
			}},
		row{name: "cose", tools: []string{"python3-cbor2"}, specs: append([]api.KeySpec{api.Ed25519}, nistAndRSA...), args: []string{"--format", "cose"}, trust: trustPEM,
			make: func(b *bench) string { return b.write("app.txt", strings.Repeat("what is released\n", 100)) },
			check: func(b *bench, file string) error {
				b.write("check.py", pythonCOSE)
				return b.run("/usr/bin/python3", "check.py", file, file+".cose")
			}},
	)
}

// trustJWKS writes the gateway's key set of the key.
func trustJWKS(b *bench) {
	b.write("keys.jwks", b.hsmgate("key", "public-key", b.key, "--format", "jwks"))
}

func trustPEM(b *bench) { b.write("key.pem", b.hsmgate("key", "public-key", b.key, "--format", "pem")) }

// jwcrypto puts the payload back (RFC 7515, appendix F) and finds the key by its kid.
const jwcrypto = `import base64, json, sys
from jwcrypto import jwk, jws
header, empty, signature = open(sys.argv[2]).read().strip().split('.')
assert empty == ''
payload = base64.urlsafe_b64encode(open(sys.argv[1], 'rb').read()).rstrip(b'=').decode()
keys = jwk.JWKSet.from_json(open('keys.jwks').read())
kid = json.loads(base64.urlsafe_b64decode(header + '=='))['kid']
token = jws.JWS()
token.deserialize(header + '.' + payload + '.' + signature)
token.verify(keys.get_key(kid))
`

// pythonCOSE checks a COSE_Sign1 by what RFC 9052 and 9053 say, with another CBOR library and OpenSSL.
const pythonCOSE = `import hashlib, sys
import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
payload, message = (open(name, 'rb').read() for name in sys.argv[1:3])
tagged = cbor2.loads(message)
assert tagged.tag == 18
protected, unprotected, empty, signature = tagged.value
assert empty is None
public = serialization.load_pem_public_key(open('key.pem', 'rb').read())
spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
assert unprotected[4] == hashlib.sha256(spki).digest()
signed = cbor2.dumps(['Signature1', protected, b'', payload])
algorithm = cbor2.loads(protected)[1]
curves = {-7: ('secp256r1', hashes.SHA256()), -35: ('secp384r1', hashes.SHA384()), -36: ('secp521r1', hashes.SHA512())}
if algorithm == -8:
    public.verify(signature, signed)
elif algorithm == -37:
    public.verify(signature, signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
else:
    curve, hash = curves[algorithm]
    assert public.curve.name == curve
    half = len(signature) // 2
    assert half == (public.key_size + 7) // 8
    r, s = (int.from_bytes(part, 'big') for part in (signature[:half], signature[half:]))
    public.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hash))
`

// TestFormatsJWT has tokens of every kind of key signed and read by jwcrypto, with the gateway's key set.
func TestFormatsJWT(t *testing.T) {
	b := &bench{T: t, dir: t.TempDir(), g: gatewaytest.New(t)}
	needs(t, "python3-jwcrypto")
	b.write("check.py", `import json, sys
from jwcrypto import jwk, jwt
keys = jwk.JWKSet.from_json(open('keys.jwks').read())
token = jwt.JWT(jwt=sys.argv[1], key=keys, algs=['RS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA'], check_claims={'iss': 'https://ci.example.org', 'exp': None, 'iat': None})
assert json.loads(token.claims)['run'] == 12345678901234567890
`)
	b.write("claims.json", `{"run": 12345678901234567890, "aud": ["a", "b"]}`)
	for _, c := range []struct {
		spec api.KeySpec
		more []string
	}{{api.RSA2048, nil}, {api.RSA2048, []string{"--algorithm", "PS384"}}, {api.P256, nil}, {api.P384, nil}, {api.P521, nil}, {api.Ed25519, nil}} {
		t.Run(string(c.spec)+strings.Join(c.more, ""), func(t *testing.T) {
			b := &bench{T: t, dir: b.dir, g: b.g, key: b.g.CreateKey(c.spec, api.SignVerify).KeyId}
			trustJWKS(b)
			token := strings.TrimSpace(b.hsmgate(append([]string{"jwt", "sign", "--key", b.key, "--claims", "claims.json", "--issuer", "https://ci.example.org", "--ttl", "5m"}, c.more...)...))
			if err := b.run("/usr/bin/python3", "check.py", token); err != nil {
				t.Error(err)
			}
			if err := b.run("/usr/bin/python3", "check.py", flipped(token)); err == nil {
				t.Error("a changed token is accepted")
			}
		})
	}
}

// flipped changes a letter in the claims of a token.
func flipped(token string) string {
	at := strings.Index(token, ".") + 10
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}
