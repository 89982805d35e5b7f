package rest

import (
	"net/http"

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

// readyz says whether a call would be served now. It asks the token.
func (f *face) readyz(ec echo.Context) error {
	if err := f.Service.Ready(); err != nil {
		ec.Response().Header().Set("Retry-After", "1")
		return writeJSON(ec, http.StatusServiceUnavailable, "application/json",
			health{"not ready", err.What + "; an operator finds the reason in the log"})
	}
	return writeJSON(ec, http.StatusOK, "application/json", health{Status: "ready"})
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
