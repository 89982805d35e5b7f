package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// STS are the operations of AWS STS that the AWS face has, and REST one of them.
// They are about callers, not about keys.
var STS = []*Op{AssumeRoleWithWebIdentity,
	op("AssumeRole", "", "", anyState, (*Service).AssumeRole).as("sts:AssumeRole").reading(),
	op("GetSessionToken", "", "", anyState, (*Service).GetSessionToken).toAll().reading(),
	op("GetCallerIdentity", "", "", anyState, (*Service).GetCallerIdentity).toAll().reading(),
}

// AssumeRoleWithWebIdentity exchanges the token of an identity provider for a
// session. Its caller is authenticated by that token; see [Service.Exchange].
var AssumeRoleWithWebIdentity = op("AssumeRoleWithWebIdentity", "POST", "/v1/sessions", anyState, (*Service).AssumeRoleWithWebIdentity).toAll().reading()

// Sessions say how long sessions of roles are good.
type Sessions struct {
	// MaxDuration is how long a session of a role is good at most, from 15m to
	// 12h. Default 1h.
	MaxDuration time.Duration `yaml:"max_duration"`
}

// workload is who calls by a proof in place of a credential.
type workload struct {
	role   string
	proof  identity.Proof
	sharer string // of the role's sessions; see policy.Sharer
}

// Exchange performs AssumeRoleWithWebIdentity for the holder of a token. proven is
// false where the token proves nothing: there is no caller then, and no record.
func (s *Service) Exchange(ctx context.Context, c *Call, token string, in *api.AssumeRoleWithWebIdentityRequest) (out any, proven bool, err *api.Error) {
	var check api.Checker
	in.Check(&check)
	if err := check.Err(); err != nil {
		return nil, false, err
	}
	role, proof, cause := s.identities.WebIdentity(ctx, token, in.RoleArn, s.now())
	if cause != nil {
		return nil, false, unproven(c, cause)
	}
	if proof.Session == "" {
		proof.Session = in.RoleSessionName
	}
	c.workload = &workload{role, proof, "arn:aws:sts::" + s.names.Account + ":assumed-role/" + role}
	if c.Principal, cause = s.identities.Assume(role, proof, s.now()); cause != nil {
		c.Path, c.Principal = in.RoleArn, policy.Principal{IdentityProvider: proof.Provider, IdentitySubject: proof.Subject}
		return nil, true, s.Reject(ctx, c, AssumeRoleWithWebIdentity.Name, unassumed(c, cause))
	}
	out, err = s.Do(ctx, c, AssumeRoleWithWebIdentity, func(to any) *api.Error {
		*to.(*api.AssumeRoleWithWebIdentityRequest) = *in
		return nil
	})
	return out, true, err
}

// unproven is what the holder of a token is told that proves nothing, or nothing that
// a rule knows: anybody can have a good token of a public issuer.
func unproven(c *Call, cause error) *api.Error {
	switch {
	case errors.Is(cause, identity.ErrDenied):
		return unassumed(c, cause)
	case errors.Is(cause, identity.ErrExpired):
		return &api.Error{Code: api.ExpiredToken, Message: "The web identity token that was passed is expired.", Cause: cause}
	case errors.Is(cause, identity.ErrUnknown):
		return &api.Error{Code: api.InvalidIdentityToken, Cause: cause,
			Message: "The web identity token that was passed is not one that this gateway accepts. An operator finds the reason in the log under request " + c.RequestID + "."}
	case errors.Is(cause, identity.ErrUnreachable):
		return &api.Error{Code: api.IDPCommunicationError, Cause: cause, RetryAfter: time.Second,
			Message: "The identity provider cannot be reached now, so that the token cannot be checked. Try again."}
	}
	return internal(c.RequestID, cause)
}

// unassumed is what a proven workload is told that gets no session. Whether there
// is such a role is no business of who may not have it.
func unassumed(c *Call, cause error) *api.Error {
	switch {
	case errors.Is(cause, identity.ErrInvalid):
		return api.Errorf(api.Validation, "%s", text(cause))
	case errors.Is(cause, identity.ErrExpired):
		return api.Errorf(api.ExpiredToken, "The web identity token that was passed is expired.")
	case errors.Is(cause, identity.ErrDenied), errors.Is(cause, identity.ErrUnknown):
		return &api.Error{Code: api.AccessDenied, Message: "Not authorized to perform sts:AssumeRoleWithWebIdentity", Cause: cause}
	}
	return internal(c.RequestID, cause)
}

// text is an error as callers read it.
func text(cause error) string { return strings.TrimPrefix(cause.Error(), "identity: ") }

// AssumeRoleWithWebIdentity makes the session of a proven workload.
func (s *Service) AssumeRoleWithWebIdentity(_ context.Context, c *Call, in *api.AssumeRoleWithWebIdentityRequest) (*api.AssumeRoleWithWebIdentityResponse, *api.Error) {
	if c.workload == nil {
		return nil, api.Errorf(api.AccessDenied, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	made, err := s.roleSession(c, c.workload.role, c.workload.proof, "", in.SessionDuration)
	if err != nil {
		return nil, err
	}
	return &api.AssumeRoleWithWebIdentityResponse{
		AssumedRoleUser: assumed(made), Credentials: credentials(made), BearerToken: made.Bearer,
		Provider: made.Principal.IdentityProvider, SubjectFromWebIdentityToken: made.Principal.IdentitySubject,
	}, nil
}

// AssumeRole makes a session of a role for a principal whom policies let have it. It
// and GetSessionToken answer no bearer token, and an access key is none either: who has
// become a role or a user by them can only sign requests, so has no vote on an approval: see bySignature.
func (s *Service) AssumeRole(_ context.Context, c *Call, in *api.AssumeRoleRequest) (*api.AssumeRoleResponse, *api.Error) {
	if err := c.longTerm("AssumeRole"); err != nil {
		return nil, err
	}
	role, ok := s.identities.RoleName(in.RoleArn)
	if !ok {
		return nil, noSuchRole(in.RoleArn)
	}
	made, err := s.roleSession(c, role, identity.Proof{Session: in.RoleSessionName}, c.AccessKey, in.SessionDuration)
	if err != nil {
		return nil, err
	}
	return &api.AssumeRoleResponse{AssumedRoleUser: assumed(made), Credentials: credentials(made)}, nil
}

// GetSessionToken makes temporary credentials of the caller.
func (s *Service) GetSessionToken(_ context.Context, c *Call, in *api.GetSessionTokenRequest) (*api.GetSessionTokenResponse, *api.Error) {
	if err := c.longTerm("GetSessionToken"); err != nil {
		return nil, err
	}
	made, cause := s.identities.NewUserSession(c.AccessKey, seconds(in.SessionDuration, api.DefaultSessionSeconds), s.now())
	if cause != nil {
		return nil, unmade(c, c.AccessKey, cause)
	}
	c.record.AccessKeyID = made.AccessKeyID
	return &api.GetSessionTokenResponse{Credentials: credentials(made)}, nil
}

// GetCallerIdentity tells the caller who it is.
func (s *Service) GetCallerIdentity(_ context.Context, c *Call, _ *api.GetCallerIdentityRequest) (*api.GetCallerIdentityResponse, *api.Error) {
	return &api.GetCallerIdentityResponse{UserId: c.Principal.ID, Account: s.names.Account, Arn: c.Principal.ARN}, nil
}

func (s *Service) roleSession(c *Call, role string, p identity.Proof, maker string, asked api.SessionDuration) (*identity.Session, *api.Error) {
	most := int(s.sessions.MaxDuration / time.Second)
	ttl := seconds(asked, min(api.DefaultSessionSeconds, most))
	if ttl > s.sessions.MaxDuration {
		return nil, api.Errorf(api.Validation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role: %d here (sessions.max_duration).", most)
	}
	made, cause := s.identities.NewRoleSession(role, p, maker, ttl, s.now())
	if cause != nil {
		return nil, unmade(c, s.identities.RoleARN(role), cause)
	}
	c.record.AccessKeyID = made.AccessKeyID
	return made, nil
}

// longTerm refuses who calls by a session: one is not made of another, which would
// outlive it.
func (c *Call) longTerm(operation string) *api.Error {
	if c.AccessKey == "" || strings.HasPrefix(c.AccessKey, identity.TemporaryPrefix) {
		return api.Errorf(api.AccessDenied, "Cannot call %s with session credentials: sign the request with a long-term access key.", operation)
	}
	return nil
}

// unmade is why a caller gets no session.
func unmade(c *Call, of string, cause error) *api.Error {
	switch {
	case errors.Is(cause, identity.ErrInvalid):
		return api.Errorf(api.Validation, "%s", text(cause))
	case errors.Is(cause, identity.ErrUnknown), errors.Is(cause, identity.ErrDisabled), errors.Is(cause, identity.ErrExpired):
		return noSuchRole(of) // or the caller's own access key went at this moment
	}
	return internal(c.RequestID, cause)
}

func noSuchRole(arn string) *api.Error {
	return api.Errorf(api.AccessDenied, "There is no role %s, or it may not be assumed.", arn)
}

func seconds(asked api.SessionDuration, otherwise int) time.Duration {
	if asked.DurationSeconds != nil {
		otherwise = *asked.DurationSeconds
	}
	return time.Duration(otherwise) * time.Second
}

func assumed(s *identity.Session) *api.AssumedRoleUser {
	return &api.AssumedRoleUser{AssumedRoleId: s.Principal.ID, Arn: s.Principal.ARN}
}

func credentials(s *identity.Session) *api.Credentials {
	return &api.Credentials{AccessKeyId: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken, Expiration: api.NewTime(s.Expires)}
}
