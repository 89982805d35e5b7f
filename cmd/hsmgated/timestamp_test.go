package main

import (
	"strings"
	"testing"
)

// TestTimestampSettings: what is wrong with an authority is said before anything is opened.
func TestTimestampSettings(t *testing.T) {
	const module = "token: {module: x}\n"
	for text, says := range map[string]string{
		"timestamp: {key: alias/tsa, certificate_file: tsa.pem, policy: 1.2.3.4, accuracy: 1s, public: true, public_limit: {requests_per_second: 5}}": "",
		"timestamp: {policy: 1.2.3}":                                                                "timestamp.key",
		"timestamp: {key: alias/tsa, policy: 1.2.3}":                                                "certificate_file",
		"timestamp: {key: alias/tsa, certificate_file: tsa.pem}":                                    "no object identifier",
		"timestamp: {key: alias/tsa, certificate_file: tsa.pem, policy: 3.1}":                       "no object identifier",
		"timestamp: {key: alias/tsa, certificate_file: tsa.pem, policy: 1.2.3, accuracy: 1ns}":      "accuracy",
		"timestamp: {key: alias/tsa, certificate_file: tsa.pem, policy: 1.2.3, accuracy: 500us}":    "at least 1ms",
		"timestamp: {key: alias/tsa, certificate_file: a, policy: 1.2.3, public_limit: {burst: 1}}": "public_limit",
	} {
		c, err := parseConfig([]byte(module+text), "/etc/hsmgate/hsmgated.yaml")
		if err != nil {
			t.Fatal(text, err)
		}
		switch err := c.check(); {
		case says == "" && err != nil, says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v", text, err)
		}
		if says == "" && c.Timestamp.CertificateFile != "/etc/hsmgate/tsa.pem" {
			t.Error(c.Timestamp.CertificateFile)
		}
	}
}
