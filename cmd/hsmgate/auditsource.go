package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// logPath is where a gateway serves its log.
const logPath = "/v1/log"

// source is where a log is read: a path, an address, or the gateway of the environment where from is empty.
func (a *app) source(from string) (auditor.Source, error) {
	if from == "" || isURL(from) {
		return a.remote(from)
	}
	f, err := auditor.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{err}
	}
	return f, err
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// remote is a log that is served. The credentials of the environment go to the gateway that it names, and to no other.
func (a *app) remote(from string) (auditor.Source, error) {
	gateway := strings.TrimRight(os.Getenv("HSMGATE_URL"), "/")
	prefix, path := strings.TrimRight(from, "/"), ""
	var c *client.Client
	switch {
	case from == "" || prefix == gateway:
		path = logPath
	case gateway != "" && strings.HasPrefix(prefix, gateway+"/"):
		path = strings.TrimPrefix(prefix, gateway)
	default:
		c = client.New(prefix, "")
		c.HTTP, c.UserAgent = &http.Client{Transport: http.DefaultTransport, Timeout: a.timeout}, "hsmgate/"+version
	}
	if c == nil {
		var err error
		if c, err = a.client(); err != nil {
			return nil, err
		}
	}
	return auditor.Remote{Get: func(ctx context.Context, name string) ([]byte, error) {
		data, err := c.Fetch(ctx, path+"/"+name)
		var refused *client.ResponseError
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		return data, err
	}}, nil
}
