package policy_test

import (
	"bufio"
	"embed"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

//go:embed testdata/*.table
var tables embed.FS

// The tables of testdata are made of these lines:
//
//	page ...        the page of AWS's documents whose rule the cases show
//	when {...}      a Condition; each case below it is a request's condition keys
//	  holds k=v ... a statement with the condition applies
//	  fails k=v ... it does not
//	  unsure k=v ...an Allow does not apply and a Deny does: the request does not say
//	policies        a new set of policies, each on the line of its own:
//	key {...}       the key policy
//	identity n {...} an identity policy with the name n, of every caller
//	grant k=v ...   a grant
//	  allow who action by k=v ...  by is Decision.Statement; who is alice or an ARN
//	  deny who action by k=v ...
//	role r k=v      the callers' built-in role
//
// A line that ends in \ goes on in the next. %20 is a space within a value.
func TestTables(t *testing.T) {
	files, err := fs.Glob(tables, "testdata/*.table")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	cases := 0
	shown := make(map[string]bool)
	for _, name := range files {
		t.Run(strings.TrimPrefix(name, "testdata/"), func(t *testing.T) {
			b := &table{t: t, shown: shown}
			for line := range lines(t, name) {
				b.line(line)
			}
			cases += b.cases
		})
	}
	t.Logf("%d cases", cases)
	if cases < 400 {
		t.Errorf("%d cases: at least 400 are asked for", cases)
	}
	// Both ways: a request that the condition alone lets pass and stops as a Deny, and
	// one that it alone stops and lets pass.
	for _, way := range []string{"holds ", "fails "} {
		for _, k := range policy.ConditionKeys() {
			if !shown[way+k] {
				t.Errorf("no case in which a condition on %s alone %s", k, way)
			}
		}
		for _, o := range allOperators() {
			if !shown[way+o] {
				t.Errorf("no case in which %s alone %s", o, way)
			}
		}
	}
}

// lines gives the lines of a table that say something.
func lines(t *testing.T, name string) func(func(string) bool) {
	f, err := tables.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string) bool) {
		defer f.Close()
		whole := ""
		s := bufio.NewScanner(f)
		for s.Scan() {
			l := strings.TrimSpace(s.Text())
			if l == "" || strings.HasPrefix(l, "#") {
				continue
			}
			if more, ok := strings.CutSuffix(l, "\\"); ok {
				whole += more
				continue
			}
			if !yield(whole + l) {
				return
			}
			whole = ""
		}
	}
}

type table struct {
	t     *testing.T
	page  string
	cases int

	allow, deny *policy.Document // of the condition
	condition   string

	key        *policy.Document
	identities []policy.Attached
	grants     []policy.Grant
	role       policy.Role

	shown map[string]bool // "holds " or "fails " and an operator or key that alone decided so
}

func (b *table) line(l string) {
	verb, rest, _ := strings.Cut(l, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "page":
		b.page = rest
	case "when":
		b.when(rest)
	case "holds", "fails", "unsure":
		b.holds(verb, rest)
	case "policies":
		b.key, b.identities, b.grants, b.role = nil, nil, nil, ""
	case "key":
		b.key = must(b.t, rest, policy.KeyPolicy)
	case "identity":
		name, text, _ := strings.Cut(rest, " ")
		b.identities = append(b.identities, attach(b.t, name, text))
	case "grant":
		b.grants = append(b.grants, b.grant(rest))
	case "role":
		b.role = policy.Role(rest)
	case "allow", "deny":
		b.decision(verb == "allow", rest)
	default:
		b.t.Fatalf("unknown line: %s", l)
	}
}

func (b *table) when(condition string) {
	b.condition = condition
	b.allow = must(b.t, document(statement("Allow", condition)), policy.KeyPolicy)
	b.deny = must(b.t, document(statement("Allow", ""), statement("Deny", condition)), policy.KeyPolicy)
}

// count counts a case, which needs the page that its rule is from.
func (b *table) count() {
	b.cases++
	if b.page == "" {
		b.t.Error("a case without a page")
	}
}

// holds decides a case with the condition in an Allow statement, and with it in
// a Deny statement behind one that allows everything.
func (b *table) holds(verb, rest string) {
	b.count()
	for _, name := range alone(b.t, b.condition) {
		b.shown[verb+" "+name] = true
	}
	r := with(b.t, request(alice, "kms:Sign"), b.values(rest))
	r.KeyPolicy = b.allow
	allowed := policy.Evaluate(r)
	r.KeyPolicy = b.deny
	denied := policy.Evaluate(r)
	wantAllow, wantDeny := verb == "holds", verb != "fails"
	if allowed.Allowed != wantAllow || denied.Allowed == wantDeny {
		b.t.Errorf("%s\n%s\n%s %s: as Allow: %+v, as Deny: %+v", b.page, b.condition, verb, rest, allowed, denied)
	}
}

func (b *table) decision(want bool, rest string) {
	b.count()
	f := strings.SplitN(rest, " ", 4)
	who, action, by := f[0], f[1], strings.ReplaceAll(f[2], "%20", " ")
	if !strings.HasPrefix(who, "arn:") {
		who = "arn:aws:iam::" + account + ":user/" + who
	}
	r := request(who, action)
	r.Time = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	v := values{}
	if len(f) == 4 {
		v = b.values(f[3])
	}
	for _, own := range []string{"resource", "grantid"} {
		if l := v[own]; l != nil {
			delete(v, own)
			b.own(&r, own, l[0])
		}
	}
	r = with(b.t, r, v)
	r.KeyPolicy, r.Grants, r.Principal.Policies, r.Principal.Role = b.key, b.grants, b.identities, b.role
	r.Principal.Keys = map[string]bool{mine: true}
	if d := policy.Evaluate(r); d.Allowed != want || d.Statement != by {
		b.t.Errorf("%s\n%s: %+v", b.page, rest, d)
	}
}

// own sets what is no condition key.
func (b *table) own(r *policy.Request, name, value string) {
	switch name {
	case "resource":
		r.ResourceARN, r.KeyID = value, ""
		if value == "*" {
			r.ResourceARN = ""
		}
		if _, id, ok := strings.Cut(value, ":key/"); ok {
			r.KeyID = id
		}
	case "grantid":
		r.GrantID = value
	}
}

// values reads k=v, where a key that is there again gets one value more.
func (b *table) values(s string) values {
	v := make(values)
	for _, f := range strings.Fields(s) {
		k, x, ok := strings.Cut(f, "=")
		if !ok {
			b.t.Fatalf("%q is no key=value", f)
		}
		v[k] = append(v[k], strings.ReplaceAll(x, "%20", " "))
	}
	return v
}

func (b *table) grant(s string) policy.Grant {
	g := policy.Grant{KeyID: mine}
	for k, l := range b.values(s) {
		switch k {
		case "id":
			g.ID = l[0]
		case "key":
			g.KeyID = l[0]
		case "grantee":
			g.Grantee = "arn:aws:iam::" + account + ":user/" + l[0]
		case "retiring":
			g.RetiringPrincipal = "arn:aws:iam::" + account + ":user/" + l[0]
		case "op":
			g.Operations = l
		case "expires":
			g.Expires, _ = time.Parse(time.RFC3339, l[0])
		case "uses":
			n, _ := strconv.ParseInt(l[0], 10, 64)
			g.UsesLeft = &n
		default:
			if key, ok := strings.CutPrefix(k, "equals:"); ok {
				put(&g.EncryptionContextEquals, key, l[0])
			} else if key, ok := strings.CutPrefix(k, "subset:"); ok {
				put(&g.EncryptionContextSubset, key, l[0])
			} else {
				b.t.Fatalf("unknown member %s of a grant", k)
			}
		}
	}
	return g
}

func put(m *map[string]string, key, value string) {
	if *m == nil {
		*m = make(map[string]string)
	}
	(*m)[key] = value
}
