// Package monitoring checks what stands under docs/monitoring against a running
// gateway: whatever rules and dashboard ask for is there, in the metrics and in the
// list of docs/monitoring.md, and Prometheus' own tool takes the rules.
package monitoring

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

const (
	folder = "../../docs/monitoring/"
	rules  = folder + "hsmgate.rules.yml"
)

// elsewhere are metrics that a gateway in a test does not have, with their labels:
// those of the daemon itself, and of the scrape.
var elsewhere = map[string][]string{
	"up": nil,
	"hsmgate_aws_authentication_failures_total": {"reason"},
	"hsmgate_tls_certificate_expiry_seconds":    nil,
	"hsmgate_audit_sink_behind":                 {"sink"},
	"hsmgate_audit_sink_delivered_total":        {"sink"},
	"hsmgate_audit_sink_failures_total":         {"sink"},
	"hsmgate_audit_sink_missed_total":           {"sink"},
	"hsmgate_audit_witnessed_records":           {"place"},
	"hsmgate_audit_witness_behind_seconds":      {"place"},
	"hsmgate_audit_witness_inconsistent":        {"place"},
}

// exported are the metrics of a gateway that was used, with their labels.
func exported(t *testing.T) map[string][]string {
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	for _, body := range []string{"a message", ""} {
		g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/sign", body)
	}
	g.Send("", "GET", "/v1/keys", nil)
	a := g.Send(g.Admin.Token, "GET", "/metrics", nil)
	reader := expfmt.NewTextParser(model.UTF8Validation)
	families, err := reader.TextToMetricFamilies(bytes.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for name, family := range families {
		var names []string
		for _, m := range family.Metric {
			for _, l := range m.Label {
				names = append(names, l.GetName())
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		all[name] = names
		if family.GetType() == dto.MetricType_HISTOGRAM {
			all[name+"_bucket"], all[name+"_sum"], all[name+"_count"] = append([]string{"le"}, names...), names, names
		}
	}
	for name, names := range elsewhere {
		all[name] = names
	}
	return all
}

// check says what an expression asks for that is not there.
func check(expr string, known map[string][]string) error {
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		return err
	}
	var missing []error
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		names, ok := known[v.Name]
		if !ok {
			missing = append(missing, errors.New("no metric "+v.Name))
		}
		for _, m := range v.LabelMatchers {
			if m.Name != labels.MetricName && m.Name != "job" && m.Name != "instance" && !slices.Contains(names, m.Name) {
				missing = append(missing, errors.New(v.Name+" has no label "+m.Name))
			}
		}
		return nil
	})
	return errors.Join(missing...)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCheck: what is not there is found.
func TestCheck(t *testing.T) {
	t.Parallel()
	known := map[string][]string{"a_total": {"code"}}
	for expr, ok := range map[string]bool{
		`rate(a_total{code="x",job="y"}[5m]) > 1`: true, `a_total + b_total`: false, `a_total{outcome="x"}`: false, `rate(a_total`: false,
	} {
		if err := check(expr, known); (err == nil) != ok {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// TestMonitoring: rules, dashboard and the list in the document name metrics that a gateway has.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	known := exported(t)
	document := string(read(t, "../../docs/monitoring.md"))
	listed := regexp.MustCompile("(?m)^\\| `(hsmgate_\\w+)`").FindAllStringSubmatch(document, -1)
	for _, m := range listed {
		if _, ok := known[m[1]]; !ok {
			t.Errorf("docs/monitoring.md lists %s, which is not exported", m[1])
		}
	}
	for name := range known {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if name != "up" && !strings.Contains(document, "\n| `"+base+"`") {
			t.Errorf("docs/monitoring.md does not list %s", base)
		}
	}

	groups, errs := rulefmt.ParseFile(rules, false)
	if errs != nil {
		t.Fatal(errs)
	}
	count := 0
	for _, group := range groups.Groups { // in their order: a recorded series is known to those after it
		for _, rule := range group.Rules {
			count++
			if err := check(rule.Expr, known); err != nil {
				t.Errorf("%s%s: %v", rule.Record, rule.Alert, err)
			}
			if rule.Record != "" {
				known[rule.Record] = recorded(t, rule.Expr)
				continue
			}
			if !strings.Contains(document, "| "+rule.Alert+" |") {
				t.Errorf("docs/monitoring.md says nothing of the alert %s", rule.Alert)
			}
			if !bytes.Contains(read(t, folder+"hsmgate.rules.test.yml"), []byte("alertname: "+rule.Alert)) {
				t.Errorf("no test has the alert %s", rule.Alert)
			}
		}
	}
	if n := dashboard(t, known); count < 15 || n < 25 {
		t.Errorf("%d rules and %d expressions of the dashboard were looked at", count, n)
	}
}

// recorded are the labels that the outermost aggregations of an expression leave.
func recorded(t *testing.T, expr string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			names = append(names, a.Grouping...)
		}
		return nil
	})
	return names
}

// dashboard checks each expression of it and says how many there are.
func dashboard(t *testing.T, known map[string][]string) int {
	t.Helper()
	var board struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name string }
		}
	}
	if err := json.Unmarshal(read(t, folder+"grafana-dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	ids, n := map[int]bool{}, 0
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: its id is taken, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			n++
			// Grafana puts durations and names in place of its variables.
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			if err := check(expr, known); err != nil || strings.Contains(expr, "$") {
				t.Errorf("%s: %s: %v", p.Title, target.Expr, err)
			}
		}
	}
	return n
}

// TestPromtool: Prometheus' own tool takes the rules, and they do what their tests say.
func TestPromtool(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: .ci/install-deps.sh test installs it")
	}
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", folder + "hsmgate.rules.test.yml"}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
