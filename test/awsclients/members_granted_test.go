package awsclients

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// granted is an operation that takes grant tokens, with all its other members but
// DryRun, on a key of its own.
type granted struct {
	op, spec, usage string
	operations      string // of the grant; "": the operation itself
	in              func(t *testing.T, b *bench, arn string) params
	code            string // of the error that the operation ends with; "": none
	check           func(t *testing.T, b *bench, in params, out result)
}

// testGranted has each made by who has nothing but a new grant, with its token:
// refused before, tried in a dry run that leaves no trace, made, and refused when
// the grant is over, whose token then spoils the call of an administrator, too.
func (b *bench) testGranted(t *testing.T) {
	for _, g := range allGranted {
		t.Run(g.op, func(t *testing.T) {
			arn := b.keyFor(t, g.spec, g.usage)
			in := g.in(t, b, arn)
			who, as := b.caller()
			b.denied(t, as, g.op, in)
			made := b.must(t, b.admin, "CreateGrant", params{"KeyId": arn, "GranteePrincipal": who, "Operations": strings.Fields(or(g.operations, g.op))})
			in["GrantTokens"] = []string{made.str(t, "GrantToken")}
			if slices.Contains(sdkMembers(t), g.op+".DryRun") {
				before := b.traces(t, arn)
				wantError(t, b.refused(t, as, g.op, with(in, params{"DryRun": true})), or(g.code, dryRun), "")
				if after := b.traces(t, arn); after != before {
					t.Errorf("after a dry run:\n%s\nbefore:\n%s", after, before)
				}
			}
			if g.code == "" {
				g.check(t, b, in, b.must(t, as, g.op, in))
			} else {
				wantError(t, b.refused(t, as, g.op, in), g.code, "")
			}
			b.must(t, b.admin, "RevokeGrant", params{"KeyId": arn, "GrantId": made.str(t, "GrantId")})
			b.denied(t, as, g.op, in)
			wantError(t, b.refused(t, b.admin, g.op, in), "InvalidGrantTokenException", "No grant has this token")
		})
	}
	b.everyGranted(t)
}

// everyGranted looks that the table has each operation with GrantTokens.
func (b *bench) everyGranted(t *testing.T) {
	for _, member := range sdkMembers(t) {
		op, is := strings.CutSuffix(member, ".GrantTokens")
		if is && !slices.ContainsFunc(allGranted, func(g granted) bool { return g.op == op }) {
			t.Errorf("%s is not in allGranted", op)
		}
	}
}

// keyFor makes a key, or takes a public one.
func (b *bench) keyFor(t *testing.T, spec, usage string) (arn string) {
	t.Helper()
	if spec == lattice {
		return b.adoptLattice(t)
	}
	_, arn = b.create(t, spec, usage)
	return arn
}

func (b *bench) denied(t *testing.T, as access, op string, in params) {
	t.Helper()
	if err := b.refused(t, as, op, in); err.code != "AccessDeniedException" {
		t.Errorf("%s by who may not: %v", op, err)
	}
}

// traces is what a call would leave at a key.
func (b *bench) traces(t *testing.T, arn string) string {
	t.Helper()
	var all strings.Builder
	for _, op := range []string{"DescribeKey", "GetKeyLastUsage", "ListGrants", "ListAliases", "ListResourceTags"} {
		all.WriteString(b.must(t, b.admin, op, params{"KeyId": arn}).text(t) + "\n")
	}
	return all.String()
}

// text is a result as one text.
func (r result) text(t *testing.T) string {
	t.Helper()
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

const dryRun = "DryRunOperationException"

// testDryRuns: a dry run needs a ciphertext that decrypts, unless it is told to
// ignore it; then there may be none.
func (b *bench) testDryRuns(t *testing.T) {
	_, arn := b.create(t, box, "ENCRYPT_DECRYPT")
	_, as := b.caller()
	spoiled := sealed(t, b, arn)
	spoiled[len(spoiled)-1] ^= 1
	ignore := params{"DryRun": true, "DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}
	for op, in := range map[string]params{
		"Decrypt":   with(sealing, params{"KeyId": arn}),
		"ReEncrypt": with(changing, params{"SourceKeyId": arn, "DestinationKeyId": arn}),
	} {
		bad := with(in, params{"CiphertextBlob": spoiled})
		wantError(t, b.refused(t, b.admin, op, with(bad, params{"DryRun": true})), "InvalidCiphertextException", "")
		wantError(t, b.refused(t, b.admin, op, with(bad, ignore)), dryRun, "The request would have succeeded, but the DryRun option is set.")
		wantError(t, b.refused(t, b.admin, op, with(in, ignore)), dryRun, "")
		b.denied(t, as, op, with(bad, ignore))
		ignore["DryRun"] = false
		wantError(t, b.refused(t, b.admin, op, with(bad, ignore)), "InvalidCiphertextException", "")
		ignore["DryRun"] = true
	}
}
