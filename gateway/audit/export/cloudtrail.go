package export

import (
	"encoding/json"
	"strings"
	"time"
)

// trailEvent is an event of AWS CloudTrail (CloudTrail record contents, version 1.11), its members in CloudTrail's order.
type trailEvent struct {
	EventVersion        string                     `json:"eventVersion"`
	UserIdentity        trailIdentity              `json:"userIdentity"`
	EventTime           string                     `json:"eventTime"`
	EventSource         string                     `json:"eventSource"`
	EventName           string                     `json:"eventName"`
	AWSRegion           string                     `json:"awsRegion"`
	SourceIPAddress     string                     `json:"sourceIPAddress"`
	UserAgent           string                     `json:"userAgent"`
	ErrorCode           string                     `json:"errorCode,omitempty"`
	ErrorMessage        string                     `json:"errorMessage,omitempty"`
	RequestParameters   map[string]any             `json:"requestParameters"` // null for none
	ResponseElements    map[string]any             `json:"responseElements"`  // null for none
	AdditionalEventData map[string]json.RawMessage `json:"additionalEventData"`
	RequestID           string                     `json:"requestID"`
	EventID             string                     `json:"eventID"`
	ReadOnly            bool                       `json:"readOnly"`
	Resources           []trailResource            `json:"resources,omitempty"`
	EventType           string                     `json:"eventType"`
	ManagementEvent     bool                       `json:"managementEvent"`
	RecipientAccountID  string                     `json:"recipientAccountId"`
	EventCategory       string                     `json:"eventCategory"`
}

type trailIdentity struct {
	Type             string        `json:"type"`
	PrincipalID      string        `json:"principalId,omitempty"`
	ARN              string        `json:"arn,omitempty"`
	AccountID        string        `json:"accountId,omitempty"`
	AccessKeyID      string        `json:"accessKeyId,omitempty"`
	UserName         string        `json:"userName,omitempty"`
	IdentityProvider string        `json:"identityProvider,omitempty"`
	InvokedBy        string        `json:"invokedBy,omitempty"`
	CredentialID     string        `json:"credentialId,omitempty"` // of a bearer token
	SessionContext   *trailSession `json:"sessionContext,omitempty"`
}

type trailSession struct {
	SessionIssuer       trailIdentity   `json:"sessionIssuer"`
	WebIDFederationData *trailFederated `json:"webIdFederationData,omitempty"`
}

type trailFederated struct {
	FederatedProvider string            `json:"federatedProvider"`
	Attributes        map[string]string `json:"attributes"`
}

type trailResource struct {
	AccountID string `json:"accountId"`
	Type      string `json:"type"`
	ARN       string `json:"ARN"`
}

// cloudTrail gives the event of a record. What the record does not hold is not there: message, ciphertext and key spec never are.
func cloudTrail(e *event) any {
	t := trailEvent{
		EventVersion: "1.11", UserIdentity: identityOf(e), EventTime: e.Time.UTC().Format(time.RFC3339), EventSource: e.service, EventName: e.Operation,
		AWSRegion: e.region, SourceIPAddress: e.SourceAddress, UserAgent: e.UserAgent, ErrorCode: errorCode(e.ErrorCode), ErrorMessage: e.message,
		RequestParameters: requestOf(e), ResponseElements: responseOf(e), RequestID: e.RequestID, EventID: e.id, ReadOnly: e.kind.readOnly(),
		Resources: resourcesOf(e), EventType: "AwsApiCall", ManagementEvent: true, RecipientAccountID: e.account, EventCategory: "Management",
	}
	if e.Face == "internal" {
		t.EventType = "AwsServiceEvent"
		if t.SourceIPAddress == "" {
			t.SourceIPAddress, t.UserAgent = ours, ours
		}
	}
	t.AdditionalEventData = e.without("operation", "requestId", "principal", "credentialId", "sourceAddress", "userAgent", "errorCode", "encryptionContext", "sourceEncryptionContext")
	return t
}

// errorCode is CloudTrail's, which has AccessDenied where the API has AccessDeniedException.
func errorCode(code string) string {
	if code == "AccessDeniedException" {
		return "AccessDenied"
	}
	return code
}

func identityOf(e *event) trailIdentity {
	w := e.who
	i := trailIdentity{Type: w.kind, PrincipalID: w.name, ARN: w.arn, AccountID: w.account, UserName: w.name}
	if isAccessKey(e.CredentialID) {
		i.AccessKeyID = e.CredentialID
	} else {
		i.CredentialID = e.CredentialID
	}
	switch w.kind {
	case "AWSService":
		return trailIdentity{Type: w.kind, InvokedBy: ours}
	case "AssumedRole":
		i.UserName, i.PrincipalID = "", w.name+":"+w.session
		i.SessionContext = &trailSession{SessionIssuer: trailIdentity{Type: "Role", PrincipalID: w.name, ARN: w.issuer, AccountID: w.account, UserName: w.name}}
		if e.Subject != "" {
			i.SessionContext.WebIDFederationData = &trailFederated{e.Provider, map[string]string{"sub": e.Subject}}
		}
	case "WebIdentityUser":
		i.PrincipalID, i.IdentityProvider = e.Provider+":"+e.Subject, e.Provider
	}
	return i
}

// algorithmNames are the request members that name an algorithm.
var algorithmNames = map[string]string{
	"Sign": "signingAlgorithm", "Verify": "signingAlgorithm", "RequestApproval": "signingAlgorithm", "GenerateMac": "macAlgorithm", "VerifyMac": "macAlgorithm",
	"DeriveSharedSecret": "keyAgreementAlgorithm", "Encapsulate": "encapsulationAlgorithm", "Decapsulate": "encapsulationAlgorithm",
	"GetParametersForImport": "wrappingAlgorithm", "ImportKeyMaterial": "wrappingAlgorithm", "ReEncrypt": "destinationEncryptionAlgorithm",
}

// requestOf gives what the record holds of the request, by the names that CloudTrail's events of KMS have.
func requestOf(e *event) map[string]any {
	in := make(map[string]any)
	put := func(name, value string) {
		if value != "" {
			in[name] = value
		}
	}
	key := e.Resource
	if key == "" || strings.Contains(key, ":alias/") && strings.HasSuffix(e.Operation, "Alias") {
		key = e.KeyARN
	}
	switch e.Operation {
	case "ReEncrypt":
		put("sourceKeyId", e.SourceKeyARN)
		put("destinationKeyId", key)
	case "CreateAlias", "UpdateAlias", "DeleteAlias":
		put("aliasName", e.Resource[strings.LastIndexByte(e.Resource, ':')+1:])
		if e.Operation != "DeleteAlias" {
			put("targetKeyId", key)
		}
	default:
		put("keyId", key)
	}
	name := algorithmNames[e.Operation]
	if name == "" {
		name = "encryptionAlgorithm"
	}
	put(name, e.Algorithm)
	put("messageType", e.MessageType)
	put("grantId", e.GrantID)
	put("granteePrincipal", e.Grantee)
	if e.GrantOperations != "" {
		in["operations"] = strings.Split(e.GrantOperations, ",")
	}
	if e.Operation == "CreateGrant" {
		delete(in, "grantId") // it is the answer's
	}
	contexts := map[string]map[string]string{"encryptionContext": e.EncryptionContext}
	if e.Operation == "ReEncrypt" {
		contexts = map[string]map[string]string{"sourceEncryptionContext": e.SourceContext, "destinationEncryptionContext": e.EncryptionContext}
	}
	for name, pairs := range contexts {
		if len(pairs) > 0 {
			in[name] = pairs
		}
	}
	if len(in) == 0 {
		return nil
	}
	return in
}

// responseOf gives what the record holds of the answer to a call that made something.
func responseOf(e *event) map[string]any {
	switch {
	case !e.allowed() || e.Phase != "":
	case e.Operation == "CreateKey" && e.KeyARN != "":
		return map[string]any{"keyMetadata": map[string]string{"aWSAccountId": e.account, "arn": e.KeyARN, "keyId": e.KeyID}}
	case e.Operation == "CreateGrant" && e.GrantID != "":
		return map[string]any{"grantId": e.GrantID, "keyId": e.KeyARN}
	}
	return nil
}

// resourcesOf lists the keys and the alias that a record names.
func resourcesOf(e *event) []trailResource {
	var all []trailResource
	add := func(kind, arn string) {
		if _, account, ok := placeOf(arn); ok {
			all = append(all, trailResource{account, kind, arn})
		}
	}
	add("AWS::KMS::Key", e.KeyARN)
	add("AWS::KMS::Key", e.SourceKeyARN)
	if strings.HasSuffix(e.Operation, "Alias") {
		add("AWS::KMS::Alias", e.Resource)
	}
	return all
}
