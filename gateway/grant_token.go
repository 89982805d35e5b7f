package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// A grant token is grantTokenForm, the id of its grant, a random number, so that no
// two are alike, and a checksum, in base64. As in AWS KMS it is no secret and proves nothing: it
// says that there is a grant, which the gateway may not have heard of yet.
const (
	grantTokenForm = "g" // makes no command line take a token for a flag
	grantIDSize    = 32
	grantNonceSize = 16
	grantSumSize   = 16
)

func newGrantID() string {
	id := make([]byte, grantIDSize)
	rand.Read(id) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(id)
}

func isGrantID(s string) bool { return len(s) == 2*grantIDSize && isLowerHex(s) }

func newGrantToken(id string) string {
	b, _ := hex.DecodeString(id) // of newGrantID
	nonce := make([]byte, grantNonceSize)
	rand.Read(nonce)
	b = append(b, nonce...)
	sum := sha256.Sum256(b)
	return grantTokenForm + base64.RawURLEncoding.EncodeToString(append(b, sum[:grantSumSize]...))
}

// grantIDOf is the id of the grant that a token is for; false: it is no token.
func grantIDOf(token string) (id string, ok bool) {
	text, is := strings.CutPrefix(token, grantTokenForm)
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	const size = grantIDSize + grantNonceSize
	if !is || err != nil || len(b) != size+grantSumSize {
		return "", false
	}
	sum := sha256.Sum256(b[:size])
	return hex.EncodeToString(b[:grantIDSize]), slices.Equal(sum[:grantSumSize], b[size:])
}

// heardOf sees to it that the grants of these tokens are known here, where another
// process has just made them, and names the error of one that no grant has.
func (s *Service) heardOf(ctx context.Context, c *Call, tokens []string) *api.Error {
	ids := make([]string, len(tokens))
	for i, token := range tokens {
		id, ok := grantIDOf(token)
		if !ok {
			return noSuchToken()
		}
		ids[i] = id
	}
	missing := func(id string) bool {
		g, ok := s.store.Grant(id)
		return !ok || g.Region != s.namesFor(c).Region
	}
	if !slices.ContainsFunc(ids, missing) {
		return nil
	}
	if s.store.Ready() == nil {
		_ = s.store.Follow(ctx) // what cannot be read now is missing below
	}
	if slices.ContainsFunc(ids, missing) {
		return noSuchToken()
	}
	return nil
}

func noSuchToken() *api.Error {
	return api.Errorf(api.InvalidGrantToken, "No grant has this token: it was changed, or the grant was retired or revoked.")
}
