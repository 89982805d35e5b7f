package main

import (
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// A list of grants tells those that have ended from those that will.
func TestGrantEnds(t *testing.T) {
	at := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	g := api.GrantListEntry{ExpiresAt: api.NewTime(at)}
	if got := ends(&g, at.Add(-time.Second)); got != "2030-01-31T12:00:00Z" {
		t.Error(got)
	}
	if got := ends(&g, at); got != "ended 2030-01-31T12:00:00Z" {
		t.Error(got)
	}
}
