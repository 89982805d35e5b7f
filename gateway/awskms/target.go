package awskms

import (
	"mime"
	"net/http"
	"strings"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

// unknownName stands in audit records and metrics for an operation that AWS KMS
// does not have, so that callers cannot make names up there.
const unknownName = "UnknownOperation"

// target finds the operation that a request asks for. Where there is none it
// says why, and name is what the audit record calls the operation.
func target(h http.Header) (op *gateway.Op, name string, err *api.Error) {
	if !isJSON11(h["Content-Type"]) {
		return nil, unknownName, api.Errorf(api.UnknownOperation, "The Content-Type of an AWS KMS request is %s, and it stands there once.", contentType)
	}
	values := h["X-Amz-Target"]
	if len(values) != 1 {
		return nil, unknownName, api.Errorf(api.UnknownOperation, "The X-Amz-Target of an AWS KMS request is %s<operation>, and it stands there once.", targetPrefix)
	}
	name, ok := strings.CutPrefix(values[0], targetPrefix)
	if !ok {
		return nil, unknownName, api.Errorf(api.UnknownOperation, "The X-Amz-Target of an AWS KMS request is %s<operation>, not %.100q.", targetPrefix, values[0])
	}
	if op, ok = gateway.OpNamed(name); ok && !op.BeyondKMS() {
		return op, name, nil
	}
	return nil, unknownName, api.Errorf(api.UnknownOperation, "AWS KMS has no operation %.100q.", name)
}

func isJSON11(values []string) bool {
	if len(values) != 1 {
		return false
	}
	if values[0] == contentType {
		return true
	}
	media, _, err := mime.ParseMediaType(values[0])
	return err == nil && media == contentType
}
