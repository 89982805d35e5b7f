package export

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// ocsfVersion is that of the schema (https://schema.ocsf.io/1.9.0/classes/api_activity).
const ocsfVersion = "1.9.0"

const classAPIActivity = 6003

// ocsfEvent is an event of the class API Activity, with the profile cloud.
type ocsfEvent struct {
	ActivityID   activity                   `json:"activity_id"`
	ActivityName string                     `json:"activity_name"`
	CategoryUID  int                        `json:"category_uid"`
	CategoryName string                     `json:"category_name"`
	ClassUID     int                        `json:"class_uid"`
	ClassName    string                     `json:"class_name"`
	TypeUID      int                        `json:"type_uid"`
	TypeName     string                     `json:"type_name"`
	Time         int64                      `json:"time"` // ms since 1970
	Duration     int64                      `json:"duration,omitempty"`
	SeverityID   int                        `json:"severity_id"`
	Severity     string                     `json:"severity"`
	StatusID     int                        `json:"status_id"`
	Status       string                     `json:"status"`
	StatusCode   string                     `json:"status_code,omitempty"`
	StatusDetail string                     `json:"status_detail,omitempty"`
	Message      string                     `json:"message"`
	Metadata     ocsfMetadata               `json:"metadata"`
	Actor        ocsfActor                  `json:"actor"`
	API          ocsfAPI                    `json:"api"`
	SrcEndpoint  map[string]any             `json:"src_endpoint"`
	HTTPRequest  map[string]any             `json:"http_request,omitempty"`
	Cloud        map[string]any             `json:"cloud"`
	Resources    []map[string]any           `json:"resources,omitempty"`
	Unmapped     map[string]json.RawMessage `json:"unmapped"`
}

type ocsfMetadata struct {
	Version        string         `json:"version"`
	Product        map[string]any `json:"product"`
	Profiles       []string       `json:"profiles"`
	UID            string         `json:"uid"`
	EventCode      string         `json:"event_code"`
	Sequence       uint64         `json:"sequence"`
	LogName        string         `json:"log_name"`
	LogProvider    string         `json:"log_provider"`
	OriginalTime   string         `json:"original_time"`
	CorrelationUID string         `json:"correlation_uid,omitempty"`
}

type ocsfActor struct {
	User    map[string]any `json:"user"`
	Session map[string]any `json:"session,omitempty"`
	IDP     map[string]any `json:"idp,omitempty"`
}

type ocsfAPI struct {
	Operation string         `json:"operation"`
	Service   map[string]any `json:"service"`
	Request   map[string]any `json:"request,omitempty"`
	Response  map[string]any `json:"response,omitempty"`
}

func ocsf(e *event) any {
	o := ocsfEvent{
		ActivityID: e.kind, ActivityName: activityNames[e.kind], CategoryUID: 6, CategoryName: "Application Activity", ClassUID: classAPIActivity, ClassName: "API Activity",
		TypeUID: classAPIActivity*100 + int(e.kind), Time: e.Time.UnixMilli(), Duration: e.LatencyMicros / 1000, StatusID: 1, Status: "Success",
		StatusCode: e.ErrorCode, StatusDetail: e.Reason, Message: e.message, Actor: actorOf(e), SrcEndpoint: endpointOf(e),
		API:   ocsfAPI{Operation: e.Operation, Service: map[string]any{"name": e.service}},
		Cloud: map[string]any{"provider": ours, "region": e.region, "account": map[string]any{"uid": e.account}},
		Metadata: ocsfMetadata{Version: ocsfVersion, Product: map[string]any{"name": ours, "vendor_name": ours}, Profiles: []string{"cloud"}, UID: e.id, EventCode: e.Operation,
			Sequence: e.Seq, LogName: "audit", LogProvider: ours, OriginalTime: e.Time.UTC().Format(time.RFC3339Nano), CorrelationUID: e.RequestID},
	}
	if o.ActivityName == "" {
		o.ActivityName = e.Operation // of what is "Other", the source's own word
	}
	o.TypeName = o.ClassName + ": " + activityNames[e.kind]
	if e.kind == other {
		o.TypeName = o.ClassName + ": Other"
	}
	if o.Message == "" {
		o.Message = e.Operation
	}
	o.SeverityID, o.Severity = severityOf(e)
	if !e.allowed() {
		o.StatusID, o.Status = 2, "Failure"
		o.API.Response = map[string]any{"error": e.ErrorCode, "error_message": e.message}
	}
	if e.RequestID != "" {
		o.API.Request = map[string]any{"uid": e.RequestID}
	}
	if e.UserAgent != "" {
		o.HTTPRequest = map[string]any{"user_agent": e.UserAgent}
	}
	for _, r := range resourcesOf(e) {
		item := map[string]any{"uid": r.ARN, "type": r.Type, "name": r.ARN[strings.LastIndexByte(r.ARN, ':')+1:], "cloud_partition": strings.Split(r.ARN, ":")[1]}
		if region, _, _ := placeOf(r.ARN); region != "" {
			item["region"] = region
		}
		o.Resources = append(o.Resources, item)
	}
	o.Unmapped = e.without("seq", "time", "operation", "requestId", "principal", "credentialId", "sourceAddress", "userAgent", "errorCode", "reason")
	return o
}

// severityOf: a call that went as it should is informational; one that was refused or failed is worth a look; an alert is more.
func severityOf(e *event) (int, string) {
	switch {
	case e.Operation == "Alert":
		return 4, "High"
	case e.Outcome == "denied":
		return 3, "Medium"
	case !e.allowed():
		return 2, "Low"
	}
	return 1, "Informational"
}

func actorOf(e *event) ocsfActor {
	w := e.who
	user := map[string]any{"type": w.kind, "type_id": 1}
	put := func(name, value string) {
		if value != "" {
			user[name] = value
		}
	}
	put("uid", w.arn)
	put("name", w.name)
	put("credential_uid", e.CredentialID)
	if w.account != "" {
		user["account"] = map[string]any{"uid": w.account}
	}
	var a ocsfActor
	switch w.kind {
	case "AWSService":
		user["type"], user["type_id"], user["name"] = "System", 3, ours
	case "Root":
		user["type_id"], user["name"] = 2, "root"
	case "AssumedRole":
		user["type_id"] = 99
		a.Session = map[string]any{"uid": w.session, "uid_alt": w.arn, "issuer": w.issuer}
	case "Unknown":
		user["type_id"] = 0
		if w.name == "" {
			user["name"] = "unknown"
		}
	}
	if e.Provider != "" {
		a.IDP = map[string]any{"name": e.Provider}
	}
	a.User = user
	return a
}

// endpointOf is where the call came from: an address, or the gateway itself.
func endpointOf(e *event) map[string]any {
	if ip, err := netip.ParseAddr(e.SourceAddress); err == nil {
		return map[string]any{"ip": ip.String()}
	}
	if e.SourceAddress != "" {
		return map[string]any{"name": e.SourceAddress}
	}
	return map[string]any{"name": ours, "svc_name": ours}
}
