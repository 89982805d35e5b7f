package api

// The lifetimes that a session may be asked for, in seconds (AWS STS API
// reference, DurationSeconds). A role's sessions have a lower bound of the
// configuration, too.
const (
	MinSessionSeconds     = 900
	MaxSessionSeconds     = 43200
	DefaultSessionSeconds = 3600
)

var (
	roleArnShape     = shaped(20, 2048, `[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD]+`)
	sessionNameShape = shaped(2, 64, `[\w+=,.@-]*`)
)

// SessionDuration is how long a session is to be good.
type SessionDuration struct {
	DurationSeconds *int `json:",omitempty"` // 900 to 43200; default 3600, or the configured maximum where that is less
}

func (d *SessionDuration) check(c *Checker) {
	c.between("durationSeconds", d.DurationSeconds, MinSessionSeconds, MaxSessionSeconds)
}

// AssumeRoleWithWebIdentityRequest exchanges the token of an identity provider for
// temporary credentials. The token itself is what authenticates the request.
type AssumeRoleWithWebIdentityRequest struct {
	RoleArn         string `json:",omitempty"` // "": the first role that the token may have
	RoleSessionName string `json:",omitempty"` // where the rule for the token gives none
	SessionDuration
}

// Check names what is malformed.
func (r *AssumeRoleWithWebIdentityRequest) Check(c *Checker) {
	c.may("roleArn", r.RoleArn, roleArnShape)
	c.may("roleSessionName", r.RoleSessionName, sessionNameShape)
	r.check(c)
}

// Credentials are temporary: they sign requests for AWS KMS.
type Credentials struct {
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      *Time
}

// AssumedRoleUser is a session of a role.
type AssumedRoleUser struct {
	AssumedRoleId string
	Arn           string
}

// AssumeRoleWithWebIdentityResponse holds the credentials of a session.
type AssumeRoleWithWebIdentityResponse struct {
	AssumedRoleUser             *AssumedRoleUser
	Credentials                 *Credentials
	BearerToken                 string `xml:"-"`                            // the same session, for REST
	Provider                    string `json:",omitempty" xml:",omitempty"` // that issued the token
	SubjectFromWebIdentityToken string `json:",omitempty" xml:",omitempty"`
}

// AssumeRoleRequest asks for a session of a role, as a principal who may have it.
type AssumeRoleRequest struct {
	RoleArn         string
	RoleSessionName string
	SessionDuration
}

// Check names what is malformed.
func (r *AssumeRoleRequest) Check(c *Checker) {
	c.must("roleArn", r.RoleArn, roleArnShape)
	c.must("roleSessionName", r.RoleSessionName, sessionNameShape)
	r.check(c)
}

// RoleRef is the ARN of the role that the caller wants.
func (r *AssumeRoleRequest) RoleRef() string { return r.RoleArn }

// AssumeRoleResponse holds the credentials of a session.
type AssumeRoleResponse struct {
	AssumedRoleUser *AssumedRoleUser
	Credentials     *Credentials
}

// GetSessionTokenRequest asks for temporary credentials of the caller itself.
type GetSessionTokenRequest struct{ SessionDuration }

// Check names what is malformed.
func (r *GetSessionTokenRequest) Check(c *Checker) { r.check(c) }

// GetSessionTokenResponse holds the credentials of a session.
type GetSessionTokenResponse struct{ Credentials *Credentials }

// GetCallerIdentityRequest asks who the caller is.
type GetCallerIdentityRequest struct{}

// Check finds nothing malformed.
func (*GetCallerIdentityRequest) Check(*Checker) {}

// GetCallerIdentityResponse says who the caller is.
type GetCallerIdentityResponse struct{ UserId, Account, Arn string }
