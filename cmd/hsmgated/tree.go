package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"

	"github.com/hsmgate/hsmgate/gateway"
)

// tree says how the tree of the audit log is kept, of the daemon with that name.
func (c *Config) tree(instance string) gateway.Tree {
	return gateway.Tree{Path: c.Audit.Path, Origin: c.origin(instance), OriginIsSet: c.Audit.Origin != "", Interval: c.Audit.CheckpointInterval}
}

// origin is the name of the log. One that is made from the name of the machine has a part of a hash beside it, since
// machines have the same name easily.
func (c *Config) origin(instance string) string {
	if c.Audit.Origin != "" {
		return c.Audit.Origin
	}
	name := instance
	if host, err := os.Hostname(); c.Instance == "" && err == nil {
		sum := sha256.Sum256([]byte(instance))
		name = host + "-" + hex.EncodeToString(sum[:4])
	}
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '+' {
			return '-'
		}
		return r
	}, name)
	return "hsmgate/" + name[:min(len(name), 150)]
}
