package gateway_test

import (
	"database/sql"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// withoutRecord has a call change the store and then find no audit log for its
// outcome: the database is locked between its beginning and its change. What another
// process writes in that time are the statements.
func withoutRecord(t *testing.T, g *gatewaytest.Gateway, call func() gatewaytest.Answer, meanwhile ...string) {
	t.Helper()
	db, err := sql.Open("sqlite3", g.StorePath+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()
	before := g.Audit.Head().Seq
	answered := make(chan gatewaytest.Answer, 1)
	go func() { answered <- call() }()
	until(t, "the call has begun", func() bool { return g.Audit.Head().Seq > before })
	move(t, g.AuditPath, g.AuditPath+".away")
	for _, statement := range meanwhile {
		if _, err := lock.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := lock.Commit(); err != nil {
		t.Fatal(err)
	}
	refusal(t, <-answered, 503, api.ServiceUnavailable)
	move(t, g.AuditPath+".away", g.AuditPath)
	until(t, "the log mends", func() bool { return g.Audit.Ready() == nil })
}

// TestChangesAreTakenBack: of key stores and multi-Region keys. That they were
// made in between, the log of operations says.
func TestChangesAreTakenBack(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{west, north}, KeyStores: map[string]hsm.Config{"second": hsmtest.NewToken(t)}})
	key := createMulti(t, g)
	replicate(t, g, home, key.KeyId, west)
	path := "/v1/keys/" + key.KeyId
	undone := 0
	check := func(what string, call func() gatewaytest.Answer, same func() bool) {
		t.Helper()
		withoutRecord(t, g, call)
		if undone++; !same() || g.Lines.FilterMessage("a change without an audit record was taken back").Len() != undone {
			t.Errorf("%s is not taken back", what)
		}
	}
	state := func(want api.KeyState) func() bool {
		return func() bool { return describe(t, g, key.KeyId).KeyState == want }
	}
	check("a replica", func() gatewaytest.Answer {
		return in(g, home, "POST", path+"/replicate", map[string]string{"ReplicaRegion": north})
	}, func() bool { _, there := g.Store.Key(north, key.KeyId); return !there })
	check("another primary region", func() gatewaytest.Answer {
		return in(g, home, "PUT", path+"/primary-region", map[string]string{"PrimaryRegion": west})
	}, func() bool { return describe(t, g, key.KeyId).MultiRegionConfiguration.PrimaryKey.Region == home })
	published := func() bool { _, there := g.Store.Published("release"); return there }
	check("a publication", func() gatewaytest.Answer {
		return in(g, home, "PUT", path+"/publication", map[string]string{"Name": "release"})
	}, func() bool { return !published() })
	do(t, g, home, "PUT", path+"/publication", map[string]string{"Name": "release"})
	check("the end of a publication", func() gatewaytest.Answer { return in(g, home, "DELETE", path+"/publication", nil) }, published)
	check("the wait for the replicas", func() gatewaytest.Answer {
		return in(g, home, "POST", path+"/schedule-deletion", nil)
	}, state(api.Enabled))
	do(t, g, home, "POST", path+"/schedule-deletion", map[string]int{"PendingWindowInDays": 9})
	check("the end of that wait", func() gatewaytest.Answer {
		return in(g, home, "POST", path+"/cancel-deletion", nil)
	}, func() bool {
		return state(api.PendingReplicaDeletion)() && describe(t, g, key.KeyId).PendingDeletionWindowInDays == 9
	})
	check("a disconnection", func() gatewaytest.Answer { return connect(t, g, "disconnect", "second") },
		func() bool { return !g.Store.Disconnected("second") })
	comes(t, g, "second", "CONNECTED")
	connect(t, g, "disconnect", "second")
	comes(t, g, "second", "DISCONNECTED")
	check("a connection", func() gatewaytest.Answer { return connect(t, g, "connect", "second") },
		func() bool { return g.Store.Disconnected("second") })
	replicate(t, g, home, mustEnable(t, g, key.KeyId), north) // what was taken back can be made
}

func mustEnable(t testing.TB, g *gatewaytest.Gateway, id string) string {
	t.Helper()
	do(t, g, home, "POST", "/v1/keys/"+id+"/cancel-deletion", nil)
	do(t, g, home, "POST", "/v1/keys/"+id+"/enable", nil)
	return id
}

// TestWhatIsTakenBackIsNotStale: another process uses the grant that the call ends,
// and disables the access keys that it deletes and disables. That stays.
func TestWhatIsTakenBackIsNotStale(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	id := a.counted(a.signing, 1, "Sign")
	admin := func(method, path string, body any) func() gatewaytest.Answer {
		return func() gatewaytest.Answer { return a.Send(a.Admin.Token, method, path, body) }
	}
	withoutRecord(t, a.Gateway, admin("POST", "/v1/keys/"+a.signing+"/revoke-grant", map[string]string{"GrantId": id}),
		"UPDATE grants SET uses_left = 0, used_at = 1 WHERE id = '"+id+"'")
	if left := a.usesLeft(a.signing, id); left != 0 {
		t.Errorf("%d uses are left of the grant", left)
	}
	a.denied("a second use", a.sign(a.user), "kms:Sign")

	a.attach(a.Admin, "access-keys", statement("Allow", "", "hsmgate:*AccessKey"))
	key := map[string]string{"UserName": "user", "AccessKeyId": a.user.AccessKeyID, "Status": "Inactive"}
	disabled := "UPDATE access_keys SET disabled = 1 WHERE id = '" + a.user.AccessKeyID + "'"
	withoutRecord(t, a.Gateway, admin("POST", "/v1/access-keys/update", key), disabled)
	if k, ok := a.Store.AccessKey(a.user.AccessKeyID); !ok || !k.Disabled {
		t.Errorf("the access key that both disable: %+v", k)
	}
	if _, err := a.Store.SetAccessKeyDisabled(t.Context(), a.user.AccessKeyID, false); err != nil {
		t.Fatal(err)
	}
	delete(key, "Status")
	withoutRecord(t, a.Gateway, admin("POST", "/v1/access-keys/delete", key), disabled)
	if k, ok := a.Store.AccessKey(a.user.AccessKeyID); !ok || !k.Disabled {
		t.Errorf("the access key that is deleted: %+v", k)
	}
}
