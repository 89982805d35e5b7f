package awsclients

import (
	"maps"
	"slices"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestEveryMember drives each operation of the Go SDK with all members of its
// input. A witness at the wire says which members came in calls that succeeded;
// those that the gateway refuses by design are in refusedMembers, and have to come
// with that refusal.
func TestEveryMember(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{
		Regions: []string{"eu-west-1"}, KeyStores: map[string]hsm.Config{"second": hsmtest.NewToken(t)}, Imports: gateway.Imports{AllowInMemory: true},
	})
	w := &witness{seen: make(map[string]map[string]bool)}
	b := &bench{client: goSDK(w.watch), Gateway: g, admin: accessOf(g, g.Admin)}
	t.Run("pages", b.testPagesOfOne)
	t.Run("filters", b.testFilters)
	t.Run("granted", b.testGranted)
	t.Run("dry runs", b.testDryRuns)
	t.Run("constraints", b.testConstraints)
	t.Run("the ends of grants", b.testEndsOfGrants)
	t.Run("new keys", b.testNewKeys)
	t.Run("replicas", b.testReplicas)
	t.Run("random numbers", b.testRandom)
	t.Run("import", func(t *testing.T) { importMaterial(t, g, newGoClient(b.admin, w.watch)) })
	// What the scenario of all clients has whole.
	t.Run("aliases", b.testAliases)
	t.Run("life", b.testLife)
	t.Run("tags", b.testTags)
	t.Run("rotation", b.testRotation)
	t.Run("regions", b.testRegions)
	t.Run("policies", b.testPolicies)
	t.Run("key stores", b.testKeyStores)
	t.Run("refused", b.testRefusedMembers)
	w.compare(t)
}

// compare names the members that the SDK never sent with success, and those of
// refusedMembers that were not refused.
func (w *witness) compare(t *testing.T) {
	t.Helper()
	all := sdkMembers(t)
	for _, r := range refusedMembers {
		if !slices.ContainsFunc(all, r.is) {
			t.Errorf("the SDK has no %s: take it out of refusedMembers", r.members)
		}
	}
	for _, member := range all {
		answers := w.seen[member]
		i := slices.IndexFunc(refusedMembers, func(r refusedMember) bool { return r.is(member) })
		switch {
		case i < 0 && !answers[taken]:
			t.Errorf("%s was never sent in a call that succeeded (%v)", member, answers)
		case i >= 0 && answers[taken]:
			t.Errorf("%s was taken: take it out of refusedMembers", member)
		case i >= 0 && !answers[refusedMembers[i].code]:
			t.Errorf("%s was never refused with %s (%v)", member, refusedMembers[i].code, answers)
		}
	}
}

// with adds members to a request.
func with(in params, more params) params {
	all := maps.Clone(in)
	maps.Copy(all, more)
	return all
}
