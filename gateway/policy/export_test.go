package policy

// Operators lists the condition operators, without set and IfExists.
func Operators() (names []string) {
	for _, o := range operators {
		names = append(names, o.name)
	}
	return names
}
