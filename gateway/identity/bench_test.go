package identity

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func BenchmarkIdentities(b *testing.B) {
	i, ci, _ := newIdentities(b)
	token, err := i.IssueBearer(b.Context(), ci.ARN, time.Hour, now)
	ok(b, err)
	id, _, err := i.IssueAccessKey(b.Context(), ci.ARN, time.Hour, now)
	ok(b, err)
	unknown := "hsmgate_" + strings.Repeat("a", bearerIDLen) + token[len(bearerPrefix)+bearerIDLen:]
	b.Run("Bearer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := i.Bearer(token, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Bearer of unknown id", func(b *testing.B) {
		for b.Loop() {
			if _, err := i.Bearer(unknown, now); !errors.Is(err, ErrUnknown) {
				b.Fatal(err)
			}
		}
	})
	b.Run("AccessKey", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := i.AccessKey(id, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
