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
	AccessDenied          Code = "AccessDeniedException"
	AlreadyExists         Code = "AlreadyExistsException"
	DependencyTimeout     Code = "DependencyTimeoutException"
	Disabled              Code = "DisabledException"
	DryRunOperation       Code = "DryRunOperationException"
	ExpiredToken          Code = "ExpiredTokenException"
	IncompleteSignature   Code = "IncompleteSignatureException"
	IncorrectKey          Code = "IncorrectKeyException"
	InvalidAliasName      Code = "InvalidAliasNameException"
	InvalidArn            Code = "InvalidArnException"
	InvalidCiphertext     Code = "InvalidCiphertextException"
	InvalidGrantToken     Code = "InvalidGrantTokenException"
	InvalidKeyUsage       Code = "InvalidKeyUsageException"
	InvalidMarker         Code = "InvalidMarkerException"
	InvalidSignature      Code = "InvalidSignatureException" // of the request, not of a message
	Internal              Code = "KMSInternalException"
	KMSInvalidSignature   Code = "KMSInvalidSignatureException"
	KMSInvalidState       Code = "KMSInvalidStateException"
	KeyUnavailable        Code = "KeyUnavailableException"
	LimitExceeded         Code = "LimitExceededException"
	MissingAuthentication Code = "MissingAuthenticationTokenException"
	NotAcceptable         Code = "NotAcceptableException" // REST only
	NotAuthorized         Code = "NotAuthorizedException"
	NotFound              Code = "NotFoundException"
	Serialization         Code = "SerializationException"
	ServiceUnavailable    Code = "ServiceUnavailableException"
	Throttling            Code = "ThrottlingException"
	UnknownOperation      Code = "UnknownOperationException"
	UnrecognizedClient    Code = "UnrecognizedClientException"
	UnsupportedMediaType  Code = "UnsupportedMediaTypeException" // REST only
	UnsupportedOperation  Code = "UnsupportedOperationException"
	Validation            Code = "ValidationException"
	RequestEntityTooLarge Code = "RequestEntityTooLargeException"
	MethodNotAllowed      Code = "MethodNotAllowedException" // REST only
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
	NotAuthorized:         {http.StatusForbidden, 400, Denied, "Not allowed"},
	ExpiredToken:          {http.StatusUnauthorized, 400, Denied, "Credential expired"},
	IncompleteSignature:   {http.StatusUnauthorized, 400, Denied, "Request signature incomplete"},
	InvalidSignature:      {http.StatusUnauthorized, 400, Denied, "Request signature wrong"},
	MissingAuthentication: {http.StatusUnauthorized, 400, Denied, "Not authenticated"},
	UnrecognizedClient:    {http.StatusUnauthorized, 400, Denied, "Credential unknown"},

	AlreadyExists:         {http.StatusConflict, 400, Invalid, "Exists already"},
	Disabled:              {http.StatusConflict, 400, Invalid, "Key disabled"},
	DryRunOperation:       {http.StatusPreconditionFailed, 400, Invalid, "Dry run"},
	IncorrectKey:          {http.StatusBadRequest, 400, Invalid, "Wrong key"},
	InvalidAliasName:      {http.StatusBadRequest, 400, Invalid, "Alias name invalid"},
	InvalidArn:            {http.StatusBadRequest, 400, Invalid, "ARN invalid"},
	InvalidCiphertext:     {http.StatusBadRequest, 400, Invalid, "Ciphertext invalid"},
	InvalidGrantToken:     {http.StatusBadRequest, 400, Invalid, "Grant token invalid"},
	InvalidKeyUsage:       {http.StatusBadRequest, 400, Invalid, "Key usage does not fit"},
	InvalidMarker:         {http.StatusBadRequest, 400, Invalid, "Marker invalid"},
	KMSInvalidSignature:   {http.StatusBadRequest, 400, Invalid, "Signature invalid"},
	KMSInvalidState:       {http.StatusConflict, 400, Invalid, "Key state does not fit"},
	LimitExceeded:         {http.StatusBadRequest, 400, Invalid, "Limit exceeded"},
	MethodNotAllowed:      {http.StatusMethodNotAllowed, 400, Invalid, "Method not allowed"},
	NotAcceptable:         {http.StatusNotAcceptable, 400, Invalid, "Answer not to be had in that form"},
	NotFound:              {http.StatusNotFound, 400, Invalid, "Not found"},
	RequestEntityTooLarge: {http.StatusRequestEntityTooLarge, 400, Invalid, "Request too large"},
	Serialization:         {http.StatusBadRequest, 400, Invalid, "Request not readable"},
	UnknownOperation:      {http.StatusNotFound, 400, Invalid, "No such operation"},
	UnsupportedMediaType:  {http.StatusUnsupportedMediaType, 400, Invalid, "Media type not supported"},
	UnsupportedOperation:  {http.StatusBadRequest, 400, Invalid, "Not supported"},
	Validation:            {http.StatusBadRequest, 400, Invalid, "Request invalid"},

	DependencyTimeout:  {http.StatusServiceUnavailable, 503, Failed, "Timed out"},
	Internal:           {http.StatusInternalServerError, 500, Failed, "Internal error"},
	KeyUnavailable:     {http.StatusServiceUnavailable, 500, Failed, "Key unavailable"},
	ServiceUnavailable: {http.StatusServiceUnavailable, 503, Failed, "Service unavailable"},
	Throttling:         {http.StatusTooManyRequests, 400, Failed, "Too many requests"},
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
