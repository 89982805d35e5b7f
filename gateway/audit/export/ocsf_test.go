package export

import (
	"encoding/json"
	"fmt"
	"testing"
)

// required are what the schema 1.9.0 requires of API Activity with the profile cloud: of the class (activity_id, actor, api, category_uid, class_uid,
// metadata, severity_id, src_endpoint, time, type_uid), of the profile (cloud), and of the objects in them.
var required = map[string][]string{
	"":                   {"activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint", "time", "type_uid", "cloud"},
	"metadata":           {"product", "version"},
	"metadata.product":   {"name", "vendor_name"},
	"api":                {"operation"},
	"api.service":        {"name"},
	"cloud":              {"provider"},
	"cloud.account":      {"uid"},
	"actor.user":         {"type_id"},
	"http_request":       nil,
	"api.request":        {"uid"},
	"api.response":       nil,
	"actor.idp":          {"name"},
	"actor.session":      nil,
	"actor.user.account": {"uid"},
}

// oneOf are the schema's constraints at_least_one.
var oneOf = map[string][]string{
	"actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid", "application", "iam_role"}, "actor.user": {"account", "name", "uid"},
	"src_endpoint": {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"}, "cloud.account": {"name", "uid"},
}

// known are all members that may stand there (of those that this package uses); another name is no attribute of the schema.
var known = map[string][]string{
	"": {"activity_id", "activity_name", "category_uid", "category_name", "class_uid", "class_name", "type_uid", "type_name", "time", "duration", "severity_id", "severity",
		"status_id", "status", "status_code", "status_detail", "message", "metadata", "actor", "api", "src_endpoint", "http_request", "cloud", "resources", "unmapped"},
	"metadata":     {"version", "product", "profiles", "uid", "event_code", "sequence", "log_name", "log_provider", "original_time", "correlation_uid"},
	"actor":        {"user", "session", "idp"},
	"actor.user":   {"uid", "name", "credential_uid", "type", "type_id", "account"},
	"api":          {"operation", "service", "request", "response"},
	"src_endpoint": {"ip", "name", "svc_name"},
	"resources":    {"uid", "type", "name", "region", "cloud_partition"},
}

func at(m map[string]any, path string) map[string]any {
	for _, step := range splitPath(path) {
		m, _ = m[step].(map[string]any)
	}
	return m
}

func splitPath(path string) (steps []string) {
	start := 0
	for i := range len(path) + 1 {
		if i == len(path) || path[i] == '.' {
			if i > start {
				steps = append(steps, path[start:i])
			}
			start = i + 1
		}
	}
	return steps
}

func checkOCSF(t *testing.T, record string, o map[string]any) {
	t.Helper()
	for path, names := range required {
		object := at(o, path)
		if object == nil {
			continue // of an object that is not required itself
		}
		for _, name := range names {
			if object[name] == nil || object[name] == "" {
				t.Errorf("%s: %s.%s is missing", record, path, name)
			}
		}
	}
	for path, names := range oneOf {
		found := at(o, path) == nil
		for _, name := range names {
			found = found || at(o, path)[name] != nil
		}
		if !found {
			t.Errorf("%s: %s has none of %q", record, path, names)
		}
	}
	for path, names := range known {
		allowed := make(map[string]bool)
		for _, name := range names {
			allowed[name] = true
		}
		objects := []map[string]any{at(o, path)}
		if list, ok := o[path].([]any); ok {
			objects = nil
			for _, item := range list {
				objects = append(objects, item.(map[string]any))
			}
		}
		for _, object := range objects {
			for name := range object {
				if !allowed[name] {
					t.Errorf("%s: %s.%s is no attribute", record, path, name)
				}
			}
		}
	}
	if o["type_uid"] != o["class_uid"].(float64)*100+o["activity_id"].(float64) {
		t.Errorf("%s: type_uid is %v", record, o["type_uid"])
	}
}

func TestOCSF(t *testing.T) {
	for _, record := range []string{signRecord, `"face":"internal","operation":"RotateKey"`, `"operation":"Alert","severity":"high"`,
		`"principal":"arn:aws:iam::111122223333:root","operation":"ListKeys","sourceAddress":"2001:db8::1"`,
		`"provider":"github","subject":"repo:a/b","operation":"AssumeRoleWithWebIdentity","sourceAddress":"somewhere"`,
		`"principal":"arn:aws:sts::111122223333:assumed-role/release/run-7","operation":"CreateAlias","resource":"arn:aws:kms:eu-west-1:111122223333:alias/x","outcome":"denied","errorCode":"AccessDeniedException"`} {
		checkOCSF(t, record, shaped(t, "ocsf", record))
	}
	o := shaped(t, "ocsf", signRecord)
	for path, want := range map[string]string{"class_uid": "6003", "category_uid": "6", "activity_id": "99", "activity_name": `"Sign"`, "type_uid": "600399", "time": "1772600767123", "duration": "1234",
		"status_id": "1", "severity_id": "1", "metadata.version": `"1.9.0"`, "metadata.sequence": "17", "api.operation": `"Sign"`, "api.request.uid": `"8d0b35e0-46cf-48b9-be99-bf2ebc9ab9fb"`,
		"actor.user.uid": `"` + alice + `"`, "actor.user.credential_uid": `"AKIAIOSFODNN7EXAMPLE"`, "src_endpoint.ip": `"192.0.2.0"`, "cloud.region": `"us-west-2"`, "unmapped.digest": `"sha256:00"`, "unmapped.later": `{"kept":[1]}`} {
		steps := splitPath(path)
		last := len(steps) - 1
		object := o
		for _, step := range steps[:last] {
			object = object[step].(map[string]any)
		}
		value := object[steps[last]]
		if n, ok := value.(float64); ok {
			if got := fmt.Sprintf("%.0f", n); got != want {
				t.Errorf("%s is %s, want %s", path, got, want)
			}
			continue
		}
		if got, err := json.Marshal(value); err != nil || string(got) != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	for record, want := range map[string][2]float64{`"operation":"CreateKey"`: {1, 1}, `"operation":"ListKeys"`: {2, 1}, `"operation":"PutKeyPolicy"`: {3, 1}, `"operation":"ScheduleKeyDeletion"`: {3, 1},
		`"operation":"DeleteAlias"`: {4, 1}, `"operation":"Decrypt","outcome":"denied","errorCode":"x"`: {99, 3}, `"operation":"Alert"`: {99, 4}, `"operation":"Sign","outcome":"failed"`: {99, 2}} {
		if o := shaped(t, "ocsf", record); o["activity_id"] != want[0] || o["severity_id"] != want[1] {
			t.Errorf("%s: activity %v, severity %v", record, o["activity_id"], o["severity_id"])
		}
	}
}
