package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestJWTExpiry: exp in the claims is a time that those who read the token know.
func TestJWTExpiry(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for exp, says := range map[string]string{
		"1800000001":    "",
		"253402300799":  "",
		"253402300800":  "year 9999",
		"1800000300000": "milliseconds", // five minutes from now in these
		"1e300":         "year 9999",
		"1800000000":    "later than now",
		`"tomorrow"`:    "a number of seconds",
	} {
		claims := claimFlags{file: filepath.Join(t.TempDir(), "claims.json")}
		if err := os.WriteFile(claims.file, []byte(`{"exp":`+exp+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := claims.payload(now)
		if says == "" {
			if err != nil {
				t.Errorf("%s: %v", exp, err)
			}
			continue
		}
		if err == nil || !errors.As(err, new(*usageError)) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", exp, err, says)
		}
	}
}
