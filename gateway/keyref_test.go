package gateway

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

var testNames = Names{Account: "111122223333", Region: "eu-central-1"}

const (
	ownKey   = "11111111-aaaa-4bbb-8ccc-111111111111"
	otherKey = "22222222-aaaa-4bbb-8ccc-222222222222"
	noKey    = "33333333-aaaa-4bbb-8ccc-333333333333"
	ownARN   = "arn:aws:kms:eu-central-1:111122223333:key/" + ownKey
	arnStart = "arn:aws:kms:eu-central-1:111122223333:"
)

// ownSpellings are all references to the user's own key.
var ownSpellings = []string{ownKey, ownARN, "alias/own", arnStart + "alias/own"}

// TestReferences is the table of what a reference may look like.
func TestReferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ref       string
		id, alias string
		code      api.Code
		text      string
	}{
		{ref: ownKey, id: ownKey},
		{ref: "mrk-0123456789abcdef0123456789abcdef", id: "mrk-0123456789abcdef0123456789abcdef"},
		{ref: ownARN, id: ownKey},
		{ref: "alias/a", alias: "alias/a"},
		{ref: "alias/a/b", alias: "alias/a/b"},
		{ref: arnStart + "alias/a/b", alias: "alias/a/b"},
		{ref: "", code: api.NotFound, text: "Invalid keyId ''"},
		{ref: "x", code: api.NotFound, text: "Invalid keyId 'x'"},
		{ref: strings.ToUpper(ownKey), code: api.NotFound, text: "Invalid keyId"},
		{ref: " " + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: ownKey + " ", code: api.NotFound, text: "Invalid keyId"},
		{ref: ownKey + "\x00", code: api.NotFound, text: "Invalid keyId"},
		{ref: "{" + ownKey + "}", code: api.NotFound, text: "Invalid keyId"},
		{ref: "urn:uuid:" + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: "key/" + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: "../" + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: strings.ReplaceAll(ownKey, "-", ""), code: api.NotFound, text: "Invalid keyId"},
		{ref: "mrk-0123456789ABCDEF0123456789abcdef", code: api.NotFound, text: "Invalid keyId"},
		{ref: "mrk-" + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: "alias", code: api.NotFound, text: "Invalid keyId 'alias'"},
		{ref: "Alias/a", code: api.NotFound, text: "Invalid keyId 'Alias/a'"},
		{ref: "alias%2Fa", code: api.NotFound, text: "Invalid keyId 'alias%2Fa'"},
		{ref: "arn:", code: api.InvalidArn},
		{ref: "arn:aws:kms:eu-central-1:111122223333", code: api.InvalidArn},
		{ref: "arn:aws-cn:kms:eu-central-1:111122223333:key/" + ownKey, code: api.InvalidArn},
		{ref: "arn:aws:iam:eu-central-1:111122223333:key/" + ownKey, code: api.InvalidArn},
		{ref: "ARN:aws:kms:eu-central-1:111122223333:key/" + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: arnStart + ownKey, code: api.InvalidArn},
		{ref: arnStart + "key/alias/a", code: api.NotFound, text: "Invalid keyId"},
		{ref: arnStart + "key/", code: api.NotFound, text: "Invalid keyId"},
		{ref: arnStart + "key/" + ownKey + ":x", code: api.NotFound, text: "Invalid keyId"},
		{ref: arnStart + "key//" + ownKey, code: api.NotFound, text: "Invalid keyId"},
		{ref: arnStart + "key/" + strings.ToUpper(ownKey), code: api.NotFound, text: "Invalid keyId"},
		{ref: "arn:aws:kms:us-east-1:111122223333:key/" + ownKey, code: api.NotFound, text: "Invalid arn us-east-1"},
		{ref: "arn:aws:kms::111122223333:key/" + ownKey, code: api.NotFound, text: "Invalid arn "},
		{ref: "arn:aws:kms:eu-central-1:999999999999:key/" + ownKey, code: api.NotFound, text: "does not exist"},
	} {
		ref, err := testNames.parse(c.ref)
		if c.code == "" {
			if err != nil || ref.id != c.id || ref.alias != c.alias {
				t.Errorf("%q: %+v, %v", c.ref, ref, err)
			}
			continue
		}
		if err == nil || err.Code != c.code || !strings.Contains(err.Message, c.text) {
			t.Errorf("%q: %v, want %s %s", c.ref, err, c.code, c.text)
		}
	}
}

// referenceService is a service that knows two keys, each with an alias, and
// has neither token nor log: enough to decide.
func referenceService(t testing.TB) *Service {
	t.Helper()
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "references.db"), testNames.Region)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	for name, id := range map[string]string{"alias/own": ownKey, "alias/other": otherKey} {
		k := &store.Key{Region: testNames.Region, ID: id, State: store.StateEnabled, CreatedAt: time.Now(), Line: store.Line{Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY",
			Versions: []store.Version{{Number: 1, ObjectID: []byte(id), PublicKey: []byte("a public key"), CreatedAt: time.Now(), CurrentAt: time.Now()}}}}
		k.Policy = referencePolicies[id]
		if err := st.InsertKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if err := st.CreateAlias(t.Context(), &store.Alias{Region: testNames.Region, Name: name, KeyID: id, CreatedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	return &Service{names: testNames, store: st, now: time.Now}
}

// referenceUsers have the same key by a role, by an identity policy and by the
// policy of the key. The other key's policy, which denies, is not to show.
var referenceUsers = []policy.Principal{
	{ARN: "arn:aws:iam::111122223333:user/u", Role: policy.RoleUser, Keys: map[string]bool{ownKey: true}},
	{ARN: "arn:aws:iam::111122223333:user/v", Role: policy.RoleUser, Policies: []policy.Attached{attached(`{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"` + ownARN + `"}}`)}},
	{ARN: "arn:aws:iam::111122223333:user/w", Role: policy.RoleUser},
}

var referencePolicies = map[string]*store.Document{
	ownKey: keyPolicy(`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/w"},"Action":"kms:*","Resource":"` + ownARN + `"}]}`),
	otherKey: keyPolicy(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}}`),
}

func attached(text string) policy.Attached {
	doc, err := policy.Parse([]byte(text), policy.IdentityPolicy)
	if err != nil {
		panic(err)
	}
	a, err := policy.Attach("own", doc)
	if err != nil {
		panic(err)
	}
	return a
}

func keyPolicy(text string) *store.Document {
	doc, err := store.NewDocument(text, policy.KeyPolicy)
	if err != nil {
		panic(err)
	}
	return doc
}

// checkReference shows for one reference and every operation on a key that a
// user reaches his own key and no other, and learns nothing of others.
func checkReference(t *testing.T, s *Service, ref string) {
	t.Helper()
	for _, user := range referenceUsers {
		checkReferenceOf(t, s, user, ref)
	}
}

func checkReferenceOf(t *testing.T, s *Service, user policy.Principal, ref string) {
	t.Helper()
	own := slices.Contains(ownSpellings, ref)
	for _, name := range []string{"DescribeKey", "Sign", "Verify", "Encrypt", "Decrypt", "GetPublicKey", "GenerateDataKey", "GenerateMac", "VerifyMac", "DeriveSharedSecret", "Decapsulate"} {
		if name == "Decrypt" && ref == "" { // then the ciphertext names the key
			continue
		}
		op, _ := OpNamed(name)
		in := op.New()
		in.(interface{ SetKeyRef(string) }).SetKeyRef(ref)
		c := &Call{Principal: user, op: op}
		err := s.authorize(c, in)
		if own {
			if err != nil || c.key == nil || c.key.ID != ownKey {
				t.Fatalf("%s %q of %s: his own key is refused: %v", name, ref, user.ARN, err)
			}
			continue
		}
		if err == nil {
			t.Fatalf("%s %q reached key %v", name, ref, c.key)
		}
		if err.Code != api.AccessDenied {
			t.Fatalf("%s %q: %v, and not a denial like all others", name, ref, err)
		}
		named := ref
		if parsed, bad := s.names.parse(ref); bad == nil {
			named = parsed.arn
		}
		want := "User: " + user.ARN + " is not authorized to perform: kms:" + name + " on resource: " + named +
			" because no identity-based policy allows the kms:" + name + " action"
		if err.Message != want {
			t.Fatalf("%s %q tells more or less than others:\n%s\n%s", name, ref, err.Message, want)
		}
	}
}

// tricks are spellings that have opened doors elsewhere.
var tricks = []string{
	otherKey, arnStart + "key/" + otherKey, "alias/other", arnStart + "alias/other", noKey, arnStart + "key/" + noKey, "alias/none", arnStart + "alias/none",
	strings.ToUpper(ownKey), ownKey + "/../" + otherKey, ownKey + "\x00" + otherKey, ownKey + "," + otherKey, ownKey + " " + otherKey,
	"alias/own/../other", "alias/../alias/own", "alias//own", "alias/own/", "ALIAS/own", "alias/Own", "alias%2fown", "alias/*", "*", "arn:aws:kms:*:*:key/*",
	"arn:aws:kms:eu-central-1:111122223333:key/*", "arn:aws:kms:eu-central-1::key/" + ownKey, "arn:aws:kms:us-east-1:111122223333:key/" + ownKey,
	"arn:aws:kms:eu-central-1:999999999999:key/" + ownKey, "arn:aws:kms:eu-central-1:111122223333:alias/other", "mrk-" + strings.ReplaceAll(ownKey, "-", ""),
	arnStart + "key/alias/own", arnStart + "key/alias/other", arnStart + ownKey, arnStart + "key/key/" + ownKey, "", "alias/", "arn:", ":::::", "alias/own\n", "\u0430lias/own", ownKey[:35],
}

func TestReferencesReachOwnKeysOnly(t *testing.T) {
	t.Parallel()
	s := referenceService(t)
	for _, ref := range append(slices.Clone(ownSpellings), tricks...) {
		checkReference(t, s, ref)
	}
}

// FuzzKeyRef: no spelling of a reference lets a user reach a key that is not his.
func FuzzKeyRef(f *testing.F) {
	for _, ref := range append(slices.Clone(ownSpellings), tricks...) {
		f.Add(ref)
	}
	s := referenceService(f)
	f.Fuzz(func(t *testing.T, ref string) { checkReference(t, s, ref) })
}
