package gateway

import (
	"context"
	"fmt"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// Difference is something that the token and the store do not agree on.
type Difference struct {
	KeyMissing bool // a key of the store cannot be used; otherwise it can, or it is only an object that is left alone
	text       string
}

func (d Difference) String() string { return d.text }

// Compare lists, by name, what the store knows of the token of that name and the
// token does not hold, and the other way round.
func Compare(ctx context.Context, s *store.Store, name string, token *hsm.Token) ([]Difference, error) {
	objects, err := token.Objects(ctx)
	if err != nil {
		return nil, fmt.Errorf("the token's keys cannot be listed: %w", err)
	}
	held := make(map[string]hsm.Object, len(objects))
	for _, o := range objects {
		held[string(o.ID)] = o
	}
	var differences []Difference
	known := passing(s)
	for _, k := range s.AllKeys() {
		if TokenName(k) != name {
			continue
		}
		for _, v := range k.Versions {
			if v.ObjectID == nil { // imported material that is gone
				continue
			}
			known[string(v.ObjectID)] = true
			o, ok := held[string(v.ObjectID)]
			switch name := fmt.Sprintf("key %s version %d", k.ID, v.Number); {
			case !ok:
				differences = append(differences, Difference{true, fmt.Sprintf("%s: the token has no private key with CKA_ID %x", name, v.ObjectID)})
			case !o.Protected:
				differences = append(differences, Difference{true, fmt.Sprintf("%s: the token's private key with CKA_ID %x is not used: %s", name, v.ObjectID, o.Why)})
			case k.Origin != store.OriginExternal && !o.NeverExtractable && token.KeepsNeverExtractable():
				differences = append(differences, Difference{false, fmt.Sprintf("%s: the material with CKA_ID %x was once extractable or imported, though the token was to make it", name, v.ObjectID)})
			}
		}
	}
	if name == DefaultToken {
		differences = append(differences, compareLogKeys(s, held, known)...)
	}
	for _, o := range objects {
		if !known[string(o.ID)] {
			differences = append(differences, Difference{false, fmt.Sprintf("the token's private key %q with CKA_ID %x is not in the store", o.Label, o.ID)})
		}
	}
	return differences, nil
}

// compareLogKeys looks for the keys that sign checkpoints. One that has been retired may be gone.
func compareLogKeys(s *store.Store, held map[string]hsm.Object, known map[string]bool) (differences []Difference) {
	newest := make(map[string]int)
	for _, k := range s.AllLogKeys() {
		known[string(k.ObjectID)] = true
		newest[k.Origin] = max(newest[k.Origin], k.Number)
	}
	for _, k := range s.AllLogKeys() {
		if k.Number < newest[k.Origin] || !k.RetiredAt.IsZero() {
			continue
		}
		switch o, ok := held[string(k.ObjectID)]; {
		case !ok:
			differences = append(differences, Difference{true, fmt.Sprintf("the key of the log %s: the token has no private key with CKA_ID %x; without it there are no checkpoints: restore the token, or 'hsmgated audit rotate-key'", k.Origin, k.ObjectID)})
		case !o.Protected:
			differences = append(differences, Difference{true, fmt.Sprintf("the key of the log %s: the token's private key with CKA_ID %x is not used: %s", k.Origin, k.ObjectID, o.Why)})
		}
	}
	return differences
}

// passing are the object ids of keys that are being made or destroyed, whose
// objects may be there or not, of other objects on their way, and of the pairs
// under which material is brought in.
func passing(s *store.Store) map[string]bool {
	known := make(map[string]bool)
	for _, k := range append(s.Creating(), s.Undestroyed()...) {
		for _, v := range k.Versions {
			known[string(v.ObjectID)] = true
		}
	}
	for _, o := range s.Pending() {
		known[string(o.ObjectID)] = true
	}
	for _, i := range s.ImportKeys() {
		known[string(i.ObjectID)] = true
	}
	return known
}

// MissingTokens counts the keys of each token that the names lack.
func MissingTokens(s *store.Store, names []string) map[string]int {
	missing := make(map[string]int)
	for _, k := range s.AllKeys() {
		if token := TokenName(k); !slices.Contains(names, token) {
			missing[token]++
		}
	}
	return missing
}
