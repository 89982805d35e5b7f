package api

// MaxUsageHours is how far back calls are counted: 28 days.
const MaxUsageHours = 28 * 24

var (
	outcomes           = []string{string(Allowed), string(Denied), string(Invalid), string(Failed)}
	operationNameShape = shaped(1, 64, `[A-Za-z]+`)
)

// GetUsageRequest asks how often keys were used, by the hour. What is left out is any. Not in AWS KMS.
type GetUsageRequest struct {
	KeyId         string  `json:",omitempty"` // a key, in any of its names
	PrincipalArn  string  `json:",omitempty"` // sessions of a role are counted as the role
	OperationName string  `json:",omitempty"`
	Outcome       Outcome `json:",omitempty"` // allowed, denied, invalid or failed
	Hours         *int    `json:",omitempty"` // how many, the current one included: 1 to 672; default 168
	Limit         *int    `json:",omitempty"` // 1 to 1000; default 100
	Marker        string  `json:",omitempty"`
}

// Check names what is malformed.
func (r *GetUsageRequest) Check(c *Checker) {
	c.may("keyId", r.KeyId, keyIDShape)
	c.may("principalArn", r.PrincipalArn, principalShape)
	c.may("operationName", r.OperationName, operationNameShape)
	c.enum("outcome", string(r.Outcome), outcomes, false)
	c.between("hours", r.Hours, 1, MaxUsageHours)
	c.between("limit", r.Limit, 1, 1000)
	c.marker(r.Marker)
}

// GetUsageResponse counts the calls that this gateway process has recorded.
type GetUsageResponse struct {
	Since      *Time         // the beginning of the first hour
	Usage      []UsageSeries // by key, principal, operation and outcome
	Truncated  bool
	NextMarker string `json:",omitempty"`
	LastRecord int    // number of the last audit record that is counted
	Forgotten  int    `json:",omitempty"` // series that had to go since the start: there are too many
}

// UsageSeries are the calls about one key (none: KeyId is left out) by one principal, of one operation and outcome.
type UsageSeries struct {
	KeyId         string `json:",omitempty"`
	PrincipalArn  string
	OperationName string
	Outcome       Outcome
	Calls         int   // all of them
	Hourly        []int // by the hour, from Since on
}
