package formats

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

func init() {
	// The tools that are built, in place of Debian's, are where .ci/install-tools.sh puts them.
	if cache, err := os.UserCacheDir(); err == nil {
		bin := filepath.Join(cache, "hsmgate", "bin")
		if set := os.Getenv("TOOLS_BIN"); set != "" {
			bin = set
		}
		_ = os.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+bin)
	}
	for _, by := range []struct {
		tool string
		blob func(b *bench, file string) error
		says func(b *bench, file string) error
	}{{"cosign", cosignBlob, cosignAttestation}, {"python3-cryptography", pythonBundle, pythonEnvelope}} {
		rows = append(rows,
			row{name: "cosign by " + by.tool, tools: []string{by.tool}, specs: sigstoreKeys, make: smallFile, args: []string{"--format", "cosign"}, trust: trustPEM, check: by.blob},
			row{name: "intoto by " + by.tool, verb: "attest", tools: []string{by.tool}, specs: sigstoreKeys, make: smallFile, args: provenanceArgs, trust: trustPEM, check: by.says},
		)
	}
}

var sigstoreKeys = []api.KeySpec{api.Ed25519, api.RSA2048, api.P256, api.P384}

var provenanceArgs = []string{"--type", "slsaprovenance1", "--builder-id", "https://ci.example.org/runner", "--source", "https://git.example.org/app",
	"--commit", "0123456789abcdef0123456789abcdef01234567", "--run", "https://ci.example.org/runs/1"}

// smallFile makes a file that Ed25519 signs too.
func smallFile(b *bench) string { return b.write("app.txt", strings.Repeat("what is released\n", 100)) }

// digestFlag has cosign take the hash of a P-384 key, which is SHA-256 for it unless it is told.
func digestFlag(b *bench) []string {
	if strings.HasSuffix(b.key, "p384") {
		return []string{"--signature-digest-algorithm", "sha384"}
	}
	return nil
}

func cosignBlob(b *bench, file string) error {
	return b.run("cosign", append(digestFlag(b), "verify-blob", "--key", "key.pem", "--insecure-ignore-tlog", "--bundle", file+".sigstore.json", file)...)
}

func cosignAttestation(b *bench, file string) error {
	return b.run("cosign", append(digestFlag(b), "verify-blob-attestation", "--key", "key.pem", "--insecure-ignore-tlog", "--type", "slsaprovenance1", "--signature", file+".intoto.json", file)...)
}

// pythonSigned reads what is signed and the signature from the file of a format, and checks it with OpenSSL.
const pythonSigned = `import base64, hashlib, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
def check(signature, signed):
    public = serialization.load_pem_public_key(open('key.pem', 'rb').read())
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, signed)
    elif isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        public.verify(signature, signed, ec.ECDSA({256: hashes.SHA256(), 384: hashes.SHA384()}[public.key_size]))
file = open(sys.argv[1], 'rb').read()
found = json.load(open(sys.argv[2]))
`

// pythonBundle checks a bundle by what sigstore_bundle.proto says.
func pythonBundle(b *bench, file string) error {
	b.write("check.py", pythonSigned+`
assert found['mediaType'] == 'application/vnd.dev.sigstore.bundle.v0.3+json'
digest = found['messageSignature']['messageDigest']
hash = {'SHA2_256': hashlib.sha256, 'SHA2_384': hashlib.sha384}[digest['algorithm']]
assert base64.b64decode(digest['digest']) == hash(file).digest()
check(base64.b64decode(found['messageSignature']['signature']), file)
`)
	return b.run("/usr/bin/python3", "check.py", file, file+".sigstore.json")
}

// pythonEnvelope checks an envelope by what DSSE (v1) and in-toto say.
func pythonEnvelope(b *bench, file string) error {
	b.write("check.py", pythonSigned+`
payload, kind = base64.b64decode(found['payload']), found['payloadType']
assert kind == 'application/vnd.in-toto+json'
signed = b'DSSEv1 %d %s %d %s' % (len(kind), kind.encode(), len(payload), payload)
check(base64.b64decode(found['signatures'][0]['sig']), signed)
says = json.loads(payload)
assert says['_type'] == 'https://in-toto.io/Statement/v1'
assert says['predicateType'] == 'https://slsa.dev/provenance/v1'
assert says['subject'] == [{'name': 'app.txt', 'digest': {'sha256': hashlib.sha256(file).hexdigest()}}]
assert says['predicate']['runDetails']['builder']['id'] == 'https://ci.example.org/runner'
`)
	return b.run("/usr/bin/python3", "check.py", file, file+".intoto.json")
}
