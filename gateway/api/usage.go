package api

// KeyLastUsageOperation is an operation whose last use of a key is remembered.
type KeyLastUsageOperation string

// KeyLastUsageData is the last use of a key; it is empty if there was none.
type KeyLastUsageData struct {
	Operation         KeyLastUsageOperation `json:",omitempty"`
	Timestamp         *Time                 `json:",omitempty"`
	CloudTrailEventId string                `json:",omitempty"`
	KmsRequestId      string                `json:",omitempty"`
}

// GetKeyLastUsageRequest asks when a key was last used.
type GetKeyLastUsageRequest struct{ KeyTarget }

// Check names what is malformed.
func (r *GetKeyLastUsageRequest) Check(c *Checker) { r.check(c) }

// GetKeyLastUsageResponse says when a key was last used.
type GetKeyLastUsageResponse struct {
	KeyId             string // the key's ARN
	KeyLastUsage      *KeyLastUsageData
	TrackingStartDate *Time // of the tracking or of the key, whichever is later
	KeyCreationDate   *Time
}
