package rest

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// logPrefix is where the audit log is served as c2sp.org/tlog-tiles has it.
const logPrefix = "/v1/log/"

// logRoutes serve the log: checkpoint, key and the tiles of hashes to every caller, the records to those who may read
// them.
func (f *face) logRoutes(e *echo.Echo) {
	e.GET(logPrefix+"checkpoint", f.logFile("text/plain; charset=utf-8"))
	e.GET(logPrefix+"key", f.logFile("text/plain; charset=utf-8"))
	e.GET(logPrefix+"tile/*", f.logFile("application/octet-stream"))
	e.GET(logPrefix+"tile/entries/*", f.entries)
}

func (f *face) logFile(mediaType string) echo.HandlerFunc {
	return func(ec echo.Context) error {
		call, err := f.authenticate(ec)
		if err != nil {
			return f.problem(ec, err)
		}
		data, err := f.Service.LogFile(call, logName(ec))
		if err != nil {
			return f.problem(ec, err)
		}
		if strings.HasPrefix(logName(ec), "tile/") { // it never changes
			ec.Response().Header().Set("Cache-Control", "private, max-age=604800, immutable")
		}
		return ec.Blob(http.StatusOK, mediaType, data)
	}
}

func logName(ec echo.Context) string { return strings.TrimPrefix(ec.Request().URL.Path, logPrefix) }

// entries serves records, and leaves one.
func (f *face) entries(ec echo.Context) error {
	call, err := f.authenticate(ec)
	if err != nil {
		return f.problem(ec, err)
	}
	out, err := f.Service.Do(ec.Request().Context(), call, gateway.ReadLog, func(in any) *api.Error {
		in.(*gateway.ReadLogRequest).Tile = logName(ec)
		return nil
	})
	receipt(ec, call)
	if err != nil {
		return f.problem(ec, err)
	}
	return ec.Blob(http.StatusOK, "application/octet-stream", out.([]byte))
}
