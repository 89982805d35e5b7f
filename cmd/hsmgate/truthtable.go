package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// truthTable is the file of 'policy test': policies, who is there, and what each
// may do. What it does not give, a request does not have.
type truthTable struct {
	Account    string                    `yaml:"account"` // of all ARNs; default 000000000000
	Region     string                    `yaml:"region"`  // default us-east-1
	With       map[string]texts          `yaml:"with"`    // condition keys of every case
	Keys       map[string]tableKey       `yaml:"keys"`
	Principals map[string]tablePrincipal `yaml:"principals"`
	Cases      []tableCase               `yaml:"cases"`

	folder string // of the file: policies are named from there
	lines  []int  // of the cases
}

// tableKey is a key with its policy.
type tableKey struct {
	Policy  string            `yaml:"policy"` // a file; none is AWS's default policy
	ID      string            `yaml:"id"`     // default: its name in the table
	Spec    string            `yaml:"spec"`
	Usage   string            `yaml:"usage"`
	Origin  string            `yaml:"origin"` // default AWS_KMS
	Aliases []string          `yaml:"aliases"`
	Tags    map[string]string `yaml:"tags"`
	Grants  []tableGrant      `yaml:"grants"`
}

// tableGrant is a grant on a key.
type tableGrant struct {
	ID            string            `yaml:"id"`
	To            string            `yaml:"to"` // a principal of the table
	Operations    []string          `yaml:"operations"`
	ContextEquals map[string]string `yaml:"context_equals"`
	ContextSubset map[string]string `yaml:"context_subset"`
}

// tablePrincipal is a caller.
type tablePrincipal struct {
	ARN      string            `yaml:"arn"`      // default: the user of its name in the table
	Role     string            `yaml:"role"`     // administrator or user, as for hsmgated; or none
	Keys     []string          `yaml:"keys"`     // of the table, that the role user may use
	Policies []string          `yaml:"policies"` // files of identity policies, each attached by its name without .json
	Tags     map[string]string `yaml:"tags"`
	With     map[string]texts  `yaml:"with"` // condition keys of all its calls, such as claims
}

// tableCase is one line of the table, or several that share an answer.
type tableCase struct {
	Name      string           `yaml:"name"`
	Principal texts            `yaml:"principal"`
	Action    texts            `yaml:"action"`
	Key       string           `yaml:"key"`  // of the table, or one of its aliases; none for an action on no key, or "*"
	Role      string           `yaml:"role"` // the name of one, for sts:AssumeRole
	User      string           `yaml:"user"` // the name of one, for an action on access keys; default: the principal itself
	With      map[string]texts `yaml:"with"`
	Expect    string           `yaml:"expect"` // allow or deny
	By        string           `yaml:"by"`     // what decides, as in the audit record
}

// texts is a text or a list of texts.
type texts []string

// UnmarshalYAML reads a scalar as it is written: a date or a number is text here.
func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, i := range items {
		if i.Kind != yaml.ScalarNode || i.ShortTag() == "!!null" {
			return fmt.Errorf("line %d: a text or a list of texts would be right", i.Line)
		}
		*t = append(*t, i.Value)
	}
	return nil
}

// readTable reads a truth table; an unknown member is refused, with its line.
func readTable(name string) (*truthTable, error) {
	text, err := readInput(name, largestPolicy)
	if err != nil {
		return nil, err
	}
	t := &truthTable{Account: "000000000000", Region: "us-east-1", folder: filepath.Dir(name)}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it holds more than one YAML document", name)
	}
	if len(t.Cases) == 0 {
		return nil, fmt.Errorf("%s: it has no cases", name)
	}
	t.lines, err = caseLines(text)
	return t, err
}

// caseLines are the lines on which the cases begin.
func caseLines(text []byte) (lines []int, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	members := root.Content[0].Content
	for i := 0; i+1 < len(members); i += 2 {
		if members[i].Value == "cases" {
			for _, c := range members[i+1].Content {
				lines = append(lines, c.Line)
			}
		}
	}
	return lines, nil
}

// document reads a policy of the table.
func (t *truthTable) document(file string, kind policy.Kind) (*policy.Document, error) {
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(t.folder, file)
	}
	text, err := policyFile(path)
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse([]byte(text), kind)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return doc, nil
}

// principal makes a caller of the table.
func (t *truthTable) principal(name string) (policy.Principal, error) {
	p, ok := t.Principals[name]
	if !ok {
		return policy.Principal{}, unknownIn("principal", name, t.Principals)
	}
	made := policy.Principal{ARN: p.ARN, Role: policy.Role(p.Role), Keys: make(map[string]bool), Tags: maps.Clone(p.Tags)}
	if p.ARN == "" {
		made.ARN = "arn:aws:iam::" + t.Account + ":user/" + name
	}
	if !policy.IsPrincipal(made.ARN) {
		return made, fmt.Errorf("principal %s: %q is not the ARN of a principal", name, made.ARN)
	}
	if p.Role != "" && !made.Role.Valid() {
		return made, fmt.Errorf("principal %s: role %q: administrator or user would be right", name, p.Role)
	}
	for _, key := range p.Keys {
		k, ok := t.Keys[key]
		if !ok {
			return made, unknownIn("key", key, t.Keys)
		}
		made.Keys[k.id(key)] = true
	}
	for _, file := range p.Policies {
		doc, err := t.document(file, policy.IdentityPolicy)
		if err != nil {
			return made, err
		}
		a, err := policy.Attach(strings.TrimSuffix(filepath.Base(file), ".json"), doc)
		if err != nil {
			return made, err
		}
		made.Policies = append(made.Policies, a)
	}
	return made, nil
}

func (k tableKey) id(name string) string {
	if k.ID != "" {
		return k.ID
	}
	return name
}

// grants makes the grants of a key.
func (t *truthTable) grants(k tableKey, id string) (all []policy.Grant, err error) {
	for _, g := range k.Grants {
		to, err := t.principal(g.To)
		if err != nil {
			return nil, err
		}
		all = append(all, policy.Grant{ID: g.ID, KeyID: id, Grantee: to.ARN, Operations: g.Operations,
			EncryptionContextEquals: g.ContextEquals, EncryptionContextSubset: g.ContextSubset})
	}
	return all, nil
}

// unknownIn is the error for a name that the table does not have.
func unknownIn[V any](what, name string, in map[string]V) error {
	return fmt.Errorf("there is no %s %q in the table: it has %s", what, name, strings.Join(slices.Sorted(maps.Keys(in)), ", "))
}
