package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// stateTable is the key-state table of the AWS KMS developer guide, with the
// footnotes that are errors of a state: ok, or the number of the footnote. The
// columns: Enabled, Disabled, PendingDeletion (and PendingReplicaDeletion),
// PendingImport, Unavailable, Creating, Updating. Footnote 2 has the exception
// of 3: that is what AWS KMS was seen to answer. A dash is a cell that depends on
// more than the state: on the key's origin, or on whether it is in several Regions.
// Operations that are younger than the table have the row of those like them.
const stateTable = `
ApproveRequest                       ok ok ok ok ok ok ok
CancelApproval                       ok ok ok ok ok ok ok
CancelKeyDeletion                    4  4  ok 4  4  4  4
CreateAlias                          ok ok 3  ok ok ok ok
CreateGrant                          ok 1  2  5  ok 14 ok
Decapsulate                          ok 1  2  5  11 14 ok
Decrypt                              ok 1  2  5  11 14 ok
DeleteApprovalRule                   ok ok ok ok ok ok ok
DescribeApproval                     ok ok ok ok ok ok ok
GetApprovalRule                      ok ok ok ok ok ok ok
ListApprovals                        ok ok ok ok ok ok ok
PutApprovalRule                      ok ok ok ok ok ok ok
PublishKey                           ok ok 3  ok ok ok ok
UnpublishKey                         ok ok ok ok ok ok ok
RejectRequest                        ok ok ok ok ok ok ok
RequestApproval                      ok ok 3  ok ok ok ok
DeleteAlias                          ok ok ok ok ok ok ok
DeleteImportedKeyMaterial            ok ok ok ok -  14 15
DeriveSharedSecret                   ok 1  2  5  11 14 ok
DescribeKey                          ok ok ok ok ok ok ok
DisableKey                           ok ok 3  5  ok 14 15
DisableKeyRotation                   ok 1  3  -  -  14 ok
EnableKey                            ok ok 3  5  ok 14 15
EnableKeyRotation                    ok 1  3  -  -  14 ok
Encapsulate                          ok 1  2  5  11 14 ok
Encrypt                              ok 1  2  5  11 14 ok
GenerateDataKey                      ok 1  2  5  11 14 ok
GenerateDataKeyPair                  ok 1  2  5  11 14 ok
GenerateDataKeyPairWithoutPlaintext  ok 1  2  5  11 14 ok
GenerateDataKeyWithoutPlaintext      ok 1  2  5  11 14 ok
GenerateMac                          ok 1  2  5  11 14 ok
GetKeyHistory                        ok 1  2  5  11 14 ok
GetKeyLastUsage                      ok ok ok ok ok ok ok
GetKeyPolicy                         ok ok ok ok ok ok ok
GetKeyRotationStatus                 ok ok ok -  -  ok ok
GetParametersForImport               ok ok 3  ok -  14 15
GetPublicKey                         ok 1  2  5  11 14 ok
ImportKeyMaterial                    ok ok 3  ok -  14 ok
ListAliases                          ok ok ok ok ok ok ok
ListGrants                           ok ok ok ok ok ok ok
ListKeyPolicies                      ok ok ok ok ok ok ok
ListPublicKeys                       ok 1  2  5  11 14 ok
ListKeyRotations                     ok ok ok ok ok ok ok
ListResourceTags                     ok ok ok ok ok ok ok
PutKeyPolicy                         ok ok ok ok ok ok ok
ReEncrypt                            ok 1  2  5  11 14 ok
ReplicateKey                         ok 1  2  5  -  14 15
RetireGrant                          ok ok ok ok ok ok ok
RevokeGrant                          ok ok ok ok ok ok ok
RotateKeyOnDemand                    ok 1  3  5  -  14 ok
ScheduleKeyDeletion                  ok ok 3  ok ok ok 15
Sign                                 ok 1  2  5  11 14 ok
TagResource                          ok ok 3  ok ok ok ok
UntagResource                        ok ok 3  ok ok ok ok
UpdateAlias                          ok ok 3  ok ok ok ok
UpdateKeyDescription                 ok ok 3  ok ok ok ok
UpdatePrimaryRegion                  ok 1  2  5  -  14 ok
Verify                               ok 1  2  5  11 14 ok
VerifyMac                            ok 1  2  5  11 14 ok
`

// notYet are the rows of the table whose operations gateway.Ops does not have.
var notYet []string

// withoutState are operations that are about no key.
var withoutState = []string{
	"ConnectCustomKeyStore", "CreateCustomKeyStore", "CreateKey", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
	"DisconnectCustomKeyStore", "ExplainAccess", "GenerateRandom", "GetUsage", "ListKeys", "ListRetirableGrants", "UpdateCustomKeyStore",
}

// footnotes are the errors of the table.
var footnotes = map[string]struct {
	code api.Code
	text string // after the ARN
}{
	"1": {api.Disabled, "is disabled."}, "2": {api.KMSInvalidState, "is pending deletion."}, "3": {api.KMSInvalidState, "is pending deletion."},
	"4": {api.KMSInvalidState, "is not pending deletion."}, "5": {api.KMSInvalidState, "is pending import."}, "11": {api.KMSInvalidState, "is unavailable."},
	"14": {api.KMSInvalidState, "is creating."}, "15": {api.KMSInvalidState, "is updating."},
}

// stateColumn is the column of a state.
var stateColumn = map[api.KeyState]int{
	api.Enabled: 0, api.DisabledState: 1, api.PendingDeletion: 2, api.PendingReplicaDeletion: 2,
	api.PendingImport: 3, api.Unavailable: 4, api.Creating: 5, api.Updating: 6,
}

// readStateTable gives each row its cells, or one cell: refused.
func readStateTable() map[string][]string {
	rows := make(map[string][]string)
	for line := range strings.Lines(strings.TrimSpace(stateTable)) {
		cells := strings.Fields(line)
		rows[cells[0]] = cells[1:]
	}
	return rows
}

// cellOf is the cell of a state; refused stands for all.
func cellOf(cells []string, state api.KeyState) string {
	return cells[min(stateColumn[state], len(cells)-1)]
}

// wanted is the error of a cell.
func wanted(cells []string, state api.KeyState, arn string) (api.Code, string) {
	cell := cellOf(cells, state)
	note := footnotes[cell]
	switch {
	case cell == "ok" || cell == "refused":
		return "", ""
	case state == api.PendingReplicaDeletion:
		return note.code, fmt.Sprintf("%s %s", arn, strings.Replace(note.text, "pending deletion", "pending replica deletion", 1))
	}
	return note.code, fmt.Sprintf("%s %s", arn, note.text)
}

// TestStateTable walks every operation and every state, those that no key here
// gets into, too.
func TestStateTable(t *testing.T) {
	t.Parallel()
	rows, states := readStateTable(), api.Values("KeyState")
	if len(states) != len(stateColumn) {
		t.Errorf("AWS KMS has the states %v", states)
	}
	for name := range readModel(t).Operations {
		if (rows[name] == nil) != slices.Contains(withoutState, name) {
			t.Errorf("%s has no row, or one too many", name)
		}
	}
	for _, op := range gateway.Ops {
		cells := rows[op.Name]
		for _, state := range states {
			if cells == nil || cellOf(cells, api.KeyState(state)) == "-" {
				continue
			}
			code, text := wanted(cells, api.KeyState(state), "arn")
			err := op.States.Check("arn", api.KeyState(state))
			if (err == nil) != (code == "") || err != nil && (err.Code != code || err.Message != text) {
				t.Errorf("%s of a key that is %s: %v, want %s %s", op.Name, state, err, code, text)
			}
		}
	}
	for name := range rows {
		if _, there := gateway.OpNamed(name); there == slices.Contains(notYet, name) {
			t.Errorf("%s: take it out of notYet, or put it there", name)
		}
	}
}

// TestStatesOverTheWire calls every operation on a key in every state that a key
// can be in here.
func TestStatesOverTheWire(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	rows, all := readStateTable(), examples(p)
	for _, state := range []string{store.StateEnabled, store.StateDisabled, store.StatePendingDeletion, store.StatePendingReplicaDeletion, store.StatePendingImport} {
		for _, op := range gateway.Ops {
			cells, e := rows[op.Name], all[op.Name]
			if cells == nil || cellOf(cells, api.KeyState(state)) == "-" || !aboutOneKey(op) {
				continue
			}
			p.prepare()
			key := p.key(op)
			setState(t, p.g, key, state)
			a := p.g.Send(p.g.Admin.Token, op.Method, p.path(op), e.good, "Content-Type", "application/json")
			arn := "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":key/" + key
			code, text := wanted(cells, api.KeyState(state), arn)
			if cells[0] == "refused" {
				code, text = api.UnsupportedOperation, op.Name+" is not supported."
			}
			if code == "" && (a.Status >= 500 || a.Code() == string(api.Disabled) || a.Code() == string(api.KMSInvalidState)) || code != "" && a.Code() != string(code) || !strings.Contains(string(a.Body), text) {
				t.Errorf("%s of a key that is %s: %d %s, want %s %s", op.Name, state, a.Status, a.Body, code, text)
			}
			setState(t, p.g, key, store.StateEnabled)
		}
	}
}

// aboutOneKey says whether the path or the example of an operation names a key.
func aboutOneKey(op *gateway.Op) bool {
	return strings.Contains(op.Path, "{") || op.Name == "CreateAlias"
}

func setState(t testing.TB, g *gatewaytest.Gateway, key, state string) {
	t.Helper()
	var deletion time.Time
	var err error
	switch state {
	case store.StatePendingReplicaDeletion:
		err = g.Store.AwaitReplicas(t.Context(), gatewaytest.Region, key, 7, store.StateEnabled, store.StateDisabled, store.StatePendingDeletion)
	case store.StatePendingDeletion:
		deletion = g.Now().Add(7 * 24 * time.Hour)
		fallthrough
	default:
		err = g.Store.SetKeyState(t.Context(), gatewaytest.Region, key, state, deletion)
	}
	if err != nil {
		t.Fatal(err)
	}
}
