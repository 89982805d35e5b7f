package identity

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TemporaryPrefix begins the ids of temporary access keys, as on AWS.
const TemporaryPrefix = "ASIA"

const (
	sessionPrefix  = bearerPrefix + "session_"
	sessionVersion = 1
	// maxStatement bounds what a session token says, in bytes, and with it every
	// header that it travels in.
	maxStatement = 4096
	maxToken     = (maxStatement + 64) * 4 / 3
)

// What a session token is sealed for: one is not taken for the other.
const (
	forSigning = "access key"
	forBearer  = "bearer"
)

// Session is the temporary credentials of a principal. They are kept nowhere:
// every process with the same seal key and database knows them.
type Session struct {
	Principal                                  policy.Principal
	AccessKeyID, SecretAccessKey, SessionToken string // for requests that are signed
	Bearer                                     string // for requests that are not
	Expires                                    time.Time
}

// sessions makes the secrets of temporary credentials.
type sessions struct {
	seal   cipher.AEAD
	secret []byte
}

func newSessions(sealKey []byte) (sessions, error) {
	token, err := hkdf.Key(sha256.New, sealKey, nil, "hsmgate session token 1", SealKeySize)
	if err != nil {
		return sessions{}, err
	}
	secret, err := hkdf.Key(sha256.New, sealKey, nil, "hsmgate session secret 1", sha256.Size)
	if err != nil {
		return sessions{}, err
	}
	seal, err := newSeal(token)
	return sessions{seal, secret}, err
}

// statement is what a session token says.
type statement struct {
	KeyID   string `json:"k"`           // of the temporary access key
	Role    string `json:"r,omitempty"` // name of the role; none: a session of the user who has Maker
	Since   int64  `json:"f,omitempty"` // sessionsSince of the role when the session was made
	Maker   string `json:"m,omitempty"` // access key that the session was made with, and ends with
	Issued  int64  `json:"i"`           // seconds since 1970, as is the next
	Expires int64  `json:"e"`

	Session  string              `json:"n,omitempty"`
	Tags     map[string]string   `json:"t,omitempty"`
	Claims   map[string][]string `json:"c,omitempty"`
	Subject  string              `json:"s,omitempty"`
	AltNames []string            `json:"a,omitempty"`

	Provider string `json:"p,omitempty"` // who vouches for the caller, and for whom
	Vouched  string `json:"u,omitempty"`
}

// NewRoleSession makes a session of a role, good for ttl. role is its name. maker
// is the access key that the session was asked for with, and ends with; "" for
// none. The errors are those of Assume.
func (i *Identities) NewRoleSession(role string, p Proof, maker string, ttl time.Duration, now time.Time) (*Session, error) {
	made, of, err := i.assume(i.current(), role, p)
	if err != nil {
		return nil, err
	}
	return i.newSession(made, ttl, now, statement{Role: role, Since: sessionsSince(of), Maker: maker,
		Session: p.Session, Tags: p.Tags, Claims: p.Claims, Subject: p.CertificateSubject, AltNames: p.CertificateSANs,
		Provider: p.Provider, Vouched: p.Subject})
}

// NewUserSession makes a session of the principal that an access key belongs to,
// good for ttl. It ends with that access key, for whose errors see AccessKey.
func (i *Identities) NewUserSession(maker string, ttl time.Duration, now time.Time) (*Session, error) {
	p, err := i.maker(i.current(), maker, now)
	if err != nil {
		return nil, err
	}
	return i.newSession(p, ttl, now, statement{Maker: maker})
}

func (i *Identities) newSession(p policy.Principal, ttl time.Duration, now time.Time, says statement) (*Session, error) {
	s := &Session{Principal: p, AccessKeyID: TemporaryPrefix + strings.ToUpper(randomBase32(accessKeyRandom)), Expires: now.Add(ttl).Truncate(time.Second)}
	says.KeyID, says.Issued, says.Expires = s.AccessKeyID, now.Unix(), s.Expires.Unix()
	text, err := json.Marshal(says)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if len(text) > maxStatement {
		return nil, fmt.Errorf("identity: %w: claims and tags of a session: they take %d bytes of at most %d%s", ErrInvalid, len(text), maxStatement, says.longest())
	}
	s.SecretAccessKey = i.sessions.secretOf(s.AccessKeyID)
	s.SessionToken = base64.StdEncoding.EncodeToString(i.sessions.sealed(text, forSigning))
	s.Bearer = sessionPrefix + base64.RawURLEncoding.EncodeToString(i.sessions.sealed(text, forBearer))
	return s, nil
}

// longest names the claim that takes most of a session, and what to do about it. It is
// not left out: a policy that is put later may ask for it.
func (s *statement) longest() string {
	name, most := "", 0
	for claim, values := range s.Claims {
		if n := len(strings.Join(values, "")); n > most || n == most && claim < name {
			name, most = claim, n
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf(", the claim %.64q most of them: have the provider leave it out, or send the token itself with each call on REST", name)
}

// TemporaryKey is AccessKey for a temporary access key with its session token.
func (i *Identities) TemporaryKey(id, token string, now time.Time) (secret string, p policy.Principal, err error) {
	says, err := i.sessions.open(token, base64.StdEncoding, forSigning)
	if err != nil {
		return "", p, err
	}
	if says.KeyID != id { // not of two sessions of one caller, either
		return "", p, ErrUnknown
	}
	if p, err = i.sessionOf(says, now); err != nil {
		return "", policy.Principal{}, err
	}
	return i.sessions.secretOf(id), p, nil
}

// sessionBearer is Bearer for the bearer token of a session.
func (i *Identities) sessionBearer(sealed string, now time.Time) (policy.Principal, error) {
	says, err := i.sessions.open(sealed, base64.RawURLEncoding, forBearer)
	if err != nil {
		return policy.Principal{}, err
	}
	return i.sessionOf(says, now)
}

// sessionOf is the principal of a session as it is now, which what was changed
// since the session was made counts for.
func (i *Identities) sessionOf(says *statement, now time.Time) (p policy.Principal, err error) {
	d := i.current()
	if expired(time.Unix(says.Expires, 0), now) {
		return p, ErrExpired
	}
	if says.Maker != "" || says.Role == "" {
		p, err = i.maker(d, says.Maker, now)
	}
	if err == nil && says.Role != "" {
		p, err = i.inRole(d, says)
	}
	if err != nil {
		return policy.Principal{}, err
	}
	p.CredentialID = says.KeyID
	return p, nil
}

// inRole is the principal of a role's session.
func (i *Identities) inRole(d *derived, says *statement) (policy.Principal, error) {
	p, of, err := i.assume(d, says.Role, Proof{Session: says.Session, Tags: says.Tags, Claims: says.Claims,
		CertificateSubject: says.Subject, CertificateSANs: says.AltNames, Provider: says.Provider, Subject: says.Vouched})
	if err == nil && sessionsSince(of) != says.Since { // ended, or of an older role of that name
		err = ErrUnknown
	}
	return p, err
}

// maker is whom an access key belongs to, while it may be used.
func (i *Identities) maker(d *derived, id string, now time.Time) (p policy.Principal, err error) {
	k, err := i.usable(id, now)
	if err != nil {
		return p, err
	}
	return i.principal(d, k.PrincipalARN)
}

// sessionsSince tells the sessions of a role from those that were ended and from
// those of an older role of its name. It is only ever compared for equality, so
// that the clocks of several processes do not matter.
func sessionsSince(role *store.Principal) int64 {
	if role.SessionsSince.IsZero() {
		return role.CreatedAt.UnixMicro()
	}
	return role.SessionsSince.UnixMicro()
}

// secretOf is the secret of a temporary access key, which nobody has to keep.
func (s *sessions) secretOf(id string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(id))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)[:secretBytes])
}

func (s *sessions) sealed(text []byte, purpose string) []byte {
	return s.seal.Seal([]byte{sessionVersion}, nil, text, []byte(purpose))
}

func (s *sessions) open(token string, in *base64.Encoding, purpose string) (*statement, error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // which the decoder would skip
		return nil, ErrUnknown
	}
	sealed, err := in.Strict().DecodeString(token)
	if err != nil || len(sealed) == 0 || sealed[0] != sessionVersion {
		return nil, ErrUnknown
	}
	text, err := s.seal.Open(nil, nil, sealed[1:], []byte(purpose))
	if err != nil {
		return nil, ErrUnknown
	}
	says := new(statement)
	if err := json.Unmarshal(text, says); err != nil {
		return nil, ErrUnknown
	}
	return says, nil
}
