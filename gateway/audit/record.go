package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Record is one use, or attempted use, of the service. It is stored as one JSON object on one line, its
// members in the order of these fields; members that are empty are left out, except the first three.
type Record struct {
	Seq  uint64    `json:"seq"`  // number in the log, from 1, without gaps; given by the log, whatever the caller sets
	Prev string    `json:"prev"` // hex SHA-256 of the line before; 64 zeros for record 1; given by the log
	Time time.Time `json:"time"` // when the call was received, kept in UTC; the time of Append where it is zero

	Origin        string `json:"origin,omitempty"` // the daemon whose log it is: `instance` of its configuration
	Phase         string `json:"phase,omitempty"`  // "" is the outcome; "started" is written before the token is changed
	RequestID     string `json:"requestId,omitempty"`
	Face          string `json:"face,omitempty"` // "rest", "aws" or "internal"
	Principal     string `json:"principal,omitempty"`
	CredentialID  string `json:"credentialId,omitempty"` // that the principal has called with: see policy.Principal; it is no secret
	SourceAddress string `json:"sourceAddress,omitempty"`
	UserAgent     string `json:"userAgent,omitempty"`
	Operation     string `json:"operation,omitempty"`
	Resource      string `json:"resource,omitempty"` // as the caller named it
	KeyID         string `json:"keyId,omitempty"`
	KeyARN        string `json:"keyArn,omitempty"`
	KeyVersion    int    `json:"keyVersion,omitempty"`
	SourceKeyARN  string `json:"sourceKeyArn,omitempty"`     // of ReEncrypt: the key that decrypts
	SourceVersion int    `json:"sourceKeyVersion,omitempty"` // of that key
	Algorithm     string `json:"algorithm,omitempty"`
	MessageType   string `json:"messageType,omitempty"`
	Digest        string `json:"digest,omitempty"`        // "sha256:" and hex, of what is signed or stamped, of a key's new policy or approval rule, or of a request for approval
	SignatureHash string `json:"signatureHash,omitempty"` // "sha256:" and hex
	Unwrapped     string `json:"unwrapped,omitempty"`     // of imported material: "token" or "memory", where it was unwrapped

	ApprovalID string `json:"approvalId,omitempty"` // of a request for approval, and of the approval that a signature has spent
	Digests    int    `json:"digests,omitempty"`    // how many such a request is for

	GrantID string `json:"grantId,omitempty"` // of a grant that is made, retired, revoked or removed after its end
	Grantee string `json:"grantee,omitempty"` // of that grant

	// Of a grant that is made.
	GrantOperations string `json:"grantOperations,omitempty"` // with commas between them
	GrantExpires    string `json:"grantExpires,omitempty"`    // RFC 3339
	GrantUses       int    `json:"grantUses,omitempty"`

	PermissionChange bool   `json:"permissionChange,omitempty"` // whether the call changes who may use a key
	Provider         string `json:"provider,omitempty"`         // who vouches for the caller: an OIDC provider by its name, or "certificate"
	Subject          string `json:"subject,omitempty"`          // for whom: sub of the token, or subject of the certificate
	AccessKeyID      string `json:"accessKeyId,omitempty"`      // of credentials that are made or changed; it is no secret

	// What a ciphertext is bound to, as the caller gave it. It is no secret: AWS KMS writes it into its log, too.
	EncryptionContext map[string]string `json:"encryptionContext,omitempty"`
	SourceContext     map[string]string `json:"sourceEncryptionContext,omitempty"` // of ReEncrypt: of what is decrypted

	// What the caller of Sign stated. Nothing compares it with what is signed.
	SigningContext  map[string]string `json:"signingContext,omitempty"`
	ArtifactName    string            `json:"artifactName,omitempty"`
	ArtifactVersion string            `json:"artifactVersion,omitempty"`
	ArtifactDigest  string            `json:"artifactDigest,omitempty"` // such as "sha256:" and hex
	ArtifactRepo    string            `json:"artifactRepository,omitempty"`
	ArtifactCommit  string            `json:"artifactCommit,omitempty"`
	ArtifactRun     string            `json:"artifactRun,omitempty"`

	// The same as the identity token of the caller of Sign proves it: what its provider says of the workload.
	ProvenRepo     string `json:"provenRepository,omitempty"` // repository of GitHub, project_path of GitLab
	ProvenCommit   string `json:"provenCommit,omitempty"`     // sha
	ProvenRun      string `json:"provenRun,omitempty"`        // run_id of GitHub, pipeline_id of GitLab
	ProvenWorkflow string `json:"provenWorkflow,omitempty"`   // workflow_ref of GitHub, ci_config_ref_uri of GitLab

	IdempotencyKey string `json:"idempotencyKey,omitempty"` // under which the caller of Sign repeats itself

	// Of an alert, whose record is of the operation Alert; the principal and the key are those that it is about.
	AlertID     string `json:"alertId,omitempty"`
	AlertRule   string `json:"alertRule,omitempty"`
	AlertTime   string `json:"alertTime,omitempty"`   // RFC 3339: of the record that gave rise to it; the record's own time says when it was found
	AlertRecord int64  `json:"alertRecord,omitempty"` // number of that record
	AlertCount  int    `json:"alertCount,omitempty"`  // calls that are meant
	AlertMore   int    `json:"alertMore,omitempty"`   // alerts like it that were not told since the last one

	Outcome       string `json:"outcome,omitempty"` // "allowed", "denied", "invalid" or "failed"
	ErrorCode     string `json:"errorCode,omitempty"`
	Reason        string `json:"reason,omitempty"`       // what decided: "key-policy/<Sid or number>", "policy/<name>/<Sid or number>", "grant/<id>", "role/…", "approval-rule", or "default" where nothing allows
	SourceReason  string `json:"sourceReason,omitempty"` // of ReEncrypt: what decided on the key that decrypts
	LatencyMicros int64  `json:"latencyMicros,omitempty"`
}

// MaxText is the longest text, in bytes, that a member holds. Of a longer one, the record keeps the
// beginning and says how long it was: callers choose some of these texts and must not choose a line's length.
const MaxText = 2048

// cutMark is in each text that was cut.
const cutMark = " [cut, "

// appendBody appends everything that follows the member prev, from its comma to the closing brace. It is the
// part of the line that does not depend on the record's place in the chain, so the caller's goroutine makes it.
// The bytes are those of encoding/json without HTML escaping.
func appendBody(b []byte, r *Record) []byte {
	t := r.Time
	if !writable(t) {
		t = time.Now()
	}
	b = append(b, `,"time":"`...)
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendText(b, `,"origin":"`, r.Origin)
	b = appendText(b, `,"phase":"`, r.Phase)
	b = appendText(b, `,"requestId":"`, r.RequestID)
	b = appendText(b, `,"face":"`, r.Face)
	b = appendText(b, `,"principal":"`, r.Principal)
	b = appendText(b, `,"credentialId":"`, r.CredentialID)
	b = appendText(b, `,"sourceAddress":"`, r.SourceAddress)
	b = appendText(b, `,"userAgent":"`, r.UserAgent)
	b = appendText(b, `,"operation":"`, r.Operation)
	b = appendText(b, `,"resource":"`, r.Resource)
	b = appendText(b, `,"keyId":"`, r.KeyID)
	b = appendText(b, `,"keyArn":"`, r.KeyARN)
	b = appendInt(b, `,"keyVersion":`, int64(r.KeyVersion))
	b = appendText(b, `,"sourceKeyArn":"`, r.SourceKeyARN)
	b = appendInt(b, `,"sourceKeyVersion":`, int64(r.SourceVersion))
	b = appendText(b, `,"algorithm":"`, r.Algorithm)
	b = appendText(b, `,"messageType":"`, r.MessageType)
	b = appendText(b, `,"digest":"`, r.Digest)
	b = appendText(b, `,"signatureHash":"`, r.SignatureHash)
	b = appendText(b, `,"unwrapped":"`, r.Unwrapped)
	b = appendText(b, `,"approvalId":"`, r.ApprovalID)
	b = appendInt(b, `,"digests":`, int64(r.Digests))
	b = appendText(b, `,"grantId":"`, r.GrantID)
	b = appendText(b, `,"grantee":"`, r.Grantee)
	b = appendText(b, `,"grantOperations":"`, r.GrantOperations)
	b = appendText(b, `,"grantExpires":"`, r.GrantExpires)
	b = appendInt(b, `,"grantUses":`, int64(r.GrantUses))
	if r.PermissionChange {
		b = append(b, `,"permissionChange":true`...)
	}
	b = appendText(b, `,"provider":"`, r.Provider)
	b = appendText(b, `,"subject":"`, r.Subject)
	b = appendText(b, `,"accessKeyId":"`, r.AccessKeyID)
	b = appendPairs(b, `,"encryptionContext":`, r.EncryptionContext)
	b = appendPairs(b, `,"sourceEncryptionContext":`, r.SourceContext)
	b = appendPairs(b, `,"signingContext":`, r.SigningContext)
	b = appendArtifact(b, r)
	b = appendText(b, `,"idempotencyKey":"`, r.IdempotencyKey)
	b = appendText(b, `,"alertId":"`, r.AlertID)
	b = appendText(b, `,"alertRule":"`, r.AlertRule)
	b = appendText(b, `,"alertTime":"`, r.AlertTime)
	b = appendInt(b, `,"alertRecord":`, r.AlertRecord)
	b = appendInt(b, `,"alertCount":`, int64(r.AlertCount))
	b = appendInt(b, `,"alertMore":`, int64(r.AlertMore))
	b = appendText(b, `,"outcome":"`, r.Outcome)
	b = appendText(b, `,"errorCode":"`, r.ErrorCode)
	b = appendText(b, `,"reason":"`, r.Reason)
	b = appendText(b, `,"sourceReason":"`, r.SourceReason)
	b = appendInt(b, `,"latencyMicros":`, r.LatencyMicros)
	return append(b, '}')
}

// writable says that the time is set and that RFC 3339 can write its year.
func writable(t time.Time) bool { return !t.IsZero() && t.Year() >= 0 && t.Year() <= 9999 }

// appendArtifact appends what is signed: as the caller states it, and as its identity token proves it.
func appendArtifact(b []byte, r *Record) []byte {
	b = appendText(b, `,"artifactName":"`, r.ArtifactName)
	b = appendText(b, `,"artifactVersion":"`, r.ArtifactVersion)
	b = appendText(b, `,"artifactDigest":"`, r.ArtifactDigest)
	b = appendText(b, `,"artifactRepository":"`, r.ArtifactRepo)
	b = appendText(b, `,"artifactCommit":"`, r.ArtifactCommit)
	b = appendText(b, `,"artifactRun":"`, r.ArtifactRun)
	b = appendText(b, `,"provenRepository":"`, r.ProvenRepo)
	b = appendText(b, `,"provenCommit":"`, r.ProvenCommit)
	b = appendText(b, `,"provenRun":"`, r.ProvenRun)
	return appendText(b, `,"provenWorkflow":"`, r.ProvenWorkflow)
}

func appendInt(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), n, 10)
}

// appendText appends the member whose name, colon and opening quote are given, or nothing for an empty text.
func appendText(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	b = append(b, name...)
	if len(s) <= MaxText {
		return append(appendEscaped(b, s), '"')
	}
	cut := MaxText
	for cut > MaxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	b = appendEscaped(b, s[:cut])
	b = append(b, cutMark...)
	b = strconv.AppendInt(b, int64(len(s)), 10)
	return append(b, ` bytes]"`...)
}

const hexDigits = "0123456789abcdef"

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (p [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

// appendEscaped appends s as the inside of a JSON string (RFC 8259, section 7). What is not UTF-8 becomes
// U+FFFD; U+2028 and U+2029 are escaped, because some readers take them for the end of a line.
func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			b = appendEscapedByte(b, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + n
		} else if r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			b = append(b, `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + n
		}
		i += n
	}
	return append(b, s[start:]...)
}

func appendEscapedByte(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
