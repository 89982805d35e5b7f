package api

// CustomKeyStoreType says what a custom key store is made of.
type CustomKeyStoreType string

// The types of custom key stores.
const (
	AWSCloudHSM      CustomKeyStoreType = "AWS_CLOUDHSM"
	ExternalKeyStore CustomKeyStoreType = "EXTERNAL_KEY_STORE"
)

// ConnectionState says whether a custom key store can be used.
type ConnectionState string

// The connection states.
const (
	Connected     ConnectionState = "CONNECTED"
	Connecting    ConnectionState = "CONNECTING"
	Failing       ConnectionState = "FAILED"
	Disconnected  ConnectionState = "DISCONNECTED"
	Disconnecting ConnectionState = "DISCONNECTING"
)

// ConnectionErrorCode says why a custom key store cannot be connected.
type ConnectionErrorCode string

// XksProxyConnectivity says how an external key store is reached.
type XksProxyConnectivity string

// The ways to an external key store.
const (
	PublicEndpoint     XksProxyConnectivity = "PUBLIC_ENDPOINT"
	VPCEndpointService XksProxyConnectivity = "VPC_ENDPOINT_SERVICE"
)

// XksProxyAuthenticationCredential authenticates to an external key store.
type XksProxyAuthenticationCredential struct {
	AccessKeyId        Secret
	RawSecretAccessKey Secret
}

func (x *XksProxyAuthenticationCredential) check(c *Checker) {
	if x == nil {
		return
	}
	c.must("xksProxyAuthenticationCredential.accessKeyId", string(x.AccessKeyId), xksAccessKeyIDShape)
	c.must("xksProxyAuthenticationCredential.rawSecretAccessKey", string(x.RawSecretAccessKey), xksSecretShape)
}

// Secret is a text that is printed nowhere.
type Secret string

// String keeps the secret out of every text that is printed.
func (Secret) String() string { return "(hidden)" }

// GoString does the same for %#v.
func (Secret) GoString() string { return "(hidden)" }

// XksKeyConfiguration names the key in an external key store.
type XksKeyConfiguration struct{ Id string }

// XksProxyConfiguration says where an external key store is.
type XksProxyConfiguration struct {
	Connectivity            XksProxyConnectivity `json:",omitempty"`
	AccessKeyId             string               `json:",omitempty"`
	UriEndpoint             string               `json:",omitempty"`
	UriPath                 string               `json:",omitempty"`
	VpcEndpointServiceName  string               `json:",omitempty"`
	VpcEndpointServiceOwner string               `json:",omitempty"`
}

// CustomKeyStoresListEntry describes a custom key store.
type CustomKeyStoresListEntry struct {
	CustomKeyStoreId       string
	CustomKeyStoreName     string
	CloudHsmClusterId      string                 `json:",omitempty"`
	TrustAnchorCertificate string                 `json:",omitempty"`
	ConnectionState        ConnectionState        `json:",omitempty"`
	ConnectionErrorCode    ConnectionErrorCode    `json:",omitempty"`
	CreationDate           *Time                  `json:",omitempty"`
	CustomKeyStoreType     CustomKeyStoreType     `json:",omitempty"`
	XksProxyConfiguration  *XksProxyConfiguration `json:",omitempty"`
}

// CreateCustomKeyStoreRequest asks for a custom key store.
type CreateCustomKeyStoreRequest struct {
	CustomKeyStoreName               string
	CloudHsmClusterId                string                            `json:",omitempty"`
	TrustAnchorCertificate           string                            `json:",omitempty"` // PEM
	KeyStorePassword                 Secret                            `json:",omitempty"`
	CustomKeyStoreType               CustomKeyStoreType                `json:",omitempty"` // AWS_CLOUDHSM if absent
	XksProxyUriEndpoint              string                            `json:",omitempty"`
	XksProxyUriPath                  string                            `json:",omitempty"`
	XksProxyVpcEndpointServiceName   string                            `json:",omitempty"`
	XksProxyVpcEndpointServiceOwner  string                            `json:",omitempty"` // an account id
	XksProxyAuthenticationCredential *XksProxyAuthenticationCredential `json:",omitempty"`
	XksProxyConnectivity             XksProxyConnectivity              `json:",omitempty"`
}

// Check names what is malformed.
func (r *CreateCustomKeyStoreRequest) Check(c *Checker) {
	c.must("customKeyStoreName", r.CustomKeyStoreName, customKeyStoreNameShape)
	c.may("cloudHsmClusterId", r.CloudHsmClusterId, cloudHsmClusterIDShape)
	c.may("trustAnchorCertificate", r.TrustAnchorCertificate, trustAnchorShape)
	c.may("keyStorePassword", string(r.KeyStorePassword), keyStorePasswordShape)
	c.enum("customKeyStoreType", string(r.CustomKeyStoreType), customKeyStoreTypes, false)
	c.may("xksProxyUriEndpoint", r.XksProxyUriEndpoint, xksEndpointShape)
	c.may("xksProxyUriPath", r.XksProxyUriPath, xksPathShape)
	c.may("xksProxyVpcEndpointServiceName", r.XksProxyVpcEndpointServiceName, xksServiceNameShape)
	c.may("xksProxyVpcEndpointServiceOwner", r.XksProxyVpcEndpointServiceOwner, accountIDShape)
	r.XksProxyAuthenticationCredential.check(c)
	c.enum("xksProxyConnectivity", string(r.XksProxyConnectivity), xksProxyConnectivities, false)
}

// CreateCustomKeyStoreResponse names the custom key store.
type CreateCustomKeyStoreResponse struct{ CustomKeyStoreId string }

// UpdateCustomKeyStoreRequest changes a custom key store.
type UpdateCustomKeyStoreRequest struct {
	CustomKeyStoreId                 string
	NewCustomKeyStoreName            string                            `json:",omitempty"`
	KeyStorePassword                 Secret                            `json:",omitempty"`
	CloudHsmClusterId                string                            `json:",omitempty"`
	XksProxyUriEndpoint              string                            `json:",omitempty"`
	XksProxyUriPath                  string                            `json:",omitempty"`
	XksProxyVpcEndpointServiceName   string                            `json:",omitempty"`
	XksProxyVpcEndpointServiceOwner  string                            `json:",omitempty"` // an account id
	XksProxyAuthenticationCredential *XksProxyAuthenticationCredential `json:",omitempty"`
	XksProxyConnectivity             XksProxyConnectivity              `json:",omitempty"`
}

// Check names what is malformed.
func (r *UpdateCustomKeyStoreRequest) Check(c *Checker) {
	c.must("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
	c.may("newCustomKeyStoreName", r.NewCustomKeyStoreName, customKeyStoreNameShape)
	c.may("keyStorePassword", string(r.KeyStorePassword), keyStorePasswordShape)
	c.may("cloudHsmClusterId", r.CloudHsmClusterId, cloudHsmClusterIDShape)
	c.may("xksProxyUriEndpoint", r.XksProxyUriEndpoint, xksEndpointShape)
	c.may("xksProxyUriPath", r.XksProxyUriPath, xksPathShape)
	c.may("xksProxyVpcEndpointServiceName", r.XksProxyVpcEndpointServiceName, xksServiceNameShape)
	c.may("xksProxyVpcEndpointServiceOwner", r.XksProxyVpcEndpointServiceOwner, accountIDShape)
	r.XksProxyAuthenticationCredential.check(c)
	c.enum("xksProxyConnectivity", string(r.XksProxyConnectivity), xksProxyConnectivities, false)
}

// DeleteCustomKeyStoreRequest removes a custom key store without keys.
type DeleteCustomKeyStoreRequest struct{ CustomKeyStoreId string }

// Check names what is malformed.
func (r *DeleteCustomKeyStoreRequest) Check(c *Checker) {
	c.must("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
}

// ConnectCustomKeyStoreRequest connects a custom key store.
type ConnectCustomKeyStoreRequest struct{ CustomKeyStoreId string }

// Check names what is malformed.
func (r *ConnectCustomKeyStoreRequest) Check(c *Checker) {
	c.must("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
}

// DisconnectCustomKeyStoreRequest disconnects a custom key store.
type DisconnectCustomKeyStoreRequest struct{ CustomKeyStoreId string }

// Check names what is malformed.
func (r *DisconnectCustomKeyStoreRequest) Check(c *Checker) {
	c.must("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
}

// DescribeCustomKeyStoresRequest asks for a page of custom key stores.
type DescribeCustomKeyStoresRequest struct {
	CustomKeyStoreId   string `json:",omitempty"` // only this one
	CustomKeyStoreName string `json:",omitempty"` // only this one
	Limit              *int   `json:",omitempty"` // 1..1000
	Marker             string `json:",omitempty"`
}

// Check names what is malformed.
func (r *DescribeCustomKeyStoresRequest) Check(c *Checker) {
	c.may("customKeyStoreId", r.CustomKeyStoreId, customKeyStoreIDShape)
	c.may("customKeyStoreName", r.CustomKeyStoreName, customKeyStoreNameShape)
	c.between("limit", r.Limit, 1, 1000)
	c.marker(r.Marker)
}

// DescribeCustomKeyStoresResponse is a page of custom key stores.
type DescribeCustomKeyStoresResponse struct {
	CustomKeyStores []CustomKeyStoresListEntry
	NextMarker      string `json:",omitempty"`
	Truncated       bool
}
