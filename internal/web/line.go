package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// line writes the access line: at Info, or, where the failure is the server's, at Warn (503 and the like) or
// Error (500, an answer cut short). The record is made by hand, without the caller's position, which Logger looks up.
func (s *Server) line(x *exchange, r *http.Request) {
	i := &x.info
	level := slog.LevelInfo
	switch {
	case i.Status == http.StatusInternalServerError, x.cut && !x.gone:
		level = slog.LevelError
	case i.Status > http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	var attrs [14]slog.Attr
	list := append(attrs[:0],
		slog.String("id", i.ID),
		slog.String("method", clip(r.Method, 16)),
		slog.String("path", clip(r.URL.Path, 1024)),
		slog.Int("status", i.Status),
		slog.Int64("bytes", i.Out),
		slog.Float64("duration_ms", milliseconds(i.Took)),
	)
	for _, a := range [...]slog.Attr{
		slog.String("registry", i.Registry),
		slog.String("operation", i.Operation),
		slog.String("repository", i.Repository),
		slog.String("actor", i.Actor),
		slog.String("remote", remote(i, r)),
		slog.String("user_agent", userAgent(r)),
	} {
		if a.Value.String() != "" {
			list = append(list, a)
		}
	}
	if i.Err != nil && level > slog.LevelInfo {
		list = append(list, slog.String("error", cause(i.Err)))
	}
	rec := slog.NewRecord(x.start.Add(i.Took), level, "request", 0)
	rec.AddAttrs(list...)
	_ = s.log.Handle(r.Context(), rec)
}

// remote is where the client is: its connection, or the address that a trusted proxy says.
func remote(i *Info, r *http.Request) string {
	if i.forwarded {
		return i.Address.String()
	}
	return r.RemoteAddr
}

// milliseconds keeps three decimals.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func userAgent(r *http.Request) string {
	if v := r.Header["User-Agent"]; len(v) > 0 {
		return clip(v[0], 256)
	}
	return ""
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// cause is the full text of an error, with what its message keeps from the user.
func cause(err error) string {
	text := err.Error()
	if inner := fault.Of(err).Err; inner != nil && inner.Error() != text {
		text += ": " + inner.Error()
	}
	return text
}
