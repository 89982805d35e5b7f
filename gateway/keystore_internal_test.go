package gateway

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestKeyStoresAreAskedAtOnce: none waits for the answer of another.
func TestKeyStoresAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c"}
	var asked sync.WaitGroup
	asked.Add(len(names))
	got := atOnce(names, func(name string) string {
		asked.Done()
		asked.Wait() // for ever, if the others are asked later
		return strings.ToUpper(name)
	})
	if !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("%q", got)
	}
	if none := atOnce(nil, func(string) int { return 0 }); none == nil {
		t.Error("no key stores are no list")
	}
}
