// Package identity is the face of an Entra-compatible issuer: discovery, tokens, the pages on which people sign in, the
// metadata endpoints from which machines get tokens without a secret, and those calls of Microsoft Graph by which
// clients keep the directory. It parses, calls, renders; every rule stands in directory.
//
// Wire facts: unmodified clients come by any name, port and letter case, write doubled slashes and empty queries, and take
// each URL of an answer literally. So nothing here redirects, and every URL is made of the host that the client came by.
package identity

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// Options of the face.
type Options struct {
	Directory *directory.Service
	Auth      *auth.Service
	// Hosts tells whether a name, in lower case and without a port, is one of this server's. A client that looks for an
	// authority is told of these and of the one that it came by only.
	Hosts func(name string) bool
	// Metadata switches the managed identities' endpoints on. Every program on this machine is then one of these
	// identities, by the nature of the thing, and so is a proxy on it that hides whom it asks for; who comes from elsewhere
	// is refused.
	Metadata bool
	// MetadataSecret is what callers of the App Service form must send; "" refuses them.
	MetadataSecret string
	// Audit gets sign-ins, good and bad; nil = nobody does.
	Audit *audit.Service
	Now   func() time.Time // nil = time.Now
	// Tokens bounds how often one client asks the token endpoint; nil = it does not.
	Tokens *web.Rate
}

// Face answers the requests of every tenant's paths, of the metadata endpoints and of Graph.
type Face struct {
	opt      Options
	routes   []route
	families [page + 1]http.Handler
	origins  *http.CrossOriginProtection // keeps other sites from sending our forms
}

// New makes the face.
func New(opt Options) *Face {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	f := &Face{opt: opt, routes: allRoutes(), origins: http.NewCrossOriginProtection()}
	for i, render := range [page + 1]web.Render{oauth: renderOAuth, managed: renderManaged, graph: renderGraph, page: renderPage} {
		f.families[i] = web.Handle(f.answer, render)
	}
	return f
}

// ServeHTTP answers a request for a path that Owns names, or any on a host that is the login service's or Graph's alone.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.families[f.familyOf(r.URL.Path)].ServeHTTP(w, r)
}

// familyOf is how errors of a path look, whether there is such a path or not.
func (f *Face) familyOf(path string) family {
	segments := split(path)
	switch {
	case len(segments) > 0 && isGraph(segments[0]):
		return graph
	case len(segments) > 0 && strings.EqualFold(segments[0], "metadata"):
		return managed
	}
	if r, _ := f.find(path); r != nil {
		return r.family
	}
	return oauth
}

// call is one request, parsed.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	words []string // what stands for the words in braces of the route's pattern
	info  *web.Info
	began time.Time
	login *login // nil where the request is no sign-in
}

// answer finds the operation and does it.
func (f *Face) answer(w http.ResponseWriter, r *http.Request) error {
	c := &call{w: w, r: r, info: web.InfoOf(r.Context()), began: f.opt.Now()}
	constantHeaders(w.Header(), r)
	to, words := f.find(r.URL.Path)
	if to == nil {
		c.info.Operation = "unknown"
		return fault.New(fault.NotFound, "there is nothing at %.200s", r.URL.Path)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, ok := to.methods[method]
	if !ok {
		c.info.Operation = "unknown"
		return fault.New(fault.Unsupported, "%.20s is not for %.200s", r.Method, r.URL.Path)
	}
	c.words, c.info.Operation = words, op.name
	if to.family == graph {
		if err := f.authenticate(c); err != nil {
			return err
		}
	}
	err := op.do(f, c)
	f.recordLogin(c, err)
	return err
}

// constantHeaders are those of every answer: tokens, secrets and pages are kept nowhere. A client's own name for the
// request is handed back where it asks for that.
func constantHeaders(h http.Header, r *http.Request) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if web.Scheme(r) == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	h["X-Ms-Request-Id"] = h["X-Ms-Correlation-Request-Id"] // set by web
	if id := clientRequest(r); id != "" && strings.EqualFold(r.Header.Get("Return-Client-Request-Id"), "true") {
		h.Set("Client-Request-Id", id)
	}
}

// clientRequest is the client's own name for a request; "" where it has none that may stand in a header.
func clientRequest(r *http.Request) string {
	id := r.Header.Get("Client-Request-Id")
	if len(id) > 64 || strings.Trim(strings.ToLower(id), "0123456789abcdef-{}") != "" {
		return ""
	}
	return id
}

// cacheable answers with a document that is the same for everybody for a while.
func (c *call) cacheable(v any) error {
	c.w.Header().Set("Cache-Control", "max-age=300, private")
	c.w.Header().Set("Access-Control-Allow-Origin", "*")
	return web.WriteJSON(c.w, http.StatusOK, v)
}

// maxForm bounds the body of a request, in bytes: an assertion may carry a chain of certificates.
const maxForm = 64 << 10

// form reads a request's form, and credentials that came by Basic as if they stood in it.
func (c *call) form() (url.Values, error) {
	body, err := web.ReadBody(c.w, c.r, maxForm)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, failure(fault.Invalid, "invalid_request", 900144, "The request body is no form: send application/x-www-form-urlencoded.")
	}
	if id, secret, ok := c.r.BasicAuth(); ok && form.Get("client_secret") == "" {
		// RFC 6749, section 2.3.1: both are form-encoded first; who does not do so is understood as well.
		form.Set("client_id", unescape(id))
		form.Set("client_secret", unescape(secret))
	}
	return form, nil
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// tenant is that of the path, as answers name it: the GUID, common or organizations.
func (f *Face) tenant(c *call) (string, error) {
	id, err := f.opt.Directory.TenantID(c.words[0])
	if name := strings.ToLower(c.words[0]); err == nil && (name == "common" || name == "organizations") {
		return name, nil
	}
	return id, err
}
