package awskms_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestExchange: a token becomes a session, which signs, knows who it is, and ends.
func TestExchange(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	var r reply
	records := c.newRecords(func() { r = c.exchange(nil) })
	got := r.Exchanged
	if r.status != http.StatusOK || got.ARN != sessionARN || !strings.HasSuffix(got.ID, ":run-7") || got.Provider != "ci" || got.SubjectFromWebIdentityToken != "job" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if left := got.Expiration.Sub(c.Now()); left > time.Hour || left < 59*time.Minute {
		t.Errorf("good for %s", left)
	}
	if len(records) != 1 {
		t.Fatalf("%+v", records)
	}
	a := records[0]
	if a.Operation != "AssumeRoleWithWebIdentity" || a.Principal != sessionARN || a.Provider != "ci" || a.Subject != "job" || a.Outcome != "allowed" ||
		a.AccessKeyID != got.credentials.ID || a.RequestID != r.requestID || a.Face != "aws" {
		t.Errorf("%+v", a)
	}
	log := contents(t, c.AuditPath)
	for _, secret := range []string{got.Secret, got.Session, c.token(nil)[:40]} {
		if strings.Contains(log, secret) {
			t.Error("a secret is in the audit log")
		}
	}
	c.mayList(got.signer())
	who := c.sts(got.signer(), "GetCallerIdentity")
	if who.Identity.Arn != sessionARN || who.Identity.UserId != got.ID || who.Identity.Account != gatewaytest.Account {
		t.Errorf("%d %s", who.status, who.body)
	}
	if records := c.Records(); records[len(records)-1].Principal != sessionARN {
		t.Errorf("%+v", records[len(records)-1])
	}
	c.Advance(time.Hour)
	c.mayNotList(got.signer(), "ExpiredTokenException")
	c.refused(c.sts(got.signer(), "GetCallerIdentity"), 403, "ExpiredToken", "The security token included in the request is expired")
}

// TestExchangeRefuses: the error codes of AWS STS. Who proves nothing that a rule
// knows leaves no record; whose rule names a role that is gone leaves one.
func TestExchangeRefuses(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	hour := map[string]any{"iat": c.Now().Add(-2 * time.Hour).Unix(), "exp": c.Now().Add(-time.Hour).Unix()}
	forged := c.token(nil)
	forged = forged[:len(forged)-6] + "AAAAAA"
	denied := "Not authorized to perform sts:AssumeRoleWithWebIdentity"
	records := c.newRecords(func() {
		c.refused(c.exchange(map[string]any{"sub": "another"}), 403, "AccessDenied", denied)
		c.refused(c.exchange(nil, "RoleArn", strings.Replace(roleARN, "deploy", "other", 1)), 403, "AccessDenied", denied)
		c.refused(c.exchange(map[string]any{"aud": "other"}), 400, "InvalidIdentityToken", proofless)
		c.refused(c.exchange(map[string]any{"iss": "http://127.0.0.1:1"}), 400, "InvalidIdentityToken", proofless)
		c.refused(c.exchange(hour), 400, "ExpiredTokenException", "The web identity token that was passed is expired")
		c.refused(c.exchange(nil, "WebIdentityToken", forged), 400, "InvalidIdentityToken", proofless)
		c.refused(c.exchange(nil, "WebIdentityToken", c.Admin.Token), 400, "InvalidIdentityToken", proofless)
		c.refused(c.exchange(nil, "WebIdentityToken", ""), 400, "ValidationError", "1 validation error detected: Value null at 'webIdentityToken'")
		c.refused(c.exchange(nil, "RoleArn", ""), 400, "ValidationError", "1 validation error detected: Value null at 'roleArn'")
		c.refused(c.exchange(nil, "RoleSessionName", ""), 400, "ValidationError", "1 validation error detected: Value null at 'roleSessionName'")
		c.refused(c.exchange(nil, "RoleSessionName", "a b"), 400, "ValidationError", "1 validation error detected: Value 'a b' at 'roleSessionName'")
		c.refused(c.exchange(nil, "DurationSeconds", "899"), 400, "ValidationError", "1 validation error detected: Value '899' at 'durationSeconds'")
		c.refused(c.exchange(nil, "DurationSeconds", "43201"), 400, "ValidationError", "1 validation error detected: Value '43201' at 'durationSeconds'")
		c.refused(c.exchange(nil, "DurationSeconds", "1h"), 400, "ValidationError", "DurationSeconds is a whole number")
		for _, name := range []string{"Policy", "PolicyArns.member.1.arn", "ProviderId", "roleArn"} {
			c.refused(c.exchange(nil, name, "x"), 400, "ValidationError", "The parameter "+name+" of AssumeRoleWithWebIdentity is not supported")
		}
		c.refused(c.send(nil, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn="+roleARN+"&RoleArn="+roleARN), 400, "ValidationError", "The parameter \"RoleArn\" stands in the request 2 times")
		c.refused(c.send(nil, "%"), 400, "MalformedInput", "The body is not a form")
	})
	if len(records) != 0 {
		t.Errorf("strangers leave %+v", records)
	}
	records = c.newRecords(func() {
		c.refused(c.exchange(nil, "RoleArn", strings.Replace(roleARN, "deploy", "gone", 1)), 403, "AccessDenied", denied) // there is a rule and no role
	})
	if len(records) != 1 || records[0].Outcome != "denied" || records[0].Operation != "AssumeRoleWithWebIdentity" || records[0].Provider != "ci" || records[0].Subject == "" ||
		!strings.HasPrefix(records[0].Resource, "arn:aws:iam::") || records[0].Principal != "" {
		t.Errorf("%+v", records)
	}
	records = c.newRecords(func() {
		c.refused(c.exchange(nil, "DurationSeconds", "3601"), 400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role")
	})
	if len(records) != 1 || records[0].Outcome != "invalid" || records[0].Principal != sessionARN || records[0].AccessKeyID != "" {
		t.Errorf("%+v", records)
	}
}

// TestProviderAway: nothing is decided without the keys of the provider.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	token := c.token(nil)
	c.issuer.Close()
	c.refused(c.sts(nil, "AssumeRoleWithWebIdentity", "RoleArn", roleARN, "RoleSessionName", "mine", "WebIdentityToken", token), 400, "IDPCommunicationError", "The identity provider cannot be reached now")
}

// TestSessionDuration: what is asked for, as far as the setting goes.
func TestSessionDuration(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		most    time.Duration
		asked   string
		seconds int
	}{{2 * time.Hour, "", 3600}, {2 * time.Hour, "7200", 7200}, {2 * time.Hour, "900", 900}, {15 * time.Minute, "", 900}} {
		c := newCloud(t, gateway.Sessions{MaxDuration: x.most})
		var parameters []string
		if x.asked != "" {
			parameters = []string{"DurationSeconds", x.asked}
		}
		before := c.Now()
		if left := c.exchanged(parameters...).Expiration.Sub(before).Round(10 * time.Second); left != time.Duration(x.seconds)*time.Second {
			t.Errorf("%+v: good for %s", x, left)
		}
	}
}

// TestTemporaryKeys: a session token is good for its own access key, signed, and as
// long as the role is there.
func TestTemporaryKeys(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	one, two := c.exchanged(), c.exchanged()
	const unknown, wrong = "UnrecognizedClientException", "InvalidSignatureException"
	c.mayList(one.signer())
	c.mayNotList(&signer{id: one.ID, secret: one.Secret}, unknown)
	c.mayNotList(&signer{id: one.ID, secret: one.Secret, token: two.Session}, unknown)
	c.mayNotList(&signer{id: two.ID, secret: one.Secret, token: one.Session}, unknown)
	c.mayNotList(&signer{id: one.ID, secret: two.Secret, token: one.Session}, wrong)
	c.mayNotList(&signer{id: one.ID, secret: one.Secret, token: one.Session[:len(one.Session)-8] + "AAAAAAAA"}, unknown)
	c.mayNotList(&signer{id: c.Admin.AccessKeyID, secret: c.Admin.SecretAccessKey, token: one.Session}, unknown)
	set := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", token) }
	}
	c.mayNotList(&signer{id: one.ID, secret: one.Secret}, wrong, set(one.Session)) // not signed
	c.mayNotList(c.admin(), wrong, set(""))                                        // a header that is not signed, whatever is in it
	c.refused(c.sts(&signer{id: one.ID, secret: one.Secret, token: two.Session}, "GetCallerIdentity"), 403, "InvalidClientTokenId", "The security token included in the request is invalid")

	if err := c.Identities.EndSessions(t.Context(), roleARN, c.Now()); err != nil {
		t.Fatal(err)
	}
	c.mayNotList(one.signer(), unknown)
	three := c.exchanged()
	c.mayList(three.signer())
	if err := c.Identities.DeletePrincipal(t.Context(), roleARN); err != nil {
		t.Fatal(err)
	}
	c.mayNotList(three.signer(), unknown)
}

// TestSigned: the operations of AWS STS that are signed.
func TestSigned(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	who := c.sts(c.admin(), "GetCallerIdentity")
	if who.Identity.Arn != c.Admin.ARN || !strings.HasPrefix(who.Identity.UserId, "AIDA") {
		t.Errorf("%d %s", who.status, who.body)
	}
	global := c.admin()
	global.region = "us-east-1" // as some clients sign for STS
	if who := c.sts(global, "GetCallerIdentity"); who.Identity.Arn != c.Admin.ARN {
		t.Errorf("%d %s", who.status, who.body)
	}
	c.mayNotList(global, "InvalidSignatureException")
	kms := c.admin()
	kms.service = "kms"
	c.refused(c.sts(kms, "GetCallerIdentity"), 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'.")
	c.refused(c.sts(nil, "GetCallerIdentity"), 403, "MissingAuthenticationToken", "Missing Authentication Token")
	wrong := c.admin()
	wrong.secret += "x"
	c.refused(c.sts(wrong, "GetCallerIdentity"), 403, "SignatureDoesNotMatch", "The request signature we calculated")
	c.refused(c.sts(nil, "GetFederationToken"), 400, "InvalidAction", "Could not find operation GetFederationToken for version 2011-06-15")
	records := c.newRecords(func() { c.refused(c.sts(c.admin(), "GetFederationToken"), 400, "InvalidAction", "Could not") })
	if len(records) != 1 || records[0].Operation != "UnknownOperation" || records[0].Principal != c.Admin.ARN {
		t.Errorf("%+v", records)
	}
	c.refused(c.send(c.admin(), "Action=GetCallerIdentity&Version=2010-01-01"), 400, "InvalidAction", "Could not find operation")
	c.refused(c.sts(c.admin(), "GetSessionToken", "SerialNumber", "x"), 400, "ValidationError", "The parameter SerialNumber of GetSessionToken is not supported")

	got := c.sts(c.admin(), "GetSessionToken", "DurationSeconds", "43200").Token
	if left := got.Expiration.Sub(c.Now()); left < 11*time.Hour {
		t.Errorf("good for %s", left)
	}
	c.mayList(got.signer())
	if who := c.sts(got.signer(), "GetCallerIdentity"); who.Identity.Arn != c.Admin.ARN {
		t.Errorf("%d %s", who.status, who.body)
	}
	c.refused(c.sts(got.signer(), "GetSessionToken"), 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	c.mayAssume(c.Admin.ARN, "*")
	c.refused(c.sts(got.signer(), "AssumeRole", "RoleArn", roleARN, "RoleSessionName", "run-7"), 403, "AccessDenied", "Cannot call AssumeRole with session credentials")
	if err := c.Identities.DisableAccessKey(t.Context(), c.Admin.AccessKeyID); err != nil {
		t.Fatal(err)
	}
	c.mayNotList(got.signer(), "UnrecognizedClientException")
}

// TestAssumeRole: whom an identity policy lets have the role gets a session of it.
func TestAssumeRole(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	ci := c.Principal("ci", policy.RoleUser)
	by := &signer{id: ci.AccessKeyID, secret: ci.SecretAccessKey}
	assume := func(by *signer, arn string) reply {
		return c.sts(by, "AssumeRole", "RoleArn", arn, "RoleSessionName", "run-7")
	}
	c.refused(assume(by, roleARN), 403, "AccessDenied", "User: "+ci.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+roleARN+" because no identity-based policy allows the sts:AssumeRole action")
	c.refused(assume(c.admin(), roleARN), 403, "AccessDenied", "User: "+c.Admin.ARN+" is not authorized to perform: sts:AssumeRole") // an administrator is nobody else
	c.mayAssume(ci.ARN, roleARN)
	var r reply
	records := c.newRecords(func() { r = assume(by, roleARN) })
	if r.Assumed.ARN != sessionARN || len(records) != 1 || records[0].Principal != ci.ARN || records[0].CredentialID != ci.AccessKeyID || records[0].Resource != roleARN || records[0].AccessKeyID != r.Assumed.credentials.ID {
		t.Fatalf("%d %s %+v", r.status, r.body, records)
	}
	if by := c.newRecords(func() { c.mayList(r.Assumed.signer()) }); by[0].CredentialID != r.Assumed.credentials.ID || by[0].AccessKeyID != "" {
		t.Errorf("%+v", by)
	}
	other := strings.Replace(roleARN, "deploy", "other", 1)
	c.refused(assume(by, other), 403, "AccessDenied", "User: "+ci.ARN+" is not authorized")
	c.mayAssume(c.Admin.ARN, "arn:aws:iam::"+gatewaytest.Account+":role/*")
	c.refused(assume(c.admin(), other), 403, "AccessDenied", "There is no role "+other)
	c.refused(assume(c.admin(), strings.Replace(roleARN, gatewaytest.Account, "999999999999", 1)), 403, "AccessDenied", "User: "+c.Admin.ARN+" is not authorized")
	if err := c.Identities.DeleteAccessKey(t.Context(), ci.AccessKeyID); err != nil {
		t.Fatal(err)
	}
	c.mayNotList(r.Assumed.signer(), "UnrecognizedClientException")
}

// mayAssume gives a principal roles.
func (c *cloud) mayAssume(arn, roles string) {
	c.t.Helper()
	name := "assume-" + arn[strings.LastIndexByte(arn, '/')+1:]
	text := `{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "` + roles + `"}}`
	if err := c.Identities.PutPolicy(c.t.Context(), name, text, c.Now()); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Identities.AttachPolicy(c.t.Context(), arn, name); err != nil {
		c.t.Fatal(err)
	}
}

// TestNoBearerOfAnotherCaller: who has an access key of somebody, or a role by AssumeRole,
// has no bearer token of it, so none of what REST alone has: no vote on an approval.
func TestNoBearerOfAnotherCaller(t *testing.T) {
	t.Parallel()
	c := newCloud(t, gateway.Sessions{})
	c.mayAssume(c.Admin.ARN, roleARN)
	assumed := c.sts(c.admin(), "AssumeRole", "RoleArn", roleARN, "RoleSessionName", "run-7")
	own := c.sts(c.admin(), "GetSessionToken")
	if assumed.status != http.StatusOK || own.status != http.StatusOK {
		t.Fatalf("%s %s", assumed.body, own.body)
	}
	for _, r := range []reply{assumed, own} {
		if strings.Contains(r.body, "hsmgate_") || strings.Contains(r.body, "Bearer") {
			t.Errorf("a signed call is given a bearer token: %s", r.body)
		}
		of := r.Assumed.credentials
		if of.ID == "" {
			of = r.Token
		}
		c.mayList(of.signer())
		for _, token := range []string{of.Session, "hsmgate_session_" + of.Session, of.ID, of.Secret, of.ID + "_" + of.Secret} {
			if a := c.Send(token, "GET", "/v1/keys", nil); a.Status != http.StatusUnauthorized {
				t.Errorf("REST takes %.24s… of a signed session: %d", token, a.Status)
			}
		}
	}
	vote, found := gateway.OpNamed("ApproveRequest")
	if !found || !vote.BeyondKMS() {
		t.Error("the AWS face has votes")
	}
}
