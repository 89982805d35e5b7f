package rest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

type health struct {
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// healthz says whether the process is worth keeping: it is not when a call has
// been stuck inside the PKCS#11 module, which only a new process can mend.
func (f *face) healthz(ec echo.Context) error {
	if f.Service.Hung() {
		return writeJSON(ec, http.StatusServiceUnavailable, "application/json",
			health{"hung", "a call is stuck inside the PKCS#11 module: restart the process"})
	}
	return writeJSON(ec, http.StatusOK, "application/json", health{Status: "ok"})
}

// readyForms are those in which /readyz answers.
var readyForms = []string{"application/json", "text/plain"}

// readyz says whether a call would be served now, and how each part is. It asks the
// token. Who shows that he may read the metrics is told figures and reasons, too.
func (f *face) readyz(ec echo.Context) error {
	r := f.Service.Readiness()
	if !f.mayMeasure(ec) {
		r = r.ForStrangers()
	}
	status := http.StatusOK
	if r.Status != gateway.StatusReady {
		ec.Response().Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	}
	if form, _ := wanted(ec.Request(), readyForms); form == "text/plain" {
		return ec.String(status, readyText(r))
	}
	return writeJSON(ec, status, "application/json", r)
}

// mayMeasure says whether a token was sent whose holder may read the metrics. That is
// a call, with its record. Whoever may not is answered as a stranger, since
// readiness is to be told in any case.
func (f *face) mayMeasure(ec echo.Context) bool {
	if len(ec.Request().Header.Values("Authorization")) == 0 {
		return false
	}
	call, err := f.authenticate(ec)
	if err != nil {
		return false
	}
	_, err = f.Service.Do(ec.Request().Context(), call, gateway.GetMetrics, func(any) *api.Error { return nil })
	receipt(ec, call)
	return err == nil
}

// readyText is a line for the whole and one for each part.
func readyText(r *gateway.Readiness) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Status)
	for _, p := range r.Parts {
		fmt.Fprintf(&b, "%s: %s: %s", p.Name, p.Status, p.State)
		for _, more := range []string{p.Do, p.Detail} {
			if more != "" {
				fmt.Fprintf(&b, "; %s", more)
			}
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// metrics serves the figures to a caller with the permission, like any call.
func (f *face) metrics(next http.Handler) echo.HandlerFunc {
	return func(ec echo.Context) error {
		call, err := f.authenticate(ec)
		if err != nil {
			return f.problem(ec, err)
		}
		_, err = f.Service.Do(ec.Request().Context(), call, gateway.GetMetrics, func(any) *api.Error { return nil })
		receipt(ec, call)
		if err != nil {
			return f.problem(ec, err)
		}
		next.ServeHTTP(ec.Response(), ec.Request())
		return nil
	}
}
