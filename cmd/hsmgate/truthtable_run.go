package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// failure is a case whose answer is another one.
type failure struct {
	Line                   int
	Case                   string
	Principal, Action, Key string
	Want, WantBy           string
	Got, By                string
	Reason                 string        `json:",omitempty"` // of a denial
	Steps                  []policy.Step // what the decision looked at
}

// run decides all cases. An error is a case that is not one, with its line.
func (t *truthTable) run() (decided int, failures []failure, err error) {
	for i, c := range t.Cases {
		for _, who := range c.Principal {
			for _, action := range c.Action {
				f, err := t.decide(c, who, action)
				if err != nil {
					return 0, nil, fmt.Errorf("line %d, case %q: %w", t.lines[i], c.Name, err)
				}
				decided++
				if f != nil {
					f.Line = t.lines[i]
					failures = append(failures, *f)
				}
			}
		}
		if err := c.whole(); err != nil {
			return 0, nil, fmt.Errorf("line %d, case %q: %w", t.lines[i], c.Name, err)
		}
	}
	return decided, failures, nil
}

// whole finds what a case lacks.
func (c tableCase) whole() error {
	switch {
	case c.Name == "":
		return errors.New("it has no name")
	case len(c.Principal) == 0:
		return errors.New("it has no principal")
	case len(c.Action) == 0:
		return errors.New("it has no action")
	case c.Expect != "allow" && c.Expect != "deny":
		return fmt.Errorf("expect is %q: allow or deny would be right", c.Expect)
	}
	return nil
}

// decide decides one case by one principal and action; nil when it is as expected.
func (t *truthTable) decide(c tableCase, who, action string) (*failure, error) {
	r, err := t.request(c, who, action)
	if err != nil {
		return nil, err
	}
	d := policy.Evaluate(r)
	got := "deny"
	if d.Allowed {
		got = "allow"
	}
	if got == c.Expect && (c.By == "" || c.By == d.Statement) {
		return nil, nil
	}
	return &failure{Case: c.Name, Principal: who, Action: action, Key: cmp.Or(c.Key, c.Role, c.User), Want: c.Expect, WantBy: c.By,
		Got: got, By: d.Statement, Reason: d.Reason, Steps: policy.Explain(r)}, nil
}

// request makes the request of a case, as the gateway makes one of a call.
func (t *truthTable) request(c tableCase, who, action string) (r policy.Request, err error) {
	if !slices.Contains(policy.Actions(), action) {
		return r, fmt.Errorf("unknown action %q: one such as kms:Sign, in that spelling and without wildcards, would be right", action)
	}
	r.Action = action
	r.Caller.Region = t.Region
	if r.Principal, err = t.principal(who); err != nil {
		return r, err
	}
	if err := t.target(&r, c); err != nil {
		return r, err
	}
	for _, with := range []map[string]texts{t.With, t.Principals[who].With, c.With} {
		for _, key := range slices.Sorted(maps.Keys(with)) {
			into := &r
			if !policy.MayHave(action, key) {
				into = new(policy.Request) // it has to be a condition key all the same
			}
			if err := into.Set(key, with[key]...); err != nil {
				return r, err
			}
			if into != &r && c.With[key] != nil {
				return r, fmt.Errorf("no request for %s has %s", action, key)
			}
		}
	}
	if len(r.Principal.Claims) > 0 && policy.RoleOf(r.Principal.ARN) == "" {
		return r, fmt.Errorf("principal %s has claims, which come with a token, and who has one is a session of a role: an arn such as arn:aws:sts::%s:assumed-role/%s/x would be right", who, t.Account, who)
	}
	if missing := r.Missing(); len(missing) > 0 {
		return r, fmt.Errorf("a policy asks for %s, which every request for %s has: put a value in with, or in the key", strings.Join(missing, ", "), action)
	}
	return r, nil
}

// target sets what the action is on: a key by its name in the table or by an alias,
// an alias itself where the action is about one, a role, a user, or the service.
func (t *truthTable) target(r *policy.Request, c tableCase) error {
	name, alone, caller := c.Key, policy.AboutNoKey(r.Action), policy.AboutCaller(r.Action)
	switch {
	case caller == "" && c.Role+c.User != "":
		return fmt.Errorf("%s is about no role or user", r.Action)
	case caller != "":
		return t.caller(r, c, caller)
	case alone && name != "" && name != "*":
		return fmt.Errorf("%s is about no key", r.Action)
	case name == "" && !alone:
		return fmt.Errorf("%s is about a key: its name is missing", r.Action)
	case name == "" || name == "*":
		return nil
	}
	arn := "arn:aws:kms:" + t.Region + ":" + t.Account + ":"
	if strings.HasPrefix(name, "alias/") {
		if strings.HasSuffix(r.Action, "Alias") {
			r.ResourceARN = arn + name
			return nil
		}
		r.Call.RequestAlias = name
		for n, k := range t.Keys {
			if slices.Contains(k.Aliases, name) {
				name = n
			}
		}
	}
	k, ok := t.Keys[name]
	if !ok {
		return unknownIn("key", name, t.Keys)
	}
	r.KeyID = k.id(name)
	r.ResourceARN = arn + "key/" + r.KeyID
	r.Key = &policy.Key{Spec: k.Spec, Usage: k.Usage, Origin: k.Origin, Aliases: k.Aliases, Tags: maps.Clone(k.Tags), MultiRegion: policy.False}
	if k.Origin == "" {
		r.Key.Origin = "AWS_KMS"
	}
	return t.access(r, k)
}

// caller sets the role or the user that the action is on.
func (t *truthTable) caller(r *policy.Request, c tableCase, kind string) error {
	name, other := c.Role, c.User
	if kind == "user" {
		name, other = c.User, c.Role
	}
	switch {
	case c.Key+other != "":
		return fmt.Errorf("%s is about a %s, and nothing else", r.Action, kind)
	case name == "" && kind == "role":
		return fmt.Errorf("%s is about a role: its name is missing", r.Action)
	case name == "":
		r.ResourceARN = r.Principal.ARN
		return nil
	}
	r.ResourceARN = "arn:aws:iam::" + t.Account + ":" + kind + "/" + name
	return nil
}

// access adds the policy and the grants of a key.
func (t *truthTable) access(r *policy.Request, k tableKey) (err error) {
	if r.Grants, err = t.grants(k, r.KeyID); err != nil || k.Policy == "" {
		return err
	}
	r.KeyPolicy, err = t.document(k.Policy, policy.KeyPolicy)
	return err
}
