package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hsmgate runs a verb that needs no gateway; code is its exit code, and said what it
// printed to standard output and its error.
func hsmgate(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = out
	root := newRoot()
	root.SetArgs(args)
	verb, err := root.ExecuteContextC(t.Context())
	os.Stdout = stdout
	text, _ := os.ReadFile(out.Name())
	var errors strings.Builder
	if err != nil {
		code = report(&errors, verb.CommandPath(), err)
	}
	return code, string(text) + errors.String()
}

// TestExamples: the policies of docs/examples are good, and do what their tables say.
func TestExamples(t *testing.T) {
	tables, _ := filepath.Glob("../../docs/examples/*/cases.yaml")
	policies, _ := filepath.Glob("../../docs/examples/*/*.json")
	if len(tables) < 5 || len(policies) < 5 {
		t.Fatalf("%q, %q", tables, policies)
	}
	if code, said := hsmgate(t, append([]string{"policy", "test"}, tables...)...); code != 0 {
		t.Error(said)
	}
	if code, said := hsmgate(t, append([]string{"policy", "check", "--strict"}, policies...)...); code != 0 {
		t.Error(said)
	}
}

// TestExamplesCanFail: each policy of an example matters to its table.
func TestExamplesCanFail(t *testing.T) {
	tables, _ := filepath.Glob("../../docs/examples/*/cases.yaml")
	for _, table := range tables {
		folder := filepath.Dir(table)
		files, _ := filepath.Glob(filepath.Join(folder, "*.json"))
		for _, changed := range files {
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(changed)
			if err != nil {
				t.Fatal(err)
			}
			other := strings.NewReplacer(`"Allow"`, `"Deny"`, `"Deny"`, `"Allow"`).Replace(string(text))
			if filepath.Base(changed) == "generous-key.json" || filepath.Base(changed) == "own-key.json" { // there to be overruled
				continue
			}
			if err := os.WriteFile(filepath.Join(copied, filepath.Base(changed)), []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, said := hsmgate(t, "policy", "test", filepath.Join(copied, "cases.yaml")); code != exitNo || !strings.Contains(said, "  want ") {
				t.Errorf("%s with allow and deny exchanged: exit code %d: %s", changed, code, said)
			}
		}
	}
}

// TestDocsPolicies: the policies that docs/access.md has people write give no warning,
// and do what its truth table says.
func TestDocsPolicies(t *testing.T) {
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	heredoc := regexp.MustCompile(`(?s)cat >(\S+) <<'END'\n(.*?)\n *END\n`)
	files := make(map[string]string)
	for _, m := range heredoc.FindAllStringSubmatch(string(text), -1) {
		files[m[1]] = strings.ReplaceAll("\n"+m[2], "\n    ", "\n")
	}
	folder := write(t, files)
	in := func(name string) string { return filepath.Join(folder, name) }
	if code, said := hsmgate(t, "policy", "check", "--strict", in("team.json"), in("key.json")); code != 0 {
		t.Error(said)
	}
	if code, said := hsmgate(t, "policy", "test", in("cases.yaml")); code != 0 || !strings.Contains(said, ": 5 cases hold") {
		t.Error(said)
	}
}

// write makes the files of a test in a folder.
func write(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const signKey = `{"Version":"2012-10-17","Statement":[
 {"Sid":"Sign","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/ci"},"Action":"kms:Sign","Resource":"*",
  "Condition":{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"}}}]}`

const head = "keys:\n  k: {policy: key.json}\nprincipals:\n  ci: {}\ncases:\n"

// TestTruthTable: what a table holds is decided, and what is no table is refused with
// what would be right.
func TestTruthTable(t *testing.T) {
	good := "  - {name: a, principal: ci, action: kms:Sign, key: k, with: {kms:SigningAlgorithm: ECDSA_SHA_256}, expect: allow, by: key-policy/Sign}\n"
	for _, c := range []struct {
		name, table string
		code        int
		want        string
	}{
		{"good", head + good, 0, "cases.yaml: 1 cases hold"},
		{"other answer", head + strings.Replace(good, "expect: allow", "expect: deny", 1), exitNo, "line 6: a: ci kms:Sign k"},
		{"got", head + strings.Replace(good, "expect: allow", "expect: deny", 1), exitNo, "want deny by key-policy/Sign\n  got  allow by key-policy/Sign\n    yes  Allow key-policy/Sign: everything in it matches"},
		{"other reason", head + strings.Replace(good, "key-policy/Sign", "key-policy/2", 1), exitNo, "hsmgate: error: 1 of 1 cases fail"},
		{"condition", head + strings.Replace(good, "256}", "384}", 1), exitNo, "no   Allow key-policy/Sign: the condition does not hold: StringEquals kms:SigningAlgorithm (the request has another value)"},
		{"unknown member", head + strings.Replace(good, "principal:", "principle:", 1), exitUsage, "line 6: field principle not found"},
		{"unknown top member", "case: []\n", exitUsage, "line 1: field case not found"},
		{"no cases", "keys: {}\n", exitUsage, "it has no cases"},
		{"two documents", head + good + "---\n", exitUsage, "more than one YAML document"},
		{"unknown principal", head + strings.Replace(good, "principal: ci", "principal: cd", 1), exitUsage, `line 6, case "a": there is no principal "cd" in the table: it has ci`},
		{"unknown key", head + strings.Replace(good, "key: k", "key: l", 1), exitUsage, `there is no key "l" in the table: it has k`},
		{"unknown action", head + strings.Replace(good, "kms:Sign,", "kms:Sgin,", 1), exitUsage, `unknown action "kms:Sgin"`},
		{"other spelling", head + strings.Replace(good, "kms:Sign,", "kms:sign,", 1), exitUsage, `unknown action "kms:sign"`},
		{"unknown condition key", head + strings.Replace(good, "SigningAlgorithm", "SigningAlgoritm", 1), exitUsage, "kms:SigningAlgorithm would be right"},
		{"unknown condition key of the table", "with: {aws:SoureIp: 192.0.2.1}\n" + head + good, exitUsage, `unknown condition key "aws:SoureIp": aws:SourceIp would be right`},
		{"key that the action has not", head + strings.Replace(good, "kms:SigningAlgorithm", "kms:MacAlgorithm", 1), exitUsage, "no request for kms:Sign has kms:MacAlgorithm"},
		{"key that is missing", head + strings.Replace(good, "with: {kms:SigningAlgorithm: ECDSA_SHA_256}, ", "", 1), exitUsage, "a policy asks for kms:SigningAlgorithm, which every request for kms:Sign has"},
		{"claims of a user", head + strings.Replace(good, "with: {", `with: {"hsmgate:Claim/repository": acme/app, `, 1), exitUsage, "principal ci has claims, which come with a token, and who has one is a session of a role: an arn such as arn:aws:sts::000000000000:assumed-role/ci/x would be right"},
		{"claims of a session", strings.Replace(head, "ci: {}", `ci: {arn: "arn:aws:sts::000000000000:assumed-role/ci/x"}`, 1) + strings.Replace(strings.Replace(good, "with: {", `with: {"hsmgate:Claim/repository": acme/app, `, 1), "allow, by: key-policy/Sign", "deny", 1), 0, "1 cases hold"},
		{"wrong value", head + strings.Replace(good, "with: {", "with: {aws:SourceIp: x, ", 1), exitUsage, `aws:SourceIp has "x": an address would be right`},
		{"expect", head + strings.Replace(good, "allow", "yes", 1), exitUsage, `expect is "yes": allow or deny would be right`},
		{"no name", head + strings.Replace(good, "name: a, ", "", 1), exitUsage, "it has no name"},
		{"no principal", head + strings.Replace(good, "principal: ci, ", "", 1), exitUsage, "it has no principal"},
		{"key for none", head + strings.Replace(good, "kms:Sign,", "kms:ListKeys,", 1), exitUsage, "kms:ListKeys is about no key"},
		{"none for a key", head + strings.Replace(good, "key: k, ", "", 1), exitUsage, "kms:Sign is about a key: its name is missing"},
		{"role for none", head + strings.Replace(good, "key: k, ", "key: k, role: deploy, ", 1), exitUsage, "kms:Sign is about no role or user"},
		{"role", strings.Replace(head, "{}", "{role: king}", 1) + good, exitUsage, `role "king": administrator or user would be right`},
		{"no policy file", strings.Replace(head, "key.json", "no.json", 1) + good, exitUsage, "no.json: no such file"},
		{"bad policy", strings.Replace(head, "key.json", "bad.json", 1) + good, exitUsage, "bad.json: policy: line 1, column 1"},
		{"null", head + strings.Replace(good, "action: kms:Sign", "action: ", 1), exitUsage, "line 6, case"},
		{"map", head + strings.Replace(good, "action: kms:Sign", "action: {a: b}", 1), exitUsage, "a text or a list of texts would be right"},
	} {
		folder := write(t, map[string]string{"cases.yaml": c.table, "key.json": signKey, "bad.json": "[]"})
		if code, said := hsmgate(t, "policy", "test", filepath.Join(folder, "cases.yaml")); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit code %d, want %d:\n%s\nwant %s", c.name, code, c.code, said, c.want)
		}
	}
}

// TestTruthTableParts: grants, the role user, aliases, the alias itself and the
// service, as the gateway has them.
func TestTruthTableParts(t *testing.T) {
	table := `
account: "111122223333"
region: eu-west-1
keys:
  k:
    id: 1234abcd-12ab-34cd-56ef-1234567890ab
    spec: SYMMETRIC_DEFAULT
    aliases: [alias/k]
    grants:
      - {id: g, to: granted, operations: [Encrypt], context_subset: {tenant: one}}
      - {id: h, to: granted, operations: [Decrypt], context_equals: {tenant: one}}
principals:
  granted: {}
  owner: {role: user, keys: [k]}
  named: {policies: [named.json]}
  session: {arn: "arn:aws:sts::111122223333:assumed-role/deploy/ci-42", policies: [named.json]}
cases:
  - {name: grant, principal: granted, action: kms:Encrypt, key: k, with: {"kms:EncryptionContext:tenant": one, "kms:EncryptionContext:more": x}, expect: allow, by: grant/g}
  - {name: other context, principal: granted, action: kms:Encrypt, key: k, with: {"kms:EncryptionContext:tenant": two}, expect: deny}
  - {name: equals, principal: granted, action: kms:Decrypt, key: k, with: {"kms:EncryptionContext:tenant": one}, expect: allow, by: grant/h}
  - {name: more than equals, principal: granted, action: kms:Decrypt, key: k, with: {"kms:EncryptionContext:tenant": one, "kms:EncryptionContext:more": x}, expect: deny}
  - {name: role, principal: owner, action: [kms:Encrypt, kms:DescribeKey], key: alias/k, expect: allow, by: role/user}
  - {name: role elsewhere, principal: owner, action: kms:CreateKey, expect: deny}
  - {name: by its ARN, principal: [named, session], action: kms:Encrypt, key: k, expect: allow, by: policy/named/Key}
  - {name: alias, principal: named, action: kms:CreateAlias, key: alias/team-x, expect: allow, by: policy/named/Alias}
  - {name: other alias, principal: named, action: kms:CreateAlias, key: alias/x, expect: deny}
  - {name: with tags, principal: named, action: kms:TagResource, key: "*", with: {"aws:RequestTag/team": x}, expect: allow, by: policy/named/Tags}
  - {name: other tags, principal: named, action: kms:TagResource, key: "*", with: {"aws:RequestTag/team": y}, expect: deny}
`
	named := `{"Version":"2012-10-17","Statement":[
 {"Sid":"Key","Effect":"Allow","Action":"kms:Encrypt","Resource":"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
 {"Sid":"Alias","Effect":"Allow","Action":"kms:CreateAlias","Resource":"arn:aws:kms:*:111122223333:alias/team-*"},
 {"Sid":"Tags","Effect":"Allow","Action":"kms:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"x"}}}]}`
	folder := write(t, map[string]string{"cases.yaml": table, "named.json": named})
	if code, said := hsmgate(t, "policy", "test", filepath.Join(folder, "cases.yaml")); code != 0 || !strings.Contains(said, "13 cases hold") {
		t.Error(code, said)
	}
	if _, said := hsmgate(t, "--output", "json", "policy", "test", filepath.Join(folder, "cases.yaml")); !strings.Contains(said, `"Failures": []`) {
		t.Error(said)
	}
}

func TestPolicyCheck(t *testing.T) {
	folder := write(t, map[string]string{
		"key.json": signKey, "bad.json": "{\n \"Statement\": 5}", "open.json": `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:Sign","Resource":"*"}}`,
		"mine.json": `{"Statement":{"Effect":"Allow","Action":"kms:Sign","Resource":"*"}}`})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"key.json mine.json", 0, "mine.json: a good policy of the kind identity\n"},
		{"--strict key.json", 0, "key.json: a good policy of the kind key\n"},
		{"open.json", 0, "open.json: line 1, column 44: warning: statement 1: the statement allows everybody, without a condition"},
		{"--strict open.json", exitNo, "hsmgate: error: 1 warning(s)"},
		{"key.json bad.json", exitNo, "bad.json: line 2, column 15: a statement is a number: an object would be right\nhsmgate: error: 1 of 2 file(s) are no policies"},
		{"--kind key mine.json", exitNo, "the statement has no Principal"},
		{"--kind identity key.json", exitNo, "an identity policy has no Principal"},
		{"--kind role key.json", exitUsage, "--kind is one of key, identity"},
		{"no.json", exitUsage, "no such file"},
		{"", exitUsage, "needs a file"},
		{"--output json open.json", 0, `"Code": "everybody"`},
		{"--output json bad.json", exitNo, `"Line": 2,`},
	} {
		args := []string{"policy", "check"}
		for _, arg := range strings.Fields(c.args) {
			if strings.HasSuffix(arg, ".json") {
				arg = filepath.Join(folder, arg)
			}
			args = append(args, arg)
		}
		if code, said := hsmgate(t, args...); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit code %d, want %d:\n%s\nwant %s", c.args, code, c.code, said, c.want)
		}
	}
}

// TestTruthTableOfCallers: cases about a role or a user, whom sts:AssumeRole and the
// actions for access keys are on.
func TestTruthTableOfCallers(t *testing.T) {
	const callers = `{"Version":"2012-10-17","Statement":[
 {"Sid":"Deploy","Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/deploy"},
 {"Sid":"Own","Effect":"Allow","Action":"hsmgate:*AccessKey*","Resource":"arn:aws:iam::*:user/${aws:username}"}]}`
	for _, c := range []struct {
		member string // of the case
		code   int
		want   string
	}{
		{"action: sts:AssumeRole, role: deploy, expect: allow, by: policy/callers/Deploy", 0, "1 cases hold"},
		{"action: sts:AssumeRole, role: other, expect: deny, by: default", 0, "1 cases hold"},
		{"action: sts:AssumeRole, role: other, expect: allow", exitNo, "line 4: a: ci sts:AssumeRole other"},
		{"action: sts:AssumeRole, expect: deny", exitUsage, "sts:AssumeRole is about a role: its name is missing"},
		{"action: sts:AssumeRole, role: deploy, key: '*', expect: deny", exitUsage, "sts:AssumeRole is about a role, and nothing else"},
		{"action: sts:AssumeRole, user: ci, expect: deny", exitUsage, "sts:AssumeRole is about a role, and nothing else"},
		{"action: hsmgate:CreateAccessKey, expect: allow, by: policy/callers/Own", 0, "1 cases hold"},
		{"action: [hsmgate:CreateAccessKey, hsmgate:DeleteAccessKey], user: ci, expect: allow, by: policy/callers/Own", 0, "2 cases hold"},
		{"action: hsmgate:CreateAccessKey, user: other, expect: deny", 0, "1 cases hold"},
		{"action: hsmgate:CreateAccessKey, role: ci, expect: deny", exitUsage, "hsmgate:CreateAccessKey is about a user, and nothing else"},
		{"action: kms:ListKeys, user: ci, expect: deny", exitUsage, "kms:ListKeys is about no role or user"},
	} {
		table := "principals:\n  ci: {policies: [callers.json]}\ncases:\n  - {name: a, principal: ci, " + c.member + "}\n"
		folder := t.TempDir()
		for name, text := range map[string]string{"cases.yaml": table, "callers.json": callers} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code, said := hsmgate(t, "policy", "test", filepath.Join(folder, "cases.yaml")); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%s: exit code %d: %s", c.member, code, said)
		}
	}
}
