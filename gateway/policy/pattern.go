package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// verdict is the answer of one comparison.
type verdict uint8

const (
	no verdict = iota
	yes
	unresolved // a policy variable of the value is not in the request
	open       // the request has several values for a policy variable
)

type tokenKind uint8

const (
	literal  tokenKind = iota
	star               // any characters, or none
	one                // exactly one character
	variable           // the value of a condition key
)

// token is one piece of a compiled value.
type token struct {
	kind       tokenKind
	inPart     bool   // star, one: stays within its part of an ARN, so never matches a colon
	text       string // of a literal; the default of a variable
	hasDefault bool
	key        keyRef
	index      int // of a variable, among those of the value
}

// maxVariables is the number of policy variables that one value may have. It
// bounds the room that a comparison takes on the stack.
const maxVariables = 8

// texts are what the request has for the variables of a value.
type texts [maxVariables]string

// pattern is a value of a policy, compiled when the policy is parsed.
type pattern struct {
	tokens    []token
	plain     string // the whole value, when it has neither wildcard nor variable
	isPlain   bool
	variables int
}

// everything is what the value "*" compiles to.
func (p *pattern) everything() bool {
	return len(p.tokens) == 1 && p.tokens[0].kind == star && !p.tokens[0].inPart
}

// wildcards compiles a text in which only * and ? are special.
func wildcards(text string) pattern {
	p, _ := compile(text, true, false)
	return p
}

// compile reads a value. wild says whether * and ? are wildcards, vars whether
// ${...} is a variable (IAM User Guide, reference_policies_variables).
func compile(text string, wild, vars bool) (pattern, error) {
	var p pattern
	for text != "" {
		switch {
		case wild && text[0] == '*':
			p.tokens, text = append(p.tokens, token{kind: star}), text[1:]
		case wild && text[0] == '?':
			p.tokens, text = append(p.tokens, token{kind: one}), text[1:]
		case vars && strings.HasPrefix(text, "${"):
			inside, rest, err := inBraces(text[2:])
			if err != nil {
				return p, err
			}
			t, err := compileVariable(inside)
			if err != nil {
				return p, err
			}
			if p.add(t); p.variables > maxVariables {
				return p, fmt.Errorf("the value has more policy variables than %d: fewer would be right", maxVariables)
			}
			text = rest
		default:
			n := 1
			for n < len(text) && !(wild && (text[n] == '*' || text[n] == '?')) && text[n] != '$' {
				n++
			}
			p.add(token{text: text[:n]})
			text = text[n:]
		}
	}
	p.finish()
	return p, nil
}

// inBraces splits a text behind its closing brace; a brace within the quotes of
// a default closes nothing.
func inBraces(text string) (inside, rest string, err error) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '\'':
			quoted = !quoted
		case text[i] == '}' && !quoted:
			return text[:i], text[i+1:], nil
		}
	}
	return "", "", errors.New("a policy variable is not closed: ${key} or ${key, 'default'} would be right")
}

func compileVariable(inside string) (token, error) {
	if inside == "*" || inside == "?" || inside == "$" {
		return token{text: inside}, nil
	}
	name, def, hasDefault := strings.Cut(inside, ",")
	t := token{kind: variable, hasDefault: hasDefault}
	if hasDefault {
		def = strings.TrimPrefix(def, " ")
		if len(def) < 2 || def[0] != '\'' || def[len(def)-1] != '\'' || strings.Contains(def[1:len(def)-1], "'") {
			return t, errors.New("the default of the policy variable ${" + printable(inside) + "} is not in single quotes: ${key, 'default'} would be right")
		}
		t.text = def[1 : len(def)-1]
	}
	ref, problem := findKey(name)
	switch {
	case problem != "":
		return t, errors.New("policy variable ${" + printable(inside) + "}: " + problem)
	case keys[ref.id].arity == many:
		return t, errors.New("policy variable ${" + printable(inside) + "}: " + keys[ref.id].name + " has several values: a key with one value would be right")
	}
	t.key = ref
	return t, nil
}

// add appends a token, joining literals.
func (p *pattern) add(t token) {
	if n := len(p.tokens); t.kind == literal && n > 0 && p.tokens[n-1].kind == literal {
		p.tokens[n-1].text += t.text
		return
	}
	if t.kind == variable {
		t.index = p.variables
		p.variables++
	}
	p.tokens = append(p.tokens, t)
}

func (p *pattern) finish() {
	switch {
	case len(p.tokens) == 0:
		p.isPlain = true
	case len(p.tokens) == 1 && p.tokens[0].kind == literal:
		p.isPlain, p.plain = true, p.tokens[0].text
	}
}

// match compares a value of the request. e is nil when there are no variables.
func (p *pattern) match(s string, e *evaluation) verdict {
	if p.isPlain {
		return verdictOf(s == p.plain)
	}
	if p.variables == 0 {
		return verdictOf(matchTokens(p.tokens, nil, s))
	}
	t, v := p.resolve(e)
	if v != yes {
		return v
	}
	return verdictOf(matchTokens(p.tokens, &t, s))
}

// matchFold compares without case a value that has no wildcards.
func (p *pattern) matchFold(s string, e *evaluation) verdict {
	if p.isPlain {
		return verdictOf(strings.EqualFold(s, p.plain))
	}
	t, v := p.resolve(e)
	if v != yes {
		return v
	}
	var whole strings.Builder
	for i := range p.tokens {
		if k := &p.tokens[i]; k.kind == variable {
			whole.WriteString(t[k.index])
		} else {
			whole.WriteString(k.text)
		}
	}
	return verdictOf(strings.EqualFold(s, whole.String()))
}

// resolve finds the request's values for the variables. What they hold is
// literal: a * in a tag is no wildcard. They are returned by value, so that the
// request stays on the stack.
func (p *pattern) resolve(e *evaluation) (t texts, all verdict) {
	all = yes
	for i := range p.tokens {
		k := &p.tokens[i]
		if k.kind != variable {
			continue
		}
		v := e.lookup(k.key)
		text, ok := v.text(keys[k.key.id].kind)
		switch {
		case ok:
		case v.present:
			all = open
		case k.hasDefault:
			text = k.text
		default:
			return t, unresolved
		}
		t[k.index] = text
	}
	return t, all
}

func verdictOf(ok bool) verdict {
	if ok {
		return yes
	}
	return no
}

// matchTokens matches the whole of s. On a mismatch it goes back to the last
// star only: a star before it that took less would leave that one more.
func matchTokens(tokens []token, t *texts, s string) bool {
	at, from := -1, 0 // the last star, and where in s its successor was tried
	for ti, si := 0, 0; ; {
		switch n, ok := step(tokens, t, ti, s[si:]); {
		case ok && ti == len(tokens):
			return true
		case ok:
			if tokens[ti].kind == star {
				at, from = ti, si
			}
			ti, si = ti+1, si+n
		case at < 0 || from == len(s) || tokens[at].inPart && s[from] == ':':
			return false
		default:
			_, size := utf8.DecodeRuneInString(s[from:])
			from += size
			ti, si = at+1, from
		}
	}
}

// step matches one token at the start of s and says how many bytes it took. The
// end of the tokens matches the end of s.
func step(tokens []token, values *texts, ti int, s string) (int, bool) {
	if ti == len(tokens) {
		return 0, s == ""
	}
	switch t := &tokens[ti]; t.kind {
	case literal:
		return len(t.text), strings.HasPrefix(s, t.text)
	case variable:
		return len(values[t.index]), strings.HasPrefix(s, values[t.index])
	case one:
		_, size := utf8.DecodeRuneInString(s)
		return size, s != "" && !(t.inPart && s[0] == ':')
	case star:
		return 0, true
	}
	return 0, false
}
