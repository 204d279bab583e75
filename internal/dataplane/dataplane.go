// Package dataplane is the face that docker and its kin see: /v2 (OCI distribution v1.1), /oauth2 (tokens) and /acr/v1, which
// tells of repositories, tags and manifests. It parses, calls, renders; it holds no rule.
//
// Wire facts come from the distribution-spec and, where the real service differs, from what its clients need.
package dataplane

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/web"
)

// Options of the face.
type Options struct {
	Auth *auth.Service
	// Contents is what a registry contains, with whatever wraps it.
	Contents func(*auth.Registry) oci.Registry
	// Content is what /acr/v1 tells of.
	Content *content.Service
	// UploadBegun tells when an upload began, by its ID, and is false for one that was not given out for the repository: a
	// push may outlive the token that it began with.
	UploadBegun func(reg *auth.Registry, repo, id string) (at time.Time, ok bool)
	// Audit gets logins and what is done to repositories; nil = nobody does.
	Audit *audit.Service
	// Pulls is how many of them the audit gets in a second; the rest is counted.
	Pulls int
	Now   func() time.Time // nil = time.Now
	// Tokens bounds how often one client asks for tokens; nil = it does not.
	Tokens *web.Rate
}

// Face answers the data plane's requests for every registry.
type Face struct {
	opt    Options
	recent *recent
	pulls  perSecond
}

// New makes the face.
func New(opt Options) *Face {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Face{opt: opt, recent: newRecent(), pulls: perSecond{most: int64(opt.Pulls)}}
}

// request is one call, parsed.
type request struct {
	route
	reg  *auth.Registry
	in   oci.Registry
	info *web.Info

	began time.Time
	login login
	desc  oci.Descriptor // of the manifest that was pulled or pushed
}

// Handle answers a request to a registry. Its errors are for Render.
func (f *Face) Handle(reg *auth.Registry, w http.ResponseWriter, r *http.Request) error {
	constantHeaders(w.Header(), r)
	q := &request{route: parse(r.URL.Path), reg: reg, in: f.opt.Contents(reg), info: web.InfoOf(r.Context()), began: f.opt.Now()}
	q.info.Registry, q.info.Repository = reg.Key, q.repo
	op, ok := operations[q.kind][r.Method]
	if !ok {
		op.name = "unknown"
	}
	q.info.Operation = op.name
	if err := f.opt.Auth.Network(r.Context(), reg, q.info.Address, q.info.Private); err != nil {
		f.recordLogin(q, r, err)
		return err
	}
	if !ok {
		return errNoRoute
	}
	if op.open {
		err := f.opt.Tokens.Take(q.info.Address)
		if err == nil {
			err = op.do(f, q, w, r)
		} else {
			q.login.name, _, _ = r.BasicAuth()
		}
		f.recordLogin(q, r, err)
		return err
	}
	id, known, err := f.authenticate(q, r)
	if err != nil {
		return refuse(err, func() error { return op.do(f, q, w, r) })
	}
	if known {
		q.info.Actor = id.Name
		id = id.From(q.info.Address, q.info.Private)
		call := acr.EventCall{Host: r.Host, Method: r.Method, UserAgent: clip(r.UserAgent(), maxUserAgent)}
		r = web.Extend(r, func(ctx context.Context) context.Context { return auth.ForCall(ctx, id, q.info.ID, call) })
	}
	err = op.do(f, q, w, r)
	if known {
		f.record(q, op, r, &id, err)
	}
	return err
}

// maxUserAgent bounds what events say of a client, in bytes.
const maxUserAgent = 512

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// badToken is why an access token does not hold.
type badToken struct{ error }

// refuse makes of credentials that do not hold the error of the request. Where a token does not, the request is tried as
// nobody's: the rule that refuses it says what it takes, and the challenge then names that.
func refuse(err error, asNobody func() error) error {
	var bad badToken
	if !errors.As(err, &bad) {
		return err
	}
	refused := asNobody()
	if refused == nil || fault.KindOf(refused) != fault.Unauthenticated {
		return refused
	}
	return challenged{fault.New(fault.Unauthenticated, "%s", bad.Error()).With(fault.Of(refused).Detail), invalidToken}
}

// authenticate tells who sends the request; known is false for nobody. Errors: badToken; fault.Unauthenticated, with the challenge that
// suits what was sent; fault.TooMany.
func (f *Face) authenticate(q *request, r *http.Request) (id auth.Identity, known bool, err error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return id, false, nil
	}
	if token, ok := cutScheme(header, "Bearer "); ok {
		id, err = f.bearer(q, r, token)
		if err != nil && fault.KindOf(err) == fault.Unauthenticated {
			err = badToken{err}
		}
		return id, err == nil, err
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return id, false, fault.New(fault.Unauthenticated, "the Authorization header is neither Bearer nor Basic")
	}
	id, err = f.opt.Auth.Password(r.Context(), q.reg, user, password, address(q))
	if err != nil {
		q.login.name = user
		f.recordLogin(q, r, err)
		return id, false, withChallenge(err, basic)
	}
	return id, true, nil
}

// bearer is the identity of an access token, which for an upload may have ended since that began.
func (f *Face) bearer(q *request, r *http.Request, token string) (auth.Identity, error) {
	id, err := f.opt.Auth.Bearer(r.Context(), q.reg, token)
	if err == nil || q.kind != upload || f.opt.UploadBegun == nil || fault.KindOf(err) != fault.Unauthenticated {
		return id, err
	}
	begun, ok := f.opt.UploadBegun(q.reg, q.repo, q.ref)
	if !ok {
		return id, err
	}
	return f.opt.Auth.Upload(r.Context(), q.reg, token, q.repo, begun)
}

func cutScheme(header, scheme string) (rest string, ok bool) {
	if len(header) < len(scheme) || !equalFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return header[len(scheme):], true
}

// equalFold compares ASCII.
func equalFold(a, b string) bool {
	for i := range len(a) {
		if a[i]|0x20 != b[i]|0x20 {
			return false
		}
	}
	return true
}

// address is the caller's, as text.
func address(q *request) string {
	if !q.info.Address.IsValid() {
		return ""
	}
	return q.info.Address.String()
}

// Headers that every answer carries, made once; the slices are shared and never written to.
var (
	apiVersion = []string{"registry/2.0"}
	noSniff    = []string{"nosniff"}
	hsts       = []string{"max-age=31536000; includeSubDomains"}
	exposed    = []string{"Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id"}
)

func constantHeaders(h http.Header, r *http.Request) {
	h["Docker-Distribution-Api-Version"] = apiVersion
	h["X-Content-Type-Options"] = noSniff
	h["Access-Control-Expose-Headers"] = exposed
	if web.InfoOf(r.Context()).Secure {
		h["Strict-Transport-Security"] = hsts
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h["X-Ms-Request-Id"] = h["X-Ms-Correlation-Request-Id"] // set by web
	}
}
