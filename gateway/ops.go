package gateway

import (
	"context"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Op is one operation of the service.
type Op struct {
	Name   string // of the AWS operation, the permission and the audit record
	Method string // of the REST route
	Path   string // of the REST route, with {key} or {alias}
	States States // in which the key may be

	New func() any // an empty request to decode into
	run func(context.Context, *Service, *Call, any) (any, *api.Error)

	permission string // kms:Name
	byAlias    bool   // the key may be named by an alias, too
	// changes: calls of such operations go one by one from the decision to the
	// durable record, so that one whose record fails takes back its own change
	// and never that of another, which its caller counts on.
	changes bool
	// reads: calls of such operations read memory and use the token, and write
	// nothing to the store, so they go on for a while when the database is away.
	reads bool
}

// Ops is the table of operations. Adding one costs its types in api, its method
// in an op_*.go, a line here and a line in the client.
var Ops = []*Op{
	op("CreateKey", "POST", "/v1/keys", anyState, (*Service).CreateKey),
	op("ListKeys", "GET", "/v1/keys", anyState, (*Service).ListKeys).reading(),
	op("DescribeKey", "GET", "/v1/keys/{key}", anyState, (*Service).DescribeKey).orAlias().reading(),
	op("GetPublicKey", "GET", "/v1/keys/{key}/public-key", usable, (*Service).GetPublicKey).orAlias().reading(),
	op("Sign", "POST", "/v1/keys/{key}/sign", usable, (*Service).Sign).orAlias().reading(),
	op("Verify", "POST", "/v1/keys/{key}/verify", usable, (*Service).Verify).orAlias().reading(),
	op("Encrypt", "POST", "/v1/keys/{key}/encrypt", usable, (*Service).Encrypt).orAlias().reading(),
	op("Decrypt", "POST", "/v1/keys/{key}/decrypt", usable, (*Service).Decrypt).orAlias().reading(),
	op("EnableKey", "POST", "/v1/keys/{key}/enable", notPending, (*Service).EnableKey).changing(),
	op("DisableKey", "POST", "/v1/keys/{key}/disable", notPending, (*Service).DisableKey).changing(),
	op("ScheduleKeyDeletion", "POST", "/v1/keys/{key}/schedule-deletion", notPending, (*Service).ScheduleKeyDeletion).changing(),
	op("CancelKeyDeletion", "POST", "/v1/keys/{key}/cancel-deletion", onlyPending, (*Service).CancelKeyDeletion).changing(),
	op("CreateAlias", "POST", "/v1/aliases", notPending, (*Service).CreateAlias).changing(),
	op("UpdateAlias", "PUT", "/v1/aliases/{alias}", notPending, (*Service).UpdateAlias).changing(),
	op("DeleteAlias", "DELETE", "/v1/aliases/{alias}", anyState, (*Service).DeleteAlias).orAlias().changing(),
	op("ListAliases", "GET", "/v1/aliases", anyState, (*Service).ListAliases).reading(),
}

// GetMetrics is the permission to read the figures of the service. It is no
// operation of AWS KMS and has no AWS target.
var GetMetrics = &Op{
	Name: "GetMetrics", Method: "GET", Path: "/metrics", permission: "hsmgate:GetMetrics", reads: true,
	New: func() any { return new(nothing) },
	run: func(context.Context, *Service, *Call, any) (any, *api.Error) { return &api.Empty{}, nil },
}

// nothing is a request without members.
type nothing struct{}

// Check finds nothing malformed.
func (*nothing) Check(*api.Checker) {}

// request is what every request type offers.
type request interface{ Check(*api.Checker) }

func op[In, Out any](name, method, path string, states States,
	run func(*Service, context.Context, *Call, *In) (*Out, *api.Error)) *Op {
	return &Op{
		Name: name, Method: method, Path: path, States: states, permission: "kms:" + name,
		New: func() any { return new(In) },
		run: func(ctx context.Context, s *Service, c *Call, in any) (any, *api.Error) {
			out, err := run(s, ctx, c, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// orAlias lets the key be named by an alias as well as by id and ARN.
func (op *Op) orAlias() *Op {
	op.byAlias = true
	return op
}

// changing marks an operation that changes a key's state or an alias.
func (op *Op) changing() *Op {
	op.changes = true
	return op
}

// reading marks an operation that does not write to the store.
func (op *Op) reading() *Op {
	op.reads = true
	return op
}

// Permission is what the policy is asked for: kms:Name.
func (op *Op) Permission() string { return op.permission }

// OpNamed returns the operation with that name.
func OpNamed(name string) (*Op, bool) {
	op, ok := opsByName[name]
	return op, ok
}

var opsByName map[string]*Op

func init() {
	opsByName = make(map[string]*Op, len(Ops))
	for _, op := range Ops {
		opsByName[op.Name] = op
	}
}
