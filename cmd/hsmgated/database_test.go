package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// dsnConfig is a configuration whose database is PostgreSQL.
func dsnConfig(t *testing.T, dsn string, mode os.FileMode) *Config {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "dsn")
	if err := os.WriteFile(path, []byte(dsn+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return &Config{StoreDSNFile: path, SealKeyFile: filepath.Join(dir, "seal.key"), Account: "111122223333", Region: "eu-central-1"}
}

// TestPrincipalsInPostgreSQL: what principal and credential verbs do, with the
// database of the daemon open beside them.
func TestPrincipalsInPostgreSQL(t *testing.T) {
	c := dsnConfig(t, storetest.DSN(t), 0o600)
	daemon, _, err := openIdentities(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	daemon.Watch(t.Context())
	verb, ids, err := openIdentities(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer verb.Close()
	p, err := ids.CreatePrincipal(t.Context(), "admin", policy.RoleAdministrator, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ids.IssueAccessKey(t.Context(), p.ARN, time.Hour, time.Now()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(daemon.AccessKeys(p.ARN)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not see it")
		}
	}
	f := lookAtDatabase(t, c)
	if f.needed() != 0 || len(f.list) != 2 || !strings.Contains(f.list[0].Detail, "1 principals") {
		t.Errorf("check says %+v", f.list)
	}
	if err := os.Remove(c.SealKeyFile); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openIdentities(t.Context(), c); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("a new seal key is made beside sealed secrets: %v", err)
	}
}

// TestAnotherAccount: a database keeps the account and the region of its first
// start, and others are refused by name.
func TestAnotherAccount(t *testing.T) {
	dir := t.TempDir()
	first := Config{Store: filepath.Join(dir, "hsmgate.db"), SealKeyFile: filepath.Join(dir, "seal.key"), Account: "111122223333", Region: "eu-central-1"}
	open := func(c Config) error {
		s, _, err := openIdentities(t.Context(), &c)
		if err != nil {
			return err
		}
		return s.Close()
	}
	if err := open(first); err != nil {
		t.Fatal(err)
	}
	account, region := first, first
	account.Account, region.Region = "444455556666", "eu-west-1"
	for _, test := range []struct {
		config    Config
		was, says string
	}{{account, "111122223333", "444455556666"}, {region, "eu-central-1", "eu-west-1"}} {
		err := open(test.config)
		var hinted *hintedError
		if !errors.Is(err, store.ErrElsewhere) || !errors.As(err, &hinted) || !strings.Contains(err.Error(), test.was) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("error %v", err)
		}
		f := lookAtDatabase(t, &test.config)
		if !slices.ContainsFunc(f.list, func(one finding) bool {
			return one.What == "database" && one.State == stateNeeded && strings.Contains(one.Detail, test.was) && one.Do != ""
		}) {
			t.Errorf("check says %+v", f.list)
		}
	}
	if err := open(first); err != nil {
		t.Error(err)
	}
}

// TestCheckMigratesNothing: an empty database stays so.
func TestCheckMigratesNothing(t *testing.T) {
	c := dsnConfig(t, storetest.DSN(t), 0o600)
	for range 2 { // the second would find what the first had made
		f := lookAtDatabase(t, c)
		if len(f.list) != 1 || f.list[0].State != stateNote || !strings.Contains(f.list[0].Detail, "it is version 0") || !strings.Contains(f.list[0].Do, "start hsmgated") {
			t.Fatalf("check says %+v", f.list)
		}
	}
}

// TestDSNFile: others may not read it, and no message tells what is in it.
func TestDSNFile(t *testing.T) {
	const secret = "s3cret-word"
	for _, test := range []struct {
		dsn, want string
		mode      os.FileMode
	}{
		{"postgres://u:" + secret + "@127.0.0.1:1/d", "mode 0644", 0o644},
		{"postgres://u:" + secret + "@127.0.0.1:1/d", "cannot be opened", 0o600},
		{"postgres://u:" + secret + "@127.0.0.1:x/d", "the DSN cannot be read", 0o600},
		{"nonsense " + secret, "the DSN cannot be read", 0o600},
		{"", "is empty", 0o600},
	} {
		c := dsnConfig(t, test.dsn, test.mode)
		_, err := openStore(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("error %v, want %q", err, test.want)
		}
		f := lookAtDatabase(t, c)
		if len(f.list) != 1 || f.list[0].State != stateNeeded || f.list[0].Do == "" || strings.Contains(f.list[0].Detail+f.list[0].Do, secret) {
			t.Errorf("check says %+v", f.list)
		}
	}
	c := dsnConfig(t, "host=/nowhere dbname=d user=u password="+secret, 0o600)
	_, err := openStore(t.Context(), c)
	var hinted *hintedError
	if !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &hinted) || strings.Contains(err.Error()+hinted.hint, secret) {
		t.Errorf("error %v", err)
	}
}

// lookAtDatabase is what the check says of the database alone.
func lookAtDatabase(t *testing.T, c *Config) *findings {
	t.Helper()
	f := &findings{}
	if s := f.openDatabase(t.Context(), c); s != nil {
		f.database(t.Context(), c, s, nil)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return f
}
