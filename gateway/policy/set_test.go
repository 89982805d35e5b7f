package policy_test

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestSet: every condition key that does not follow from an ARN can be set, and is
// then what a condition finds. The tables show the values.
func TestSet(t *testing.T) {
	t.Parallel()
	derived := "kms:CallerAccount aws:PrincipalArn aws:PrincipalAccount aws:PrincipalType aws:username aws:ResourceAccount"
	value := map[string]string{"aws:SourceIp": "10.0.0.1", "aws:CurrentTime": "2026-01-31T12:00:00Z", "aws:EpochTime": "1769860800", "kms:ValidTo": "2026-01-31"}
	for _, key := range policy.ConditionKeys() {
		if strings.HasSuffix(key, "/") || strings.HasSuffix(key, ":") {
			key += "x"
		}
		r := request(alice, "kms:Sign")
		text := value[key]
		for _, try := range []string{text, "true", "30"} { // the last two are any text, a boolean, a number of days
			if try == "" {
				continue
			}
			if text = try; r.Set(key, text) == nil {
				break
			}
		}
		err := r.Set(key, text)
		if strings.Contains(derived, key) {
			if err == nil || !strings.Contains(err.Error(), "it follows from the ARNs") {
				t.Errorf("%s: %v", key, err)
			}
			continue
		}
		r.KeyPolicy = must(t, document(statement("Allow", `{"Null":{"`+key+`":"false"}}`)), policy.KeyPolicy)
		if d := policy.Evaluate(r); err != nil || !d.Allowed {
			t.Errorf("%s: %v, and a condition finds no value", key, err)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key    string
		values []string
		want   string
	}{
		{"kms:SigningAlgoritm", []string{"x"}, `unknown condition key "kms:SigningAlgoritm": kms:SigningAlgorithm would be right`},
		{"kms:KeySpec", nil, "has no value"},
		{"kms:KeySpec", []string{"a", "b"}, "has 2 values: one would be right"},
		{"aws:SourceIp", []string{"10.0.0.0/8"}, `"10.0.0.0/8": an address would be right`},
		{"aws:CurrentTime", []string{"noon"}, "a date such as"},
		{"aws:SecureTransport", []string{"yes"}, "true or false would be right"},
		{"kms:MultiRegion", []string{"1"}, "true or false would be right"},
		{"kms:RotationPeriodInDays", []string{"0"}, "a number of days would be right"},
		{"aws:username", []string{"x"}, "cannot be set"},
	} {
		r := request(alice, "kms:Sign")
		if err := r.Set(c.key, c.values...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want %s", c.key, c.values, err, c.want)
		}
	}
}
