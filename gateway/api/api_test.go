package api_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestTime: seconds with at most three decimals, the form that every SDK reads.
func TestTime(t *testing.T) {
	t.Parallel()
	for wire, instant := range map[string]time.Time{
		"1700000000":     time.Unix(1700000000, 0),
		"1700000000.123": time.Unix(1700000000, 123_000_000),
		"0":              time.Unix(0, 0),
		"-1.500":         time.Unix(-2, 500_000_000),
	} {
		written, err := json.Marshal(api.Time{Time: instant})
		if err != nil || string(written) != wire {
			t.Errorf("%s: %s %v", wire, written, err)
		}
		var read api.Time
		if err := json.Unmarshal([]byte(wire), &read); err != nil || !read.Equal(instant) {
			t.Errorf("%s: %v %v", wire, read, err)
		}
	}
	var read api.Time
	for wire, want := range map[string]int64{"1.7e9": 1700000000, "1700000000.0004": 1700000000} {
		if err := json.Unmarshal([]byte(wire), &read); err != nil || read.Unix() != want {
			t.Errorf("%s: %v %v", wire, read, err)
		}
	}
	for _, wire := range []string{`"2026-01-01T00:00:00Z"`, "true", "{}", "1e300", "-1e12"} {
		if err := json.Unmarshal([]byte(wire), &read); err == nil {
			t.Errorf("%s is taken for a time", wire)
		}
	}
	if api.NewTime(time.Time{}) != nil {
		t.Error("the zero time is written")
	}
}

// TestCheckTexts are the words of AWS, in which no binary and no long value
// stands.
func TestCheckTexts(t *testing.T) {
	t.Parallel()
	limit := func(n int) *int { return &n }
	for want, in := range map[string]interface{ Check(*api.Checker) }{
		"": &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}, Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256},
		"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null": &api.EnableKeyRequest{},
		"2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; " +
			"Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096": &api.EncryptRequest{Plaintext: make([]byte, 4097)},
		"1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1":                            &api.ListKeysRequest{Limit: limit(0)},
		"1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 2048":                               &api.DescribeKeyRequest{KeyTarget: api.KeyTarget{KeyId: strings.Repeat("secret", 400)}},
		"1 validation error detected: Value 'RAWW' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]":      &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}, Message: []byte("m"), MessageType: "RAWW", SigningAlgorithm: api.ECDSASHA256},
		"1 validation error detected: Value 'alias/ü' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$": &api.DeleteAliasRequest{AliasName: "alias/ü"},
	} {
		var c api.Checker
		in.Check(&c)
		err := c.Err()
		switch {
		case want == "" && err != nil, want != "" && (err == nil || err.Code != api.Validation || err.Message != want):
			t.Errorf("%+v\nwant %s", err, want)
		}
	}
}

// TestErrorKeepsItsCause for the log, and out of the message.
func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("the disk is full")
	err := &api.Error{Code: api.Internal, Message: "An internal error occurred.", Cause: cause}
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "disk") || err.Error() != "KMSInternalException: An internal error occurred." {
		t.Error(err)
	}
	if text := (&api.Error{Code: api.InvalidCiphertext}).Error(); text != "InvalidCiphertextException" {
		t.Error(text)
	}
}
