package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format/image"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// judge gives an error of a verb its exit code and a hint, "" where there is none.
func judge(err error, verb string) (code int, hint string) {
	var usage *usageError
	var no *noError
	var refused *api.Error
	var environment *client.ConfigError
	var registry *image.RegistryError
	var authority *timestamp.AuthorityError
	switch {
	case errors.As(err, &usage):
		return exitUsage, "see '" + verb + " --help'"
	case errors.As(err, &environment) && environment.Missing && !slices.Contains(ofAccessKey, environment.Variable):
		return exitUsage, "set HSMGATE_URL and HSMGATE_TOKEN (or HSMGATE_TOKEN_FILE, or HSMGATE_CERT_FILE and HSMGATE_KEY_FILE); with a quickstart folder: . FOLDER/admin.env"
	case errors.Is(err, client.ErrConfig):
		return exitUsage, ""
	case errors.As(err, &no):
		return exitNo, ""
	case errors.As(err, &refused):
		return judgeRefusal(refused)
	case errors.As(err, &registry):
		return judgeRegistry(registry)
	case isLocal(err):
		return exitOther, ""
	case errors.As(err, &authority) && !below(os.Getenv("HSMGATE_URL"), authority.URL):
		return judgeAuthority(authority)
	}
	return judgeTransport(err)
}

// ofAccessKey are variables that are asked for once there is an access key: a token would be no help.
var ofAccessKey = []string{"AWS_REGION", "AWS_SECRET_ACCESS_KEY"}

// isLocal says that it is about a file of this machine: a full disk, a folder that is not to be written. Such an error would
// pass for one of the network, which is why it is asked for first: [syscall.Errno] is a [net.Error].
func isLocal(err error) bool {
	return errors.As(err, new(*fs.PathError)) || errors.As(err, new(*os.LinkError)) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// judgeRefusal goes by the code of the gateway.
func judgeRefusal(e *api.Error) (int, string) {
	switch e.Code {
	case api.KMSInvalidSignature, api.KMSInvalidMac:
		return exitNo, ""
	case api.NotFound:
		return exitNotFound, missingHint(e.Message)
	case api.UnrecognizedClient, api.MissingAuthentication:
		return exitDenied, "a credential that was just issued is accepted within about a second: try again; else check HSMGATE_TOKEN (or what is used in its place) and HSMGATE_URL; the gateway's log says what is wrong with a token of an identity provider"
	case api.ExpiredToken:
		return exitDenied, "ask an administrator for a new token ('hsmgated credential issue')"
	case api.ApprovalRequired:
		return exitDenied, "ask with 'hsmgate approval request', or wait for the approvers; see 'hsmgate approval list'"
	case api.Throttling, api.KeyUnavailable, api.ServiceUnavailable, api.DependencyTimeout:
		return exitUnavailable, "try again"
	case api.Disabled:
		return exitOther, stateHint("hsmgate key enable ", e.Message)
	case api.KMSInvalidState:
		if strings.Contains(e.Message, "is pending deletion") {
			return exitOther, stateHint("to keep it: hsmgate key cancel-deletion ", e.Message)
		}
	case api.InvalidKeyUsage: // that is the wrong --key, or --algorithm
		return exitUsage, ""
	case api.Validation:
		return exitOther, ""
	}
	if e.Code.Outcome() == api.Denied {
		return exitDenied, ""
	}
	return exitOther, ""
}

// missing is where to look for what is not there, by how the gateway says so.
var missing = []struct{ said, hint string }{
	{"There is no principal", "list them on the gateway's machine: 'hsmgated principal list' and 'hsmgated role list'"},
	{"There is no user", "list them on the gateway's machine: 'hsmgated principal list' and 'hsmgated role list'"},
	{"no request for approval", "list them with 'hsmgate approval list KEY'"},
	{"no approval rule", "give it one with 'hsmgate approval rule put'"},
	{"Grant ID", "list them with 'hsmgate grant list KEY'"},
	{"Key '", "list what there is with 'hsmgate key list' and 'hsmgate alias list'"},
	{"Alias ", "list what there is with 'hsmgate key list' and 'hsmgate alias list'"},
	{"Invalid ", "list what there is with 'hsmgate key list' and 'hsmgate alias list'"},
}

func missingHint(message string) string {
	for _, m := range missing {
		if strings.Contains(message, m.said) {
			return m.hint
		}
	}
	return ""
}

var keyARN = regexp.MustCompile(`:key/([A-Za-z0-9-]+)`)

// stateHint is the command that changes the state of the key in the message.
func stateHint(command, message string) string {
	if m := keyARN.FindStringSubmatch(message); m != nil {
		return command + m[1]
	}
	return command + "KEY"
}

// judgeAuthority is judgeTransport for a timestamp authority that is not the gateway's: what is away or not trusted is it.
func judgeAuthority(e *timestamp.AuthorityError) (int, string) {
	code, hint := judgeTransport(e)
	if hint != "" {
		hint = "can the timestamp authority be reached from here, is its certificate trusted, and --timestamp-url right"
	}
	return code, hint
}

// judgeTransport tells a gateway that is away from one that cannot be trusted.
func judgeTransport(err error) (int, string) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var request *url.Error
	var network net.Error
	switch {
	case errors.As(err, &unknown):
		return exitOther, "name the file of the gateway's CA with HSMGATE_CA_FILE"
	case errors.As(err, &name):
		return exitOther, "use the name that the gateway's certificate is for in HSMGATE_URL"
	case strings.Contains(err.Error(), "remote error: tls: "):
		return exitDenied, "the gateway does not take the client certificate, or wants one: HSMGATE_CERT_FILE and HSMGATE_KEY_FILE; its log says why"
	// TLS 1.3 ends the connection after the client has begun to use it.
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), strings.Contains(err.Error(), "http2: client conn could not be established"):
		return exitUnavailable, "is the gateway running, and does it want another client certificate, or any: HSMGATE_CERT_FILE and HSMGATE_KEY_FILE"
	case errors.Is(err, http.ErrSchemeMismatch):
		return exitUsage, "the gateway serves plain HTTP there: use http:// in HSMGATE_URL"
	case errors.Is(err, context.Canceled):
		return exitOther, ""
	case errors.As(err, &request), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable, "is the gateway running, and HSMGATE_URL right"
	}
	return exitOther, ""
}
