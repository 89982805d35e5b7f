package main

import (
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Imported versions are shown with their expiry and description, and one that waits for
// its rotation is not said to be used since creation. Other keys have no such columns.
func TestPrintVersions(t *testing.T) {
	until := api.NewTime(time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC))
	all := []api.RotationsListEntry{
		{KeyVersion: 1, KeyMaterialState: api.Current, KeyMaterialId: "aa", ImportState: api.Imported,
			ExpirationModel: api.KeyMaterialExpires, ValidTo: until, KeyMaterialDescription: "from the vault"},
		{KeyVersion: 2, KeyMaterialState: api.PendingRotation, KeyMaterialId: "bb", ImportState: api.Imported, ExpirationModel: api.KeyMaterialDoesNotExpire},
		{KeyVersion: 3, KeyMaterialState: api.NonCurrent, KeyMaterialId: "cc", ImportState: api.ImportPending},
	}
	var got strings.Builder
	printVersions(&got, all)
	want := "VERSION\tSTATE\tUSED FROM\tBY\tMATERIAL\tIMPORT\tEXPIRES\tDESCRIPTION\n" +
		"1\tCURRENT\tcreation\t-\taa\tIMPORTED\t2030-01-31T12:00:00Z\tfrom the vault\n" +
		"2\tPENDING_ROTATION\t-\t-\tbb\tIMPORTED\tnever\t\n" +
		"3\tNON_CURRENT\tcreation\t-\tcc\tPENDING_IMPORT\t-\t\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	got.Reset()
	printVersions(&got, []api.RotationsListEntry{{KeyVersion: 1, KeyMaterialState: api.Current, KeyMaterialId: "aa"}})
	if want := "VERSION\tSTATE\tUSED FROM\tBY\tMATERIAL\n1\tCURRENT\tcreation\t-\taa\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}
