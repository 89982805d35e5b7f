package identity

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

const (
	maxDepth   = 5  // of objects within each other
	maxSession = 64 // characters of a session's name; see validSession
)

// claimsOf makes lists of texts of a token's claims. A member of an object has
// the object's name and a slash before its own. What has no text, such as a list
// of objects, is left out. Two of one name make a token unusable: nobody would
// know which one decides.
func claimsOf(payload []byte) (map[string][]string, error) {
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.SetNumberType(json.UnmarshalJSONNumber) // as it is written
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	claims := make(map[string][]string, len(object))
	return claims, flatten(claims, "", object, 1)
}

func flatten(into map[string][]string, prefix string, object map[string]any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("claim %q: more than %d objects within each other", prefix, maxDepth)
	}
	for name, value := range object {
		name = prefix + name
		var texts []string
		switch v := value.(type) {
		case map[string]any:
			if err := flatten(into, name+"/", v, depth+1); err != nil {
				return err
			}
		case []any:
			for _, one := range v {
				texts = append(texts, textOf(one)...)
			}
		default:
			texts = textOf(v)
		}
		if len(texts) == 0 {
			continue
		}
		if _, twice := into[name]; twice {
			return fmt.Errorf("claim %q is there twice", name)
		}
		into[name] = texts
	}
	return nil
}

func textOf(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case bool:
		return []string{strconv.FormatBool(v)}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// sessionName fills in the template. The claim of a placeholder has to be there.
func sessionName(template string, claims map[string][]string) (string, error) {
	var missing string
	name := placeholder.ReplaceAllStringFunc(template, func(p string) string {
		claim := p[1 : len(p)-1]
		if len(claims[claim]) != 1 {
			missing = claim
			return ""
		}
		return claims[claim][0]
	})
	if missing != "" {
		return "", fmt.Errorf("the session's name is made of the claim %s, which the token does not have, or several times", missing)
	}
	return cleanSession(name), nil
}

// cleanSession keeps what a session's name may have, and its end: that tells one
// run from the next.
func cleanSession(name string) string {
	clean := []byte(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+=,.@-", r) {
			return r
		}
		return '-'
	}, name))
	for len(clean) < 2 {
		clean = append(clean, '-')
	}
	return string(clean[max(0, len(clean)-maxSession):])
}

// tagsOf are the principal's tags, of claims with one value.
func (p *provider) tagsOf(claims map[string][]string) (map[string]string, error) {
	tags := make(map[string]string, len(p.Tags))
	for name, claim := range p.Tags {
		switch values := claims[claim]; {
		case len(values) > 1:
			return nil, fmt.Errorf("claim %s has %d values, of which the tag %s can have one", claim, len(values), name)
		case len(values) == 1:
			if err := checkTag(name, values[0]); err != nil {
				return nil, fmt.Errorf("claim %s: %w", claim, err)
			}
			tags[name] = values[0]
		}
	}
	return tags, nil
}
