package awsclients

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
)

// goSDK is the AWS SDK for Go v2. Its operations are called by their names, so
// that one scenario serves all clients.
func goSDK(options ...func(*kms.Options)) client {
	return client{name: "go-sdk", fast: true, call: func(t *testing.T, as access, op string, in params) (result, *failure) {
		t.Helper()
		c := newGoClient(as, options...)
		if size, ok := in["PageSize"].(int); ok {
			return pages(t, c, op, int32(size))
		}
		method := reflect.ValueOf(c).MethodByName(op)
		input := reflect.New(method.Type().In(1).Elem())
		encoded, err := json.Marshal(in)
		if err == nil {
			err = json.Unmarshal(encoded, input.Interface())
		}
		if err != nil {
			t.Fatal(err)
		}
		out := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
		if err, _ := out[1].Interface().(error); err != nil {
			return nil, goFailure(t, err)
		}
		return toResult(t, out[0].Interface()), nil
	}}
}

func newGoClient(as access, options ...func(*kms.Options)) *kms.Client {
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(as.url), Region: as.region, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: as.id, SecretAccessKey: as.secret}, nil
		}),
	}, options...)
}

// goFailure reads an error and looks at the type that the SDK gave it.
func goFailure(t *testing.T, err error) *failure {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Fatalf("not an error answer: %v", err)
	}
	f := &failure{code: e.ErrorCode(), message: e.ErrorMessage()}
	if _, generic := e.(*smithy.GenericAPIError); !generic {
		f.class = reflect.TypeOf(e).Elem().Name()
	}
	return f
}

func toResult(t *testing.T, out any) result {
	t.Helper()
	encoded, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	r := parseResult(t, encoded)
	delete(r, "ResultMetadata")
	return r
}

// pages lists with the SDK's paginators.
func pages(t *testing.T, c *kms.Client, op string, size int32) (result, *failure) {
	t.Helper()
	all := result{"Keys": []any{}, "Aliases": []any{}}
	add := func(out any, name string) {
		more := toResult(t, out).list(t, name)
		if len(more) > int(size) {
			t.Errorf("a page of %d where %d were asked for", len(more), size)
		}
		all[name] = append(all[name].([]any), more...)
	}
	switch op {
	case "ListKeys":
		p := kms.NewListKeysPaginator(c, &kms.ListKeysInput{}, func(o *kms.ListKeysPaginatorOptions) { o.Limit = size })
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil {
				return nil, goFailure(t, err)
			}
			add(out, "Keys")
		}
	case "ListAliases":
		p := kms.NewListAliasesPaginator(c, &kms.ListAliasesInput{}, func(o *kms.ListAliasesPaginatorOptions) { o.Limit = size })
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil {
				return nil, goFailure(t, err)
			}
			add(out, "Aliases")
		}
	default:
		t.Fatalf("%s has no pages", op)
	}
	return all, nil
}
