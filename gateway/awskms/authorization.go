package awskms

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	service    = "kms"
	terminator = "aws4_request"
)

// authorization is an Authorization header, taken apart.
type authorization struct {
	accessKey     string
	date          string // of the scope, as are the next three
	region        string
	service       string
	terminator    string
	signedHeaders []string // lower case, sorted, each once
	signature     string
}

// parseAuthorization reads
//
//	AWS4-HMAC-SHA256 Credential=<id>/<date>/<region>/kms/aws4_request, SignedHeaders=a;b, Signature=<hex>
//
// hasDate says whether the request has a date; its absence is told together
// with the parameters that are missing.
func parseAuthorization(header string, hasDate bool) (a authorization, err *api.Error) {
	parameters := map[string]string{}
	if rest, ok := strings.CutPrefix(header, algorithm+" "); ok {
		if parameters, err = parseParameters(rest); err != nil {
			return a, err
		}
	}
	if missing := missingParts(parameters, hasDate); missing != "" {
		return a, incomplete(missing + hashed(header))
	}
	credential := strings.Split(parameters["Credential"], "/")
	if len(credential) != 5 || credential[0] == "" {
		return a, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term. " + hashed(header))
	}
	a = authorization{
		accessKey: credential[0], date: credential[1], region: credential[2], service: credential[3], terminator: credential[4],
		signedHeaders: strings.Split(parameters["SignedHeaders"], ";"),
		signature:     parameters["Signature"],
	}
	return a, checkSignedHeaders(a.signedHeaders)
}

// parseParameters splits the list after the algorithm.
func parseParameters(list string) (map[string]string, *api.Error) {
	parameters := make(map[string]string, 3)
	for _, pair := range strings.Split(list, ",") {
		name, value, ok := strings.Cut(strings.Trim(pair, " "), "=")
		switch {
		case !ok:
			return nil, incomplete("Authorization header has a part that is not a key=value pair (missing equal-sign). " + hashed(list))
		case name != "Credential" && name != "SignedHeaders" && name != "Signature":
			return nil, incomplete("Authorization header has a parameter other than 'Credential', 'SignedHeaders' and 'Signature'. " + hashed(list))
		}
		if _, twice := parameters[name]; twice {
			return nil, incomplete("Authorization header has the parameter '" + name + "' twice. " + hashed(list))
		}
		parameters[name] = value
	}
	return parameters, nil
}

// missingParts says, in AWS's words, what an Authorization header lacks.
func missingParts(parameters map[string]string, hasDate bool) string {
	var text string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parameters[name] == "" {
			text += "Authorization header requires '" + name + "' parameter. "
		}
	}
	if !hasDate {
		text += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
	}
	return text
}

// checkSignedHeaders asks for the canonical form of the list, so that there is
// one way only to read it.
func checkSignedHeaders(names []string) *api.Error {
	for i, name := range names {
		if name == "" || name != strings.ToLower(name) || (i > 0 && names[i-1] >= name) {
			return incomplete("SignedHeaders must be header names in lower case, sorted, each once, with ';' between them.")
		}
	}
	return nil
}

func incomplete(text string) *api.Error {
	return api.Errorf(api.IncompleteSignature, "%s", text)
}

// hashed names a header in an error without repeating it, since it may hold a
// secret of another scheme.
func hashed(header string) string {
	sum := sha256.Sum256([]byte(header))
	return "(Hashed with SHA-256 and encoded with Base64) Authorization=" + base64.StdEncoding.EncodeToString(sum[:])
}
