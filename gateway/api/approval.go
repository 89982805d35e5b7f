package api

import "fmt"

// A key may have an approval rule: Sign then needs the consent of several named
// approvers, for exact digests or for a window of time. Not in AWS KMS.

// The bounds of rules and requests for approval.
const (
	maxApprovers       = 50
	maxApprovalDigests = 1000
	maxWindowCount     = 1_000_000
	maxPerDigest       = 100
	minApprovalSeconds = 60
	maxApprovalSeconds = 30 * 24 * 3600
)

// ApprovalRequested names a request for approval. Of a change of a rule it is empty
// where the change needed no approval and holds already.
type ApprovalRequested struct {
	ApprovalId     string `json:",omitempty"`
	Hash           string `json:",omitempty"` // what an approver has to confirm
	ExpirationDate *Time  `json:",omitempty"`
}

// DigestToSign is one thing that an approval is for.
type DigestToSign struct {
	// Digest is what the audit record of the signature has as its digest: sha256:,
	// sha384: or sha512: and hex. Of a message that is signed whole it is the SHA-512,
	// and of an external mu it is mu: and the mu itself.
	Digest   string
	Artifact string `json:",omitempty"` // a name, for the approvers
}

// ApprovalWindow is a time in which a number of signatures may be made, over
// anything.
type ApprovalWindow struct {
	NotBefore *Time `json:",omitempty"` // at once if absent
	NotAfter  *Time // at most 30 days from the request
	Count     int   // 1..1000000
}

// RequestApprovalRequest asks the approvers of a key to approve signatures of the
// caller: over exact digests, or in a window.
type RequestApprovalRequest struct {
	KeyTarget
	SigningAlgorithm    SigningAlgorithm `json:",omitempty"` // the key's first if absent
	Digests             []DigestToSign   `json:",omitempty"` // 1..1000
	SignaturesPerDigest *int             `json:",omitempty"` // 1..100, 1 if absent
	Window              *ApprovalWindow  `json:",omitempty"`
	Reason              string           `json:",omitempty"`
	ValidForSeconds     *int             `json:",omitempty"` // 60..2592000, a day if absent; a window has its NotAfter
}

// Check names what is malformed.
func (r *RequestApprovalRequest) Check(c *Checker) {
	r.check(c)
	c.enum("signingAlgorithm", string(r.SigningAlgorithm), signingAlgorithms, false)
	c.may("reason", r.Reason, reasonShape)
	c.between("signaturesPerDigest", r.SignaturesPerDigest, 1, maxPerDigest)
	c.between("validForSeconds", r.ValidForSeconds, minApprovalSeconds, maxApprovalSeconds)
	if text := broken(len(r.Digests), 0, maxApprovalDigests); text != "" {
		c.add("", "digests", text)
	}
	for i, d := range r.Digests {
		at := fmt.Sprintf("digests.%d.member.", i+1)
		c.must(at+"digest", d.Digest, approvalDigestShape)
		c.may(at+"artifact", d.Artifact, artifactShape)
	}
	if w := r.Window; w != nil {
		if w.NotAfter == nil {
			c.null("window.notAfter")
		}
		c.between("window.count", &w.Count, 1, maxWindowCount)
	}
}

// ApprovalDocument is what an approver approves: the JSON of it stands in
// DescribeApprovalResponse, and its SHA-256 is the hash that he confirms.
type ApprovalDocument struct {
	ApprovalId          string
	KeyId               string           // the id, which a multi-Region key has in all of its regions
	Requester           string           // ARN of the principal, or of a session's role, that may use the approval
	SigningAlgorithm    SigningAlgorithm `json:",omitempty"`
	Digests             []DigestToSign   `json:",omitempty"`
	SignaturesPerDigest int              `json:",omitempty"`
	Window              *ApprovalWindow  `json:",omitempty"`
	Rule                *ApprovalRule    `json:",omitempty"` // that the key is to have
	RemoveRule          bool             `json:",omitempty"` // the key is to have none
	Replaces            string           `json:",omitempty"` // SHA-256 of the rule that is changed
	Reason              string           `json:",omitempty"`
	CreationDate        *Time
	ExpirationDate      *Time
}

// ApprovalStatus says what has become of a request.
type ApprovalStatus string

// The states of a request for approval.
const (
	ApprovalPending   ApprovalStatus = "PENDING"
	ApprovalApproved  ApprovalStatus = "APPROVED"
	ApprovalRejected  ApprovalStatus = "REJECTED"
	ApprovalCancelled ApprovalStatus = "CANCELLED"
	ApprovalExpired   ApprovalStatus = "EXPIRED"
	ApprovalSpent     ApprovalStatus = "SPENT"   // all signatures were made
	ApprovalApplied   ApprovalStatus = "APPLIED" // the rule was changed
)

// Approval is a request for approval as it is now.
type Approval struct {
	ApprovalId     string
	Hash           string // "sha256:" and hex, of the document
	Status         ApprovalStatus
	Requester      string
	Digests        int      `json:",omitempty"` // how many the document has
	Window         bool     `json:",omitempty"`
	RuleChange     bool     `json:",omitempty"`
	Reason         string   `json:",omitempty"`
	Approvers      []string // who have approved and are among the approvers now
	Required       int      // how many the key's rule demands now
	SignaturesLeft int
	EndedBy        string `json:",omitempty"` // who rejected or cancelled it
	CreationDate   *Time
	ExpirationDate *Time
}

// ListApprovalsRequest asks for a page of the requests on a key, the oldest first.
type ListApprovalsRequest struct {
	KeyTarget
	Status ApprovalStatus `json:",omitempty"`
	Limit  *int           `json:",omitempty"` // 1..100, 50 if absent
	Marker string         `json:",omitempty"`
}

// Check names what is malformed.
func (r *ListApprovalsRequest) Check(c *Checker) {
	r.check(c)
	c.enum("status", string(r.Status), approvalStates, false)
	c.between("limit", r.Limit, 1, 100)
	c.marker(r.Marker)
}

// ListApprovalsResponse is a page of requests.
type ListApprovalsResponse struct {
	Approvals  []Approval
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// DescribeApprovalRequest asks for one request.
type DescribeApprovalRequest struct {
	KeyTarget
	ApprovalId string
}

// Check names what is malformed.
func (r *DescribeApprovalRequest) Check(c *Checker) {
	r.check(c)
	c.must("approvalId", r.ApprovalId, approvalIDShape)
}

// DescribeApprovalResponse is a request with its document.
type DescribeApprovalResponse struct {
	Approval
	Document string // an ApprovalDocument in JSON, byte for byte what Hash is of
}

// ApproveRequestRequest approves a request on behalf of an approver.
type ApproveRequestRequest struct {
	KeyTarget
	ApprovalId string
	Hash       string // of the document that the approver has seen
}

// Check names what is malformed.
func (r *ApproveRequestRequest) Check(c *Checker) {
	r.check(c)
	c.must("approvalId", r.ApprovalId, approvalIDShape)
	c.must("hash", r.Hash, approvalHashShape)
}

// RejectRequestRequest ends a request on behalf of an approver.
type RejectRequestRequest struct {
	KeyTarget
	ApprovalId string
}

// Check names what is malformed.
func (r *RejectRequestRequest) Check(c *Checker) {
	r.check(c)
	c.must("approvalId", r.ApprovalId, approvalIDShape)
}

// CancelApprovalRequest takes back a request, or what is left of an approval.
type CancelApprovalRequest struct {
	KeyTarget
	ApprovalId string
}

// Check names what is malformed.
func (r *CancelApprovalRequest) Check(c *Checker) {
	r.check(c)
	c.must("approvalId", r.ApprovalId, approvalIDShape)
}

// The shapes of what AWS KMS does not have.
var (
	reasonShape         = shape{low: 1, high: 1024}
	artifactShape       = shape{low: 1, high: 256}
	approvalIDShape     = shaped(36, 36, `[0-9a-f-]+`)
	approvalHashShape   = shaped(71, 71, `sha256:[0-9a-f]{64}`)
	approvalDigestShape = shaped(1, 135, `sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}|mu:[0-9a-f]{128}`)

	approvalStates = []string{"PENDING", "APPROVED", "REJECTED", "CANCELLED", "EXPIRED", "SPENT", "APPLIED"}
)
