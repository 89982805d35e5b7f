package policy

// Like is a text with wildcards as a part of an ARN may have them: * stands for
// any characters and ? for one, but neither for a colon, so that what a caller
// chose within one part cannot pass for the next. A * alone is any text at all.
type Like struct{ pattern pattern }

// NewLike compiles a text.
func NewLike(text string) Like {
	p := wildcards(text)
	for i := range p.tokens {
		p.tokens[i].inPart = text != "*"
	}
	return Like{p}
}

// Match says whether the whole of s is such a text.
func (l Like) Match(s string) bool { return l.pattern.match(s, nil) == yes }
