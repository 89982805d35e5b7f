package main

import (
	"io"
	"strings"
	"testing"
)

// Mistakes in the command line have an exit code of their own, wherever they are found.
func TestUsage(t *testing.T) {
	t.Setenv("HSMGATE_URL", "http://127.0.0.1:1") // nothing is called
	t.Setenv("HSMGATE_TOKEN", "hsmgate_t")
	for _, args := range []string{
		"--nosuch", "nosuch", "key nosuch", "key list --nosuch", "key list x", "key describe", "--output xml key list",
		"key rotation --every 100 --off k", "grant list a b", "grant retire a b --grant g", "key move-primary k",
		"re-encrypt f", "re-encrypt --key k --from-algorithm x f", "data-key-pair --key k", "data-key-pair --key k --spec x --encrypted f",
		"secret derive -o f p", "approval request f", "approval request --key k", "approval request --key k --until x --count 1", "approval request --key k --until 2030-01-01T00:00:00Z f",
		"grant create k --to arn:aws:iam::000000000000:user/x --operation Sign --uses 0", "grant create k --to arn:aws:iam::000000000000:user/x --operation Sign --uses -2",
		"approval request --key k --until 2030-01-01T00:00:00Z", "approval request --key k --digest foo", "approval request --key k --valid-for 3s usage_test.go",
		"approval rule put k --required 0 --approver arn:aws:iam::000000000000:user/x", "grant create k --to builder --operation Sign",
		"grant create k --to arn:aws:iam::000000000000:user/x --operation Decrpt", "policy test ../../docs/examples/auditor/auditor.json",
		"policy explain --principal p --action Sign --key k", "policy explain --principal p --action kms:Sign", "approval approve k i", "approval rule put k", "approval show k", "secret encapsulate --key k -o f", "secret decapsulate --key k -o f a b",
		"audit query", "audit query l m", "audit query usage_test.go --outcome good", "audit query usage_test.go --since yesterday", "audit query usage_test.go --until 2026-13-01",
		"audit query usage_test.go --since 1d --until 2d", "audit query usage_test.go --digest sha256:00", "audit query usage_test.go --limit -1", "audit query usage_test.go --newest --oldest",
		"audit query usage_test.go --scan --index i", "audit query usage_test.go --since 999999d",
		"usage x", "usage --since 29d", "usage --since 0h", "usage --since x", "usage --by time", "usage --log no-such-log", "usage replay", "usage replay no-such-log", "usage replay --config no-such-file usage_test.go",
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(args))
		verb, err := root.ExecuteContextC(t.Context())
		if err == nil {
			t.Errorf("%s: no error", args)
		} else if code := report(io.Discard, verb.CommandPath(), err); code != exitUsage {
			t.Errorf("%s: exit code %d: %v", args, code, err)
		}
	}
}
