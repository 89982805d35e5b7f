package policy

import "testing"

func TestLike(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, s string
		want    bool
	}{
		{"example/app", "example/app", true},
		{"example/app", "example/app2", false},
		{"refs/tags/*", "refs/tags/v1/rc", true},
		{"refs/tags/*", "refs/tags", false},
		{"v?.?", "v1.2", true},
		{"v?.?", "v1.22", false},
		{"*", "a:b", true},
		{"*", "", true},
		{"**", "a:b", false},
		{"", "", true},
		{"", "a", false},
		// What the caller chose within one part is no separator.
		{"repo:example/*:ref:refs/heads/main", "repo:example/app:ref:refs/heads/main", true},
		{"repo:example/*:ref:refs/heads/main", "repo:example/app:environment:x:ref:refs/heads/main", false},
		{"system:serviceaccount:?:a", "system:serviceaccount:::a", false},
		// A wildcard in the value is none.
		{"example/app", "*", false},
		{"example/app", "example/???", false},
	} {
		if got := NewLike(test.text).Match(test.s); got != test.want {
			t.Errorf("%q like %q: %v", test.s, test.text, got)
		}
	}
}
