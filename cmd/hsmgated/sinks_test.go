package main

import (
	"os"
	"regexp"
	"testing"
)

// TestSinksOfTheDocument reads the settings in docs/siem.md as the daemon does.
func TestSinksOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/siem.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("there are none")
	}
	for _, b := range blocks {
		c, err := parseConfig(append([]byte("token: {module: /m.so}\n"), b[1]...), "/etc/hsmgate/hsmgated.yaml")
		if err == nil {
			err = c.check()
		}
		if err != nil || len(c.Audit.Sinks) != 5 || c.Audit.Sinks[1].SecretFile != "/etc/hsmgate/pager.secret" || c.Audit.Sinks[1].Operations[0] != "Alert" {
			t.Errorf("%v\n%s", err, b[1])
		}
	}
}
