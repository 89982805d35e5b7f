package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/witness"
)

// trust is whose signatures on checkpoints count.
type trust struct {
	logKey      string
	witnessKeys []string
}

func (t *trust) flags(c *cobra.Command, fallback string) {
	c.Flags().StringVar(&t.logKey, "log-key", "", "file with the verifier key of the log"+fallback)
}

func (t *trust) witnessFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&t.witnessKeys, "witness-key", nil, "file with the verifier key of a witness, who has to have cosigned; may be repeated")
}

// maxKeys bounds a file of keys, in bytes.
const maxKeys = 64 << 10

// read reads the keys. Where no file is named, the log's are those that lie beside it.
func (t *trust) read(beside tree.Dir) (auditor.Trust, error) {
	var out auditor.Trust
	switch {
	case t.logKey != "":
		text, err := readInput(t.logKey, maxKeys)
		if err != nil {
			return out, err
		}
		if out.Log, err = tree.ParseKeys(string(text)); err != nil {
			return out, usagef("--log-key: %s: %w", t.logKey, err)
		}
	case beside == "":
		return out, required(t.logKey, "log-key")
	default:
		var err error
		if out.Log, err = beside.Keys(); err != nil {
			return out, err
		}
		hint("the log's key was taken from beside the log: who can rewrite the log can change it, too; keep a copy and give it with --log-key")
	}
	for _, name := range t.witnessKeys {
		text, err := readInput(name, maxKeys)
		if err != nil {
			return out, err
		}
		key, err := witness.ParseKey(strings.TrimSpace(string(text)))
		if err != nil {
			return out, usagef("--witness-key: %s: %w", name, err)
		}
		out.Witnesses = append(out.Witnesses, key)
	}
	return out, nil
}

// checkpoint reads one from a file, as it has to be: of the log, and cosigned.
func checkpoint(name string, by auditor.Trust) (tree.Checkpoint, error) {
	text, err := readInput(name, maxReceipt)
	if err != nil {
		return tree.Checkpoint{}, err
	}
	c, err := by.Parse(text)
	if err == nil {
		err = by.Cosigned(c)
	}
	if err != nil {
		return c, &noError{fmt.Errorf("%s: %w", name, err)}
	}
	return c, nil
}

// saved reads checkpoints that somebody kept: each file holds one, or the history of a place that keeps all.
func saved(files []string, by auditor.Trust) ([]auditor.Saved, error) {
	var all []auditor.Saved
	for _, name := range files {
		text, err := readInput(name, maxHistory)
		if err != nil {
			return nil, err
		}
		if len(text) > 0 && text[0] == '{' {
			of, err := history(name, text, by)
			if err != nil {
				return nil, err
			}
			all = append(all, of...)
			continue
		}
		c, err := by.Parse(text)
		if err != nil {
			return nil, &noError{fmt.Errorf("%s: %w", name, err)}
		}
		all = append(all, auditor.Saved{Name: name, Checkpoint: c})
	}
	return all, nil
}
