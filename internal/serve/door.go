package serve

import (
	"net/http"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/controlplane"
	"github.com/acre-registry/acre/internal/dataplane"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/identity"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/operator"
	"github.com/acre-registry/acre/internal/web"
)

// handler puts the faces behind the doors.
func (s *Server) handler() Doors {
	ops := s.operations()
	main := s.faces(ops)
	around := func(h http.Handler, private bool) http.Handler {
		srv := web.New(s.telemetry.Wrap(h), web.Options{
			Log: s.log.Logger, Done: s.metrics.Observe, Stall: s.config.Limits.Stall,
			Proxies: s.config.proxies(), Private: private,
		})
		s.counted = append(s.counted, srv.InFlight)
		return srv
	}
	doors := Doors{Main: around(main, false), Private: around(main, true), Ops: around(ops, false), Socket: around(s.operator(), false)}
	s.metrics.InFlight(func() (n int64) {
		for _, count := range s.counted {
			n += count()
		}
		return n
	})
	return doors
}

// front leads each request to the face that its host and path belong to.
type front struct {
	s          *Server
	data       *dataplane.Face
	identity   *identity.Face
	management *controlplane.Face
}

func (s *Server) faces(ops http.Handler) http.Handler {
	tokens := web.NewRate(s.config.Limits.TokenRequests, s.db.Now) // one bound for those of registries and of the directory
	f := &front{
		s: s,
		data: dataplane.New(dataplane.Options{
			Auth:     s.auth,
			Contents: func(reg *auth.Registry) oci.Registry { return s.content.In(reg) },
			Content:  s.content,
			UploadBegun: func(reg *auth.Registry, repo, id string) (time.Time, bool) {
				return s.content.In(reg).UploadBegun(repo, id)
			},
			Audit:  s.audit,
			Pulls:  s.config.Audit.Pulls,
			Now:    s.db.Now,
			Tokens: tokens,
		}),
		identity: identity.New(identity.Options{
			Directory: s.directory, Auth: s.auth, Hosts: s.ownName,
			Metadata: s.config.Dev || s.config.Identity.Metadata, MetadataSecret: s.metadataSecret(),
			Audit: s.audit, Now: s.db.Now, Tokens: tokens,
		}),
		management: controlplane.New(controlplane.Options{
			Auth: s.auth, Resources: s.resources, Notify: s.notify, Audit: s.audit, Cloud: s.cloud, LoginServer: s.loginServerFor,
		}),
	}
	limit := web.NewInFlight(s.config.Limits.Reads, s.config.Limits.Writes)
	answer := web.Handle(limit.Limit(f.answer), dataplane.Render)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.config.Ops == "" && isOperations(r.URL.Path) {
			ops.ServeHTTP(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	})
}

func (f *front) answer(w http.ResponseWriter, r *http.Request) error {
	if f.s.domains.Handle(w, r) { // proofs are asked for before the name is anybody's
		return nil
	}
	if f.s.config.Dev && !f.s.hosts.own(r.Host) {
		return errStrangersName
	}
	registry, at, to := f.s.hosts.of(r.Host)
	if to == byPath {
		to = f.faceOf(r.URL.Path)
	}
	switch to {
	case identities:
		f.identity.ServeHTTP(w, r)
		return nil
	case management:
		f.management.ServeHTTP(w, r)
		return nil
	}
	reg, err := f.s.registries.Get(r.Context(), registry)
	if err != nil {
		return err
	}
	if err := at.of(reg.Registry); err != nil {
		return err
	}
	return f.data.Handle(reg, w, r)
}

// errStrangersName answers, with --dev, who comes by somebody else's name.
var errStrangersName = fault.New(fault.Blocked, "this name is not one of the server's: with --dev, whose passwords everybody knows, a web page could have "+
	"pointed it here; ask localhost, an address, or a name below one of the suffixes")

// faceOf tells whose a path is, on hosts where that decides.
func (f *front) faceOf(path string) face {
	switch {
	case strings.HasPrefix(path, "/v2/"): // most of all requests
		return registries
	case controlplane.Owns(path):
		return management
	case f.identity.Owns(path):
		return identities
	}
	return registries
}

// metadataSecret is what callers of the metadata endpoint's older form send.
func (s *Server) metadataSecret() string {
	secret, err := s.config.Identity.MetadataSecret.Read()
	if err != nil { // it could be read at the start
		s.log.Error("the secret of the metadata endpoint cannot be read, so that form is off", "error", err)
	}
	if s.config.Dev && secret == "" {
		return devSecret
	}
	return secret
}

func isOperations(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/metrics"
}

func (s *Server) operator() http.Handler {
	var authority []byte
	if s.authority != nil {
		authority = s.authority.PEM()
	}
	return operator.New(operator.Options{
		Auth: s.auth, Content: s.content, Resources: s.resources, Authority: authority, LoginServer: s.loginServer, ResetOwner: s.ResetOwner,
	})
}

// operations answers those who watch the server.
func (s *Server) operations() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		web.InfoOf(r.Context()).Operation = "healthz"
		_ = web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.Handle("GET /readyz", web.Handle(s.ready, dataplane.Render))
	return mux
}

// lowSpace is how little room on the blobs' disk readiness mentions, in bytes.
const lowSpace = 256 << 20

// ready is 200 while the metadata answers. Little room on the disk is said, but pulls still work.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	web.InfoOf(r.Context()).Operation = "readyz"
	if err := s.db.Look(r.Context(), func(tx *meta.Tx) error {
		_, err := tx.Registries()
		return err
	}); err != nil {
		return err
	}
	answer := map[string]any{"status": "ready"}
	if s.free != nil {
		free, err := s.free()
		if err != nil {
			return err
		}
		answer["freeBytes"] = free
		if free < lowSpace {
			answer["warning"] = "the disk is nearly full: pushes may be refused"
		}
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}
