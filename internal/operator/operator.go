// Package operator is the face of the verbs acre admin: what an operator does to a running server, over the unix
// socket in its data directory. Who can open the socket owns the data; nobody else is let in.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
	"github.com/acre-registry/acre/internal/web"
)

// Options of the face.
type Options struct {
	Auth        *auth.Service
	Content     *content.Service
	Resources   *resource.Service
	Authority   []byte                       // the certificate of acre's own authority, PEM; nil where it has none
	LoginServer func(registry string) string // the host under which a registry answers
	// ResetOwner gives the first owner a new password.
	ResetOwner func(ctx context.Context) (name, password string, err error)
}

// New makes the face.
func New(opt Options) http.Handler {
	f := &face{opt}
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /operator/gc":               f.collect,
		"POST /operator/fsck":             f.check,
		"POST /operator/keys":             f.rotateKeys,
		"POST /operator/owner":            f.resetOwner,
		"GET /operator/ca":                f.authority,
		"GET /operator/registries":        f.registries,
		"GET /operator/registries/{name}": f.registry,
		"PUT /operator/registries/{name}": f.putRegistry,

		"GET /operator/registries/{name}/credentials":             f.credentials,
		"POST /operator/registries/{name}/credentials/{password}": f.renew,
	} {
		mux.Handle(pattern, web.Handle(func(w http.ResponseWriter, r *http.Request) error {
			info := web.InfoOf(r.Context())
			info.Operation, info.Actor = "operator", "system:operator"
			return h(w, r.WithContext(auth.ForRequest(r.Context(), auth.System("operator"), info.ID)))
		}, Render))
	}
	// Profiles: go tool pprof reads them from here, for instance through curl --unix-socket.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("/", web.Handle(func(http.ResponseWriter, *http.Request) error {
		return fault.New(fault.NotFound, "there is no such operator call; is the client of the server's version?")
	}, Render))
	return mux
}

type face struct{ opt Options }

// statuses is this wire's column of the error table.
var statuses = map[fault.Kind]int{
	fault.Internal: 500, fault.Invalid: 400, fault.Unauthenticated: 401, fault.Denied: 403, fault.Blocked: 403,
	fault.NotFound: 404, fault.Exists: 409, fault.Conflict: 409, fault.Precondition: 412, fault.OutOfRange: 400,
	fault.TooLarge: 413, fault.Disallowed: 409, fault.Unsupported: 405, fault.TooMany: 429, fault.Unavailable: 503,
	fault.Full: 507, fault.Upstream: 502,
}

type wireError struct {
	Code    string `json:"code"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func asWire(err error) map[string]wireError {
	e := fault.Of(err)
	code := e.Code
	if code == "" {
		code = e.Kind.Error()
	}
	return map[string]wireError{"error": {code, e.Kind.Error(), e.Message}}
}

// Render writes an error.
func Render(w http.ResponseWriter, _ *http.Request, err error) {
	_ = web.WriteJSON(w, statuses[fault.KindOf(err)], asWire(err)) // strings always marshal
}

// line is one of a stream of JSON lines, the last of which holds the result or the error.
type line struct {
	Phase   string `json:"phase,omitempty"`
	Done    int    `json:"done,omitempty"`
	Item    string `json:"item,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Problem string `json:"problem,omitempty"`
	Result  any    `json:"result,omitempty"`
}

// stream writes lines as they come, progress at most ten times a second.
type stream struct {
	enc   *json.Encoder
	flush func() error
	last  time.Time
	done  map[string]int
	err   error
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &stream{enc: json.NewEncoder(w), flush: http.NewResponseController(w).Flush, done: map[string]int{}}
}

func (s *stream) write(v any) {
	if s.err == nil {
		s.err = errors.Join(s.enc.Encode(v), s.flush())
	}
}

func (s *stream) progress(phase, item string) {
	s.done[phase]++
	if now := time.Now(); now.Sub(s.last) > 100*time.Millisecond {
		s.last = now
		s.write(line{Phase: phase, Done: s.done[phase], Item: item})
	}
}

func (s *stream) end(result any, err error) error {
	if err != nil {
		s.write(asWire(err))
	} else {
		s.write(line{Result: result})
	}
	return s.err
}

const maxBody = 64 << 10

func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := web.ReadBody(w, r, maxBody)
	if err != nil || len(body) == 0 {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.Invalid, "the body is not the JSON of this call: %w", err)
	}
	return nil
}

func (f *face) collect(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		DryRun bool   `json:"dryRun"`
		Gentle bool   `json:"gentle"`
		Grace  string `json:"grace"`
	}
	if err := decode(w, r, &ask); err != nil {
		return err
	}
	opt := content.CollectOptions{DryRun: ask.DryRun, Gentle: ask.Gentle, Orphans: true}
	if ask.Grace != "" {
		grace, err := time.ParseDuration(ask.Grace)
		if err != nil || grace < 0 {
			return fault.New(fault.Invalid, "grace %.40q is not a duration such as 1h or 0s", ask.Grace)
		}
		opt.Grace = &grace
	}
	s := newStream(w)
	opt.Progress = func(what, name string, bytes int64) {
		s.done[what]++
		if ask.DryRun { // every victim is named
			s.write(line{Phase: what, Done: s.done[what], Item: name, Bytes: bytes})
		} else if now := time.Now(); now.Sub(s.last) > 100*time.Millisecond {
			s.last = now
			s.write(line{Phase: what, Done: s.done[what], Item: name, Bytes: bytes})
		}
	}
	return s.end(f.opt.Content.Collect(r.Context(), opt))
}

func (f *face) check(w http.ResponseWriter, r *http.Request) error {
	s := newStream(w)
	return s.end(f.opt.Content.Check(r.Context(), content.CheckOptions{
		Progress: s.progress,
		Problem:  func(what string) { s.write(line{Phase: "problem", Problem: what}) },
	}))
}

func (f *face) rotateKeys(w http.ResponseWriter, r *http.Request) error {
	id, err := f.opt.Auth.RotateKeys(r.Context())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"kid": id})
}

func (f *face) resetOwner(w http.ResponseWriter, r *http.Request) error {
	name, password, err := f.opt.ResetOwner(r.Context())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"username": name, "password": password})
}

func (f *face) authority(w http.ResponseWriter, _ *http.Request) error {
	if f.opt.Authority == nil {
		return fault.New(fault.NotFound, "this server has certificate files and no authority of its own: export those")
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, err := w.Write(f.opt.Authority)
	return err
}

// registry is how a registry is shown.
type registry struct {
	acr.Registry
	LoginServer string `json:"loginServer"`
}

func (f *face) show(r acr.Registry) registry { return registry{r, f.opt.LoginServer(r.Key())} }

func (f *face) registries(w http.ResponseWriter, r *http.Request) error {
	list, err := f.opt.Resources.ListRegistries(r.Context())
	if err != nil {
		return err
	}
	out := make([]registry, len(list))
	for i, reg := range list {
		out[i] = f.show(reg)
	}
	return web.WriteJSON(w, http.StatusOK, map[string][]registry{"value": out})
}

func (f *face) registry(w http.ResponseWriter, r *http.Request) error {
	reg, err := f.opt.Resources.Registry(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, f.show(reg))
}

// putRegistry creates a registry or changes the settings of the one that is there.
func (f *face) putRegistry(w http.ResponseWriter, r *http.Request) error {
	var to resource.Settings
	if err := decode(w, r, &to); err != nil {
		return err
	}
	name := r.PathValue("name")
	reg, err := f.opt.Resources.UpdateRegistry(r.Context(), name, to)
	status := http.StatusOK
	if errors.Is(err, fault.NotFound) {
		reg, err = f.opt.Resources.CreateRegistry(r.Context(), name, to)
		status = http.StatusCreated
	}
	if err != nil {
		return err
	}
	return web.WriteJSON(w, status, f.show(reg))
}

type password struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (f *face) credentials(w http.ResponseWriter, r *http.Request) error {
	return writeCredentials(w, r.Context(), r.PathValue("name"), f.opt.Resources.Credentials)
}

func (f *face) renew(w http.ResponseWriter, r *http.Request) error {
	return writeCredentials(w, r.Context(), r.PathValue("name"), func(ctx context.Context, name string) (resource.Credentials, error) {
		return f.opt.Resources.RenewCredential(ctx, name, r.PathValue("password"))
	})
}

func writeCredentials(w http.ResponseWriter, ctx context.Context, name string,
	get func(context.Context, string) (resource.Credentials, error),
) error {
	c, err := get(ctx, name)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusOK, struct {
		Username  string     `json:"username"`
		Passwords []password `json:"passwords"`
	}{c.Username, []password{{acr.Password1, c.Passwords[acr.Password1]}, {acr.Password2, c.Passwords[acr.Password2]}}})
}
