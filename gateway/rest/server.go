// Package rest is the REST face under /v1: routes made from [gateway.Ops],
// bearer tokens and Signature Version 4, problem documents (RFC 9457). Bodies use the member names of
// AWS KMS. Beyond KMS, Sign takes a file of any size as its raw body, and Sign
// and GetPublicKey answer in the form that Accept asks for.
//
// Nothing is served without authentication but /healthz, /readyz, /openapi.yaml,
// the public keys that were published, and /v1/tsa where the settings say so.
package rest

import (
	_ "embed"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI is the description of the REST face that is served at /openapi.yaml.
func OpenAPI() []byte { return openAPI }

// Config holds the parts of the face.
type Config struct {
	Service    *gateway.Service
	Identities *identity.Identities
	AWS        http.Handler // serves POST /
	// SigV4 checks the Signature Version 4 of a request, whose body may have most bytes, and tells the call who has
	// signed it, for which region, with which access key. It reads the body and puts it back. The reason is why a
	// request is refused, for the log. Nil: none is taken.
	SigV4    func(r *http.Request, most int64, call *gateway.Call) (reason string, err *api.Error)
	Log      *zap.Logger
	Registry *prometheus.Registry
	// Address tells the audited address of a client; see ClientAddress.
	Address func(*http.Request) string
	// Now is the clock of expiry. Default time.Now.
	Now func() time.Time
	// PublicMaxAge is how long a published key may be kept by caches. Default 5 minutes.
	PublicMaxAge time.Duration
	// Traced: calls are traced; TrustTraces: as parts of the traces of their callers.
	Traced, TrustTraces bool
}

// ClientAddress makes the function that tells a client's address. Without
// trusted proxies it is the address of the connection, whatever the headers say;
// with them X-Forwarded-For is followed from the right, as far as it was written
// by trusted proxies.
func ClientAddress(trusted []*net.IPNet) func(*http.Request) string {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, network := range trusted {
		options = append(options, echo.TrustIPRange(network))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

type face struct {
	Config
	failures *prometheus.CounterVec
}

// New makes the handler of both faces.
func New(c Config) *echo.Echo {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PublicMaxAge == 0 {
		c.PublicMaxAge = 5 * time.Minute
	}
	f := &face{Config: c, failures: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hsmgate_rest_authentication_failures_total", Help: "REST requests refused before they were calls, by reason."},
		[]string{"reason"})}
	c.Registry.MustRegister(f.failures)

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = f.routeError
	if c.Traced {
		e.Use(f.traced)
	}
	e.Use(f.guard)
	for _, op := range gateway.Ops {
		f.route(e, op)
	}
	f.logRoutes(e)
	f.publicRoutes(e)
	session := gateway.AssumeRoleWithWebIdentity
	e.Add(session.Method, session.Path, f.session)
	e.Add(gateway.Timestamp.Method, gateway.Timestamp.Path, f.timestamp)
	e.GET("/healthz", f.healthz)
	e.GET("/readyz", f.readyz)
	e.GET("/openapi.yaml", func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", openAPI) })
	e.GET("/metrics", f.metrics(promhttp.HandlerFor(c.Registry, promhttp.HandlerOpts{})))
	if c.AWS != nil {
		e.POST("/", echo.WrapHandler(c.AWS))
	}
	return e
}

// route serves an operation. An alias contains a slash, so that a path that
// names a key or an alias has a second spelling with that slash left plain.
func (f *face) route(e *echo.Echo, op *gateway.Op) {
	path := strings.NewReplacer("{key}", ":name", "{alias}", ":name").Replace(op.Path)
	paths := []string{path}
	if strings.Contains(path, ":name") {
		paths = append(paths, strings.Replace(path, ":name", "alias/:alias", 1))
	}
	if op.Also != "" {
		paths = append(paths, op.Also)
	}
	methods := []string{op.Method}
	if op.Name == "Sign" {
		methods = append(methods, http.MethodPut) // curl -T
	}
	e.Match(methods, paths[0], f.serve(op))
	for _, p := range paths[1:] {
		e.Match(methods, p, f.serve(op))
	}
}
