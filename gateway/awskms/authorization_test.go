package awskms

import (
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

const good = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/eu-central-1/kms/aws4_request, " +
	"SignedHeaders=host;x-amz-date;x-amz-target, Signature=0123456789abcdef"

func TestParseAuthorization(t *testing.T) {
	a, err := parseAuthorization(good, true)
	if err != nil {
		t.Fatal(err)
	}
	if a.accessKey != "AKIDEXAMPLE" || a.date != "20261123" || a.region != "eu-central-1" || a.service != "kms" ||
		a.terminator != "aws4_request" || a.signature != "0123456789abcdef" ||
		!slices.Equal(a.signedHeaders, []string{"host", "x-amz-date", "x-amz-target"}) {
		t.Errorf("parsed as %+v", a)
	}
	for _, same := range []string{
		strings.ReplaceAll(good, ", ", ","), // botocore puts a space after each comma, others do not
		strings.ReplaceAll(good, ", ", ",  "),
		"AWS4-HMAC-SHA256 Signature=0123456789abcdef, SignedHeaders=host;x-amz-date;x-amz-target, Credential=AKIDEXAMPLE/20261123/eu-central-1/kms/aws4_request",
	} {
		b, err := parseAuthorization(same, true)
		if err != nil || b.signature != a.signature || b.accessKey != a.accessKey || !slices.Equal(b.signedHeaders, a.signedHeaders) {
			t.Errorf("%s: %+v, %v", same, b, err)
		}
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	const (
		noCredential = "Authorization header requires 'Credential' parameter. "
		noSignature  = "Authorization header requires 'Signature' parameter. "
		noHeaders    = "Authorization header requires 'SignedHeaders' parameter. "
		noDate       = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
		elements     = "Credential must have exactly 5 slash-delimited elements"
		canonical    = "SignedHeaders must be header names in lower case, sorted, each once"
	)
	for name, c := range map[string]struct {
		header  string
		noDate  bool
		message string // that the answer begins with
	}{
		"garbage, as recorded on AWS": {"a", true, noCredential + noSignature + noHeaders + noDate + "(Hashed with SHA-256 and encoded with Base64) Authorization="},
		"bearer token":                {"Bearer hsmgate_a_b", false, noCredential + noSignature + noHeaders},
		"SigV4a":                      {strings.Replace(good, "HMAC-SHA256", "ECDSA-P256-SHA256", 1), false, noCredential},
		"algorithm alone":             {"AWS4-HMAC-SHA256", false, noCredential},
		"no space after algorithm":    {strings.Replace(good, " ", "", 1), false, noCredential},
		"lower-case algorithm":        {strings.ToLower(good), false, noCredential},
		"no date":                     {good, true, noDate},
		"no credential":               {"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", false, noCredential},
		"no signature":                {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host", false, noSignature},
		"empty signature":             {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=", false, noSignature},
		"no signed headers":           {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=00", false, noHeaders},
		"empty signed headers":        {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=, Signature=00", false, noHeaders},
		"part without value":          {good + ", x", false, "Authorization header has a part that is not a key=value pair"},
		"trailing comma":              {good + ",", false, "Authorization header has a part that is not a key=value pair"},
		"unknown parameter":           {good + ", Extra=1", false, "Authorization header has a parameter other than"},
		"parameter in lower case":     {strings.Replace(good, "Credential", "credential", 1), false, "Authorization header has a parameter other than"},
		"two signatures":              {good + ", Signature=11", false, "Authorization header has the parameter 'Signature' twice."},
		"two empty signatures":        {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=, Signature=00", false, "Authorization header has the parameter 'Signature' twice."},
		"four elements":               {"AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=00", false, elements},
		"six elements":                {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f, SignedHeaders=host, Signature=00", false, elements},
		"no access key":               {"AWS4-HMAC-SHA256 Credential=/b/c/d/e, SignedHeaders=host, Signature=00", false, elements},
		"unsorted headers":            {strings.Replace(good, "host;x-amz-date", "x-amz-date;host", 1), false, canonical},
		"a header twice":              {strings.Replace(good, "host;", "host;host;", 1), false, canonical},
		"upper-case header":           {strings.Replace(good, "host", "Host", 1), false, canonical},
		"empty header name":           {strings.Replace(good, "host;", ";host;", 1), false, canonical},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseAuthorization(c.header, !c.noDate)
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Code != api.IncompleteSignature || !strings.HasPrefix(err.Message, c.message) {
				t.Errorf("%v, want IncompleteSignatureException: %s…", err, c.message)
			}
			if strings.Contains(err.Message, "hsmgate_a_b") {
				t.Error("the error repeats a credential")
			}
		})
	}
}

// What is accepted has one meaning: written out anew and parsed, it is the same.
func FuzzParseAuthorization(f *testing.F) {
	f.Add(good)
	f.Add(strings.ReplaceAll(good, ", ", ","))
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host,Signature=,Signature=0")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f, SignedHeaders=;, Signature== ")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header, true)
		if err != nil {
			if err.Code != api.IncompleteSignature || err.Message == "" {
				t.Fatalf("%q: %v", header, err)
			}
			return
		}
		again := "AWS4-HMAC-SHA256 Credential=" + strings.Join([]string{a.accessKey, a.date, a.region, a.service, a.terminator}, "/") +
			", SignedHeaders=" + strings.Join(a.signedHeaders, ";") + ", Signature=" + a.signature
		b, err := parseAuthorization(again, true)
		if err != nil || a.accessKey != b.accessKey || a.date != b.date || a.region != b.region || a.service != b.service ||
			a.terminator != b.terminator || a.signature != b.signature || !slices.Equal(a.signedHeaders, b.signedHeaders) {
			t.Fatalf("%q is %+v, but %q is %+v (%v)", header, a, again, b, err)
		}
		if a.accessKey == "" || a.signature == "" || !slices.IsSorted(a.signedHeaders) || slices.Contains(a.signedHeaders, "") {
			t.Fatalf("%q is %+v", header, a)
		}
	})
}
