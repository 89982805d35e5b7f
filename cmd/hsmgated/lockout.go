package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// asked is a change to principals or identity policies, as it would leave them.
type asked struct {
	what     string // what would be gone, for the error
	hint     string // how to do it all the same
	policies func(*store.Principal) (names []string, there bool)
	document *policy.Document // in place of that of the policy named
	named    string
}

// asTheyAre are the policies that principals have now.
func asTheyAre(p *store.Principal) ([]string, bool) { return p.Policies, true }

// changed are the policies of principals once one has what change makes of its own.
func changed(arn string, change func(names []string) []string) func(*store.Principal) ([]string, bool) {
	return func(p *store.Principal) ([]string, bool) {
		if p.ARN != arn {
			return p.Policies, true
		}
		return change(slices.Clone(p.Policies)), true
	}
}

// keepAdministrator refuses a change after which nobody could make keys and change
// their policies any more, as PutKeyPolicy refuses a policy that locks out.
func (i *identities) keepAdministrator(force bool, a asked) error {
	if force || i.administered(a) || !i.administered(asked{policies: asTheyAre}) {
		return nil
	}
	return &hintedError{fmt.Errorf("%s: without one, nobody can make, change or list keys", a.what),
		"make another one first ('hsmgated principal create --role administrator NAME'), or " + a.hint + " all the same with --force"}
}

// administered says whether anybody may manage keys by role and identity policies,
// without regard to where a call would come from.
func (i *identities) administered(a asked) bool {
	return slices.ContainsFunc(i.Principals(), func(p *store.Principal) bool {
		names, there := a.policies(p)
		if !there || identity.IsRole(p) { // whose sessions need a provider
			return false
		}
		who := policy.Principal{ARN: p.ARN, Role: policy.Role(p.Role), Tags: map[string]string{}}
		for _, t := range p.Tags {
			who.Tags[t.Name] = t.Value
		}
		for _, name := range names {
			doc := a.document
			if named, ok := i.Policy(name); name != a.named && ok {
				doc = named.Document.Compiled
			}
			attached, err := policy.Attach(name, doc)
			if err != nil {
				return false
			}
			who.Policies = append(who.Policies, attached)
		}
		return i.manages(who)
	})
}

// manages asks the policy about a key that has none of its own, and for a new one.
func (i *identities) manages(who policy.Principal) bool {
	const key = "00000000-0000-0000-0000-000000000000"
	for action, arn := range map[string]string{
		"kms:PutKeyPolicy": "arn:aws:kms:" + i.config.Region + ":" + i.config.Account + ":key/" + key, "kms:CreateKey": "", "kms:ListKeys": "",
	} {
		r := policy.Request{Principal: who, Action: action, ResourceARN: arn, Time: time.Now(), Key: &policy.Key{MultiRegion: policy.False},
			Caller: policy.Caller{Region: i.config.Region, SecureTransport: true}}
		if arn != "" {
			r.KeyID = key
		}
		if !policy.Evaluate(r).Allowed {
			return false
		}
	}
	return true
}
