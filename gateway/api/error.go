package api

import (
	"fmt"
	"net/http"
	"time"
)

// Code names a kind of error with the name that it has on the AWS wire.
type Code string

// The codes that the gateway answers.
const (
	AccessDenied            Code = "AccessDeniedException"
	ApprovalRequired        Code = "ApprovalRequiredException" // of a key with an approval rule; not in AWS KMS
	AlreadyExists           Code = "AlreadyExistsException"
	Conflict                Code = "ConflictException"
	DependencyTimeout       Code = "DependencyTimeoutException"
	Disabled                Code = "DisabledException"
	DryRunOperation         Code = "DryRunOperationException"
	ExpiredImportToken      Code = "ExpiredImportTokenException"
	ExpiredToken            Code = "ExpiredTokenException"
	IDPCommunicationError   Code = "IDPCommunicationErrorException"
	IdempotencyKeyReused    Code = "IdempotencyKeyReusedException"
	IncompleteSignature     Code = "IncompleteSignatureException"
	IncorrectKey            Code = "IncorrectKeyException"
	IncorrectKeyMaterial    Code = "IncorrectKeyMaterialException"
	Internal                Code = "KMSInternalException"
	InvalidAliasName        Code = "InvalidAliasNameException"
	InvalidArn              Code = "InvalidArnException"
	InvalidCiphertext       Code = "InvalidCiphertextException"
	InvalidGrantId          Code = "InvalidGrantIdException"
	InvalidGrantToken       Code = "InvalidGrantTokenException"
	InvalidIdentityToken    Code = "InvalidIdentityTokenException"
	InvalidImportToken      Code = "InvalidImportTokenException"
	InvalidKeyUsage         Code = "InvalidKeyUsageException"
	InvalidMarker           Code = "InvalidMarkerException"
	InvalidSignature        Code = "InvalidSignatureException" // of the request, not of a message
	InvalidTag              Code = "TagException"
	KeyUnavailable          Code = "KeyUnavailableException"
	KMSInvalidMac           Code = "KMSInvalidMacException"
	KMSInvalidSignature     Code = "KMSInvalidSignatureException"
	KMSInvalidState         Code = "KMSInvalidStateException"
	LimitExceeded           Code = "LimitExceededException"
	MalformedPolicyDocument Code = "MalformedPolicyDocumentException"
	MethodNotAllowed        Code = "MethodNotAllowedException" // REST only
	MissingAuthentication   Code = "MissingAuthenticationTokenException"
	NotAcceptable           Code = "NotAcceptableException" // REST only
	NotAuthorized           Code = "NotAuthorizedException"
	NotFound                Code = "NotFoundException"
	ReceiptUnavailable      Code = "ReceiptUnavailableException" // of a signature that was made; REST only
	RequestEntityTooLarge   Code = "RequestEntityTooLargeException"
	Serialization           Code = "SerializationException"
	ServiceUnavailable      Code = "ServiceUnavailableException"
	Throttling              Code = "ThrottlingException"
	UnknownOperation        Code = "UnknownOperationException"
	UnrecognizedClient      Code = "UnrecognizedClientException"
	UnsupportedMediaType    Code = "UnsupportedMediaTypeException" // REST only
	UnsupportedOperation    Code = "UnsupportedOperationException"
	Validation              Code = "ValidationException"

	// Of custom key stores.
	CloudHsmClusterInUse                           Code = "CloudHsmClusterInUseException"
	CloudHsmClusterInvalidConfiguration            Code = "CloudHsmClusterInvalidConfigurationException"
	CloudHsmClusterNotActive                       Code = "CloudHsmClusterNotActiveException"
	CloudHsmClusterNotFound                        Code = "CloudHsmClusterNotFoundException"
	CloudHsmClusterNotRelated                      Code = "CloudHsmClusterNotRelatedException"
	CustomKeyStoreHasCMKs                          Code = "CustomKeyStoreHasCMKsException"
	CustomKeyStoreInvalidState                     Code = "CustomKeyStoreInvalidStateException"
	CustomKeyStoreNameInUse                        Code = "CustomKeyStoreNameInUseException"
	CustomKeyStoreNotFound                         Code = "CustomKeyStoreNotFoundException"
	IncorrectTrustAnchor                           Code = "IncorrectTrustAnchorException"
	XksKeyAlreadyInUse                             Code = "XksKeyAlreadyInUseException"
	XksKeyInvalidConfiguration                     Code = "XksKeyInvalidConfigurationException"
	XksKeyNotFound                                 Code = "XksKeyNotFoundException"
	XksProxyIncorrectAuthentication                Code = "XksProxyIncorrectAuthenticationCredentialException"
	XksProxyInvalidConfiguration                   Code = "XksProxyInvalidConfigurationException"
	XksProxyInvalidResponse                        Code = "XksProxyInvalidResponseException"
	XksProxyUriEndpointInUse                       Code = "XksProxyUriEndpointInUseException"
	XksProxyUriInUse                               Code = "XksProxyUriInUseException"
	XksProxyUriUnreachable                         Code = "XksProxyUriUnreachableException"
	XksProxyVpcEndpointServiceInUse                Code = "XksProxyVpcEndpointServiceInUseException"
	XksProxyVpcEndpointServiceInvalidConfiguration Code = "XksProxyVpcEndpointServiceInvalidConfigurationException"
	XksProxyVpcEndpointServiceNotFound             Code = "XksProxyVpcEndpointServiceNotFoundException"
)

// Outcome says in which column of the audit log an error belongs.
type Outcome string

// The outcomes of a call.
const (
	Allowed Outcome = "allowed" // it did what was asked
	Denied  Outcome = "denied"  // the policy or the authentication refused it
	Invalid Outcome = "invalid" // the request or the key's state did not fit
	Failed  Outcome = "failed"  // the service could not do it
)

// class holds what each face needs to know of a code.
type class struct {
	rest    int // HTTP status under /v1
	aws     int // HTTP status of the AWS face: 400 for every client error, as recorded on AWS
	outcome Outcome
	title   string // of the problem document
}

var classes = map[Code]class{
	AccessDenied:          {http.StatusForbidden, 400, Denied, "Not allowed"},
	ApprovalRequired:      {http.StatusForbidden, 400, Denied, "Approval required"},
	NotAuthorized:         {http.StatusForbidden, 400, Denied, "Not allowed"},
	ExpiredToken:          {http.StatusUnauthorized, 400, Denied, "Credential expired"},
	IncompleteSignature:   {http.StatusUnauthorized, 400, Denied, "Request signature incomplete"},
	InvalidIdentityToken:  {http.StatusUnauthorized, 400, Denied, "Identity token invalid"},
	InvalidSignature:      {http.StatusUnauthorized, 400, Denied, "Request signature wrong"},
	MissingAuthentication: {http.StatusUnauthorized, 400, Denied, "Not authenticated"},
	UnrecognizedClient:    {http.StatusUnauthorized, 400, Denied, "Credential unknown"},

	AlreadyExists:           {http.StatusConflict, 400, Invalid, "Exists already"},
	Conflict:                {http.StatusConflict, 400, Invalid, "Another change is going on"},
	Disabled:                {http.StatusConflict, 400, Invalid, "Key disabled"},
	DryRunOperation:         {http.StatusPreconditionFailed, 400, Invalid, "Dry run"},
	ExpiredImportToken:      {http.StatusBadRequest, 400, Invalid, "Import token expired"},
	IdempotencyKeyReused:    {http.StatusConflict, 400, Invalid, "Idempotency key used before"},
	IncorrectKey:            {http.StatusBadRequest, 400, Invalid, "Wrong key"},
	IncorrectKeyMaterial:    {http.StatusBadRequest, 400, Invalid, "Wrong key material"},
	InvalidAliasName:        {http.StatusBadRequest, 400, Invalid, "Alias name invalid"},
	InvalidArn:              {http.StatusBadRequest, 400, Invalid, "ARN invalid"},
	InvalidCiphertext:       {http.StatusBadRequest, 400, Invalid, "Ciphertext invalid"},
	InvalidGrantId:          {http.StatusBadRequest, 400, Invalid, "Grant id invalid"},
	InvalidGrantToken:       {http.StatusBadRequest, 400, Invalid, "Grant token invalid"},
	InvalidImportToken:      {http.StatusBadRequest, 400, Invalid, "Import token invalid"},
	InvalidKeyUsage:         {http.StatusBadRequest, 400, Invalid, "Key usage does not fit"},
	InvalidMarker:           {http.StatusBadRequest, 400, Invalid, "Marker invalid"},
	InvalidTag:              {http.StatusBadRequest, 400, Invalid, "Tag invalid"},
	KMSInvalidMac:           {http.StatusBadRequest, 400, Invalid, "MAC invalid"},
	KMSInvalidSignature:     {http.StatusBadRequest, 400, Invalid, "Signature invalid"},
	KMSInvalidState:         {http.StatusConflict, 400, Invalid, "Key state does not fit"},
	LimitExceeded:           {http.StatusBadRequest, 400, Invalid, "Limit exceeded"},
	MalformedPolicyDocument: {http.StatusBadRequest, 400, Invalid, "Policy malformed"},
	MethodNotAllowed:        {http.StatusMethodNotAllowed, 400, Invalid, "Method not allowed"},
	NotAcceptable:           {http.StatusNotAcceptable, 400, Invalid, "Answer not to be had in that form"},
	NotFound:                {http.StatusNotFound, 400, Invalid, "Not found"},
	RequestEntityTooLarge:   {http.StatusRequestEntityTooLarge, 400, Invalid, "Request too large"},
	Serialization:           {http.StatusBadRequest, 400, Invalid, "Request not readable"},
	UnknownOperation:        {http.StatusNotFound, 400, Invalid, "No such operation"},
	UnsupportedMediaType:    {http.StatusUnsupportedMediaType, 400, Invalid, "Media type not supported"},
	UnsupportedOperation:    {http.StatusBadRequest, 400, Invalid, "Not supported"},
	Validation:              {http.StatusBadRequest, 400, Invalid, "Request invalid"},

	CloudHsmClusterInUse:                           {http.StatusConflict, 400, Invalid, "Cluster in use"},
	CloudHsmClusterInvalidConfiguration:            {http.StatusBadRequest, 400, Invalid, "Cluster configuration invalid"},
	CloudHsmClusterNotActive:                       {http.StatusConflict, 400, Invalid, "Cluster not active"},
	CloudHsmClusterNotFound:                        {http.StatusNotFound, 400, Invalid, "Cluster not found"},
	CloudHsmClusterNotRelated:                      {http.StatusBadRequest, 400, Invalid, "Cluster not related"},
	CustomKeyStoreHasCMKs:                          {http.StatusConflict, 400, Invalid, "Key store has keys"},
	CustomKeyStoreInvalidState:                     {http.StatusConflict, 400, Invalid, "Key store state does not fit"},
	CustomKeyStoreNameInUse:                        {http.StatusConflict, 400, Invalid, "Key store name in use"},
	CustomKeyStoreNotFound:                         {http.StatusNotFound, 400, Invalid, "Key store not found"},
	IncorrectTrustAnchor:                           {http.StatusBadRequest, 400, Invalid, "Wrong trust anchor"},
	XksKeyAlreadyInUse:                             {http.StatusConflict, 400, Invalid, "External key in use"},
	XksKeyInvalidConfiguration:                     {http.StatusBadRequest, 400, Invalid, "External key configuration invalid"},
	XksKeyNotFound:                                 {http.StatusNotFound, 400, Invalid, "External key not found"},
	XksProxyIncorrectAuthentication:                {http.StatusBadRequest, 400, Invalid, "External key store credential wrong"},
	XksProxyInvalidConfiguration:                   {http.StatusBadRequest, 400, Invalid, "External key store configuration invalid"},
	XksProxyInvalidResponse:                        {http.StatusBadRequest, 400, Invalid, "External key store answer invalid"},
	XksProxyUriEndpointInUse:                       {http.StatusConflict, 400, Invalid, "External key store endpoint in use"},
	XksProxyUriInUse:                               {http.StatusConflict, 400, Invalid, "External key store URI in use"},
	XksProxyUriUnreachable:                         {http.StatusBadRequest, 400, Invalid, "External key store not reachable"},
	XksProxyVpcEndpointServiceInUse:                {http.StatusConflict, 400, Invalid, "Endpoint service in use"},
	XksProxyVpcEndpointServiceInvalidConfiguration: {http.StatusBadRequest, 400, Invalid, "Endpoint service configuration invalid"},
	XksProxyVpcEndpointServiceNotFound:             {http.StatusNotFound, 400, Invalid, "Endpoint service not found"},

	IDPCommunicationError: {http.StatusServiceUnavailable, 503, Failed, "Identity provider not reachable"},
	DependencyTimeout:     {http.StatusServiceUnavailable, 503, Failed, "Timed out"},
	Internal:              {http.StatusInternalServerError, 500, Failed, "Internal error"},
	KeyUnavailable:        {http.StatusServiceUnavailable, 500, Failed, "Key unavailable"},
	ReceiptUnavailable:    {http.StatusServiceUnavailable, 503, Failed, "Receipt not available yet"},
	ServiceUnavailable:    {http.StatusServiceUnavailable, 503, Failed, "Service unavailable"},
	Throttling:            {http.StatusTooManyRequests, 400, Failed, "Too many requests"},
}

// Codes lists every code, for tests and documents.
func Codes() []Code {
	codes := make([]Code, 0, len(classes))
	for c := range classes {
		codes = append(codes, c)
	}
	return codes
}

// RESTStatus is the HTTP status of the code under /v1.
func (c Code) RESTStatus() int { return classes[c].rest }

// AWSStatus is the HTTP status of the code on the AWS face.
func (c Code) AWSStatus() int { return classes[c].aws }

// Outcome is the column of the audit log in which the code belongs.
func (c Code) Outcome() Outcome { return classes[c].outcome }

// Title is the short human name of the code, the title of a problem document.
func (c Code) Title() string { return classes[c].title }

// Error is the one form in which the gateway tells a caller what went wrong.
// Message is meant for the caller and never holds a secret; Cause is for the
// operations log alone.
type Error struct {
	Code       Code
	Message    string
	RetryAfter time.Duration // zero: trying again does not help
	Cause      error
}

func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause, which stays in the gateway.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error with a message for the caller.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
