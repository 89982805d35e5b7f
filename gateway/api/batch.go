package api

// MaxBatch is the most items of a batch.
const MaxBatch = 1000

// SignBatchRequest asks for signatures of one key over several messages or digests.
// What an item leaves out is that of the batch. Not in AWS KMS.
type SignBatchRequest struct {
	KeyTarget
	Items            []SignBatchItem   // 1..1000
	MessageType      MessageType       `json:",omitempty"`
	SigningAlgorithm SigningAlgorithm  `json:",omitempty"`
	SigningContext   map[string]string `json:",omitempty"`
	GrantTokens      []string          `json:",omitempty"`
	DryRun           bool              `json:",omitempty"`
}

// SignBatchItem is one message or digest, as in [SignRequest].
type SignBatchItem struct {
	Message          []byte            // 1..4096 bytes
	MessageType      MessageType       `json:",omitempty"`
	SigningAlgorithm SigningAlgorithm  `json:",omitempty"`
	SigningContext   map[string]string `json:",omitempty"`
	Artifact         *Artifact         `json:",omitempty"`
	IdempotencyKey   string            `json:",omitempty"` // an item's own
}

// Check names what is malformed of the batch. An item that is malformed fails by
// itself.
func (r *SignBatchRequest) Check(c *Checker) {
	r.check(c)
	if text := broken(len(r.Items), 1, MaxBatch); text != "" {
		c.add("", "items", text)
	}
	c.enum("messageType", string(r.MessageType), messageTypes, false)
	c.enum("signingAlgorithm", string(r.SigningAlgorithm), signingAlgorithms, false)
	c.context("signingContext", r.SigningContext)
	c.grantTokens(r.GrantTokens)
}

// Item sets in to what an item asks for.
func (r *SignBatchRequest) Item(i int, in *SignRequest) {
	item := &r.Items[i]
	*in = SignRequest{KeyTarget: r.KeyTarget, Message: item.Message, MessageType: item.MessageType, SigningAlgorithm: item.SigningAlgorithm,
		SigningContext: item.SigningContext, Artifact: item.Artifact, IdempotencyKey: item.IdempotencyKey, GrantTokens: r.GrantTokens, DryRun: r.DryRun}
	if in.MessageType == "" {
		in.MessageType = r.MessageType
	}
	if in.SigningAlgorithm == "" {
		in.SigningAlgorithm = r.SigningAlgorithm
	}
	if in.SigningContext == nil {
		in.SigningContext = r.SigningContext
	}
}

// SignBatchResponse has a result for each item, in their order. Where all of them
// failed of one thing, the batch does, and there is no such answer.
type SignBatchResponse struct {
	KeyId   string // the key's ARN
	Results []SignBatchResult
}

// SignBatchResult is a signature or an error.
type SignBatchResult struct {
	Signature        []byte           `json:",omitempty"`
	SigningAlgorithm SigningAlgorithm `json:",omitempty"`
	KeyVersion       int              `json:",omitempty"`
	AuditRecord      string           `json:",omitempty"` // of this item: its number, a colon, its hash
	Error            *ItemError       `json:",omitempty"`
}

// ItemError is what is wrong with an item.
type ItemError struct {
	Code              Code
	Message           string `json:",omitempty"`
	RetryAfterSeconds int    `json:",omitempty"` // 0: trying again does not help
}
