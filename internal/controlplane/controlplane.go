// Package controlplane is the face of the management API: /subscriptions/…, /tenants, /providers/…, /metadata/endpoints. It
// authenticates, finds the row of the resource's type in its table of kinds, decodes, calls, encodes; every rule stands in
// resource.
//
// Any well-formed api-version is served, in one superset of shapes. Paths compare without regard to case; the IDs of answers
// are spelled as they were when the resource was made. What takes longer than its answer is an operation that clients poll
// for; most changes are done when they are answered.
package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/notify"
	"github.com/acre-registry/acre/internal/resource"
	"github.com/acre-registry/acre/internal/web"
)

// Options of the face.
type Options struct {
	Auth      *auth.Service
	Resources *resource.Service
	Notify    *notify.Service
	Audit     *audit.Service
	// Cloud is what clients are told of the installation's other hosts, for a request's own.
	Cloud func(r *http.Request) Cloud
	// LoginServer is the host of a registry, for somebody who came by a host.
	LoginServer func(host, registry string) string
}

// Cloud is where the installation's parts are found. URLs have no slash at the end.
type Cloud struct {
	Login, Management, Graph string // URLs
	Suffix                   string // of registries' hosts, without a dot in front
}

// Face answers the requests of the management API.
type Face struct {
	opt  Options
	rows map[string]*row
}

// New makes the face.
func New(opt Options) *Face {
	f := &Face{opt: opt}
	f.rows = f.table()
	return f
}

// Owns tells whether a path is the management API's.
func Owns(path string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	switch strings.ToLower(first) {
	case "subscriptions", "providers", "tenants":
		return true
	case "metadata":
		return isMetadata(path)
	}
	return false
}

// ServeHTTP answers a request for a path that Owns names, or any on a host that is the management API's alone.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	web.Handle(f.answer, f.render).ServeHTTP(w, r)
}

// maxBody bounds a request's body.
const maxBody = 4 << 20

// call is one request, parsed.
type call struct {
	*Face
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	path    arm.Path // of the row's type
	version arm.Version
	query   url.Values
	body    []byte
}

// handler does one operation of a kind.
type handler func(c *call) error

func (f *Face) answer(w http.ResponseWriter, r *http.Request) error {
	info := web.InfoOf(r.Context())
	info.Operation = "management"
	constantHeaders(w.Header())
	if isMetadata(r.URL.Path) {
		return f.metadata(w, r)
	}
	c := &call{Face: f, w: w, r: r, query: r.URL.Query()}
	err := c.authenticate(info)
	if err != nil {
		return err
	}
	if c.version, err = arm.ParseVersion(c.query.Get("api-version")); err != nil {
		return err
	}
	w.Header()["Api-Supported-Versions"] = []string{string(c.version)}
	do, err := c.find()
	if err != nil {
		return err
	}
	if r.Method == http.MethodPut || r.Method == http.MethodPatch || r.Method == http.MethodPost {
		if c.body, err = web.ReadBody(w, r, maxBody); err != nil {
			return err
		}
	}
	return do(c)
}

// authenticate wants a bearer token, and puts who it stands for into the context.
func (c *call) authenticate(info *web.Info) error {
	header := c.r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		return c.login(info)
	case header == "":
		return fault.New(missingToken, "Authentication failed. The 'Authorization' header is missing.")
	case !strings.EqualFold(scheme, "Bearer"):
		return fault.New(missingToken, "Authentication failed. The 'Authorization' header is provided in an invalid format: it is 'Bearer' and a token.")
	}
	id, err := c.opt.Auth.ARM(c.r.Context(), strings.TrimSpace(token))
	if err != nil {
		return err
	}
	info.Actor = id.Name
	c.ctx = auth.ForRequest(c.r.Context(), id.From(info.Address, info.Private), info.ID)
	return nil
}

// login lets a registry token in with its own password, to rotate its passwords: for nothing else is a password taken here.
func (c *call) login(info *web.Info) error {
	p, err := arm.ParsePath(c.r.URL.Path)
	if err != nil || c.r.Method != http.MethodPost || p.Type() != rotation {
		return fault.New(missingToken, "Authentication failed. The 'Authorization' header is provided in an invalid scheme: it is 'Bearer' and a token.")
	}
	above, _ := p.ID().Parent()
	reg, err := c.opt.Resources.Known(c.r.Context(), above)
	if err != nil {
		return fault.New(missingToken, "Authentication failed. The user name or the password is not right.")
	}
	if err := c.opt.Auth.Network(c.r.Context(), reg, info.Address, info.Private); err != nil {
		return err
	}
	user, password, _ := c.r.BasicAuth()
	id, err := c.opt.Auth.Password(c.r.Context(), reg, user, password, info.Address.String())
	if err != nil {
		return err
	}
	info.Actor, info.Registry = id.Name, reg.Key
	c.ctx = auth.ForRequest(c.r.Context(), id.From(info.Address, info.Private), info.ID)
	return nil
}

// rotation is the type of a path that rotates a token's password.
const rotation = "microsoft.containerregistry/registries/tokens/rotatepassword"

// find finds the operation: the row of the path's type, and in it what the method asks for. Errors: fault.NotFound for a
// type that is not known, methodNotAllowed.
func (c *call) find() (handler, error) {
	p, err := arm.ParsePath(c.r.URL.Path)
	if err != nil {
		return nil, err
	}
	if err := c.opt.Resources.CheckSubscription(p.Subscription); err != nil {
		return nil, err
	}
	verb := c.r.Method
	switch {
	case verb == http.MethodPost && !p.Collection():
		return nil, notAllowed(verb, c.r.URL.Path)
	case verb == http.MethodPost:
		var action string
		p, action = p.Cut()
		verb += " " + strings.ToLower(action)
	case p.Collection() && verb == http.MethodGet:
		verb = list
		if above, action := p.Cut(); c.furtherPage(above, action) != nil {
			p, verb = above, list+" "+strings.ToLower(action)
		}
	case p.Collection():
		return nil, notAllowed(verb, c.r.URL.Path)
	}
	c.path = p
	if name, _ := operationOf(p); name != "" {
		if c.r.Method != http.MethodGet {
			return nil, notAllowed(c.r.Method, c.r.URL.Path)
		}
		return operation, nil
	}
	r := c.rows[p.Type()]
	if r == nil || r.provider != arm.Resources && !r.extends && !p.Within() {
		return nil, unknownType(p, c.version)
	}
	do := r.verbs[verb]
	if do == nil {
		if strings.HasPrefix(verb, http.MethodPost) {
			return nil, unknownType(p, c.version)
		}
		return nil, notAllowed(c.r.Method, c.r.URL.Path)
	}
	return do, nil
}

// furtherPage reads on in a list that an action began: clients GET its links.
func (f *Face) furtherPage(of arm.Path, action string) handler {
	if r := f.rows[of.Type()]; r != nil {
		return r.verbs[list+" "+strings.ToLower(action)]
	}
	return nil
}

// list is the verb of a GET that names no resource.
const list = "LIST"

// row is a row of the table: a resource type with what can be done to it, by method; LIST reads a collection, POST stands
// with the action's name in lower case.
type row struct {
	provider string
	types    string // as it is shown: registries/tokens; "" is the provider itself
	extends  bool   // it may lie below any other provider's resource
	tracked  bool   // it has a location and tags, and stands in the list of all resources
	verbs    map[string]handler
	// page lists what lies below a parent, as it is shown, for who looks at all kinds; nil: that is nothing.
	page func(c *call, parent, after string) (values []any, more string, err error)
}

// table puts the rows together. A kind brings its own file.
func (f *Face) table() map[string]*row {
	rows := map[string]*row{}
	for _, r := range slices.Concat(f.tenantRows(), f.groupRows(), f.providerRows(), f.registryRows(), f.roleRows(), f.identityRows(), f.vaultRows(), f.taskRows(), f.childRows(), f.graphRows()) {
		rows[strings.ToLower(r.provider+"/"+r.types)] = r
	}
	return rows
}

// Headers of every answer.
func constantHeaders(h http.Header) {
	h["Cache-Control"] = []string{"no-cache"}
	h["Pragma"] = []string{"no-cache"}
	h["Expires"] = []string{"-1"}
	h["Strict-Transport-Security"] = []string{"max-age=31536000; includeSubDomains"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Ms-Request-Id"] = h["X-Ms-Correlation-Request-Id"] // set by web
	h["X-Ms-Routing-Request-Id"] = h["X-Ms-Correlation-Request-Id"]
	// Almost everything is done at once: who knows this header need not wait before it asks again.
	h["X-Go-Azure-Sdk-Skip-Polling-Delay"] = []string{"true"}
}

// write answers with a value.
func (c *call) write(status int, v any) error { return web.WriteJSON(c.w, status, v) }

// written answers with what was made or changed.
func (c *call) written(created bool, v any) error {
	if created {
		return c.write(http.StatusCreated, v)
	}
	return c.write(http.StatusOK, v)
}

// deleted answers a removal: 204 where there was nothing.
func (c *call) deleted(existed bool) error {
	if existed {
		c.w.WriteHeader(http.StatusOK)
	} else {
		c.w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// decode reads the body. Members that are not known are left out; no body is an empty object.
func (c *call) decode(into any) error {
	body := bytes.TrimSpace(c.body)
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' && json.Valid(body) {
		return fault.New(invalidContent, "The request content was invalid and could not be deserialized: 'The body is %s where an object is wanted.'", jsonKind(string(body[:1])))
	}
	err := json.Unmarshal(body, into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
		return fault.New(invalidContent, "The request content was invalid and could not be deserialized: 'The member %.200s is %s where %s is wanted.'",
			wrong.Field, sent[strings.Fields(wrong.Value)[0]], goKind(wrong.Type))
	}
	if err != nil {
		return fault.New(invalidContent, "The request content was invalid and could not be deserialized: '%s'.", err)
	}
	return nil
}

// sent is what the decoder calls a value, with its article.
var sent = map[string]string{"array": "an array", "object": "an object", "string": "a string", "number": "a number", "bool": "a boolean"}

// jsonKind is what a JSON value is, by its first letter.
func jsonKind(first string) string {
	switch first {
	case "[":
		return "an array"
	case `"`:
		return "a string"
	case "n":
		return "null"
	case "t", "f":
		return "a boolean"
	}
	return "a number"
}

// goKind is the JSON value that is read into a type.
func goKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a number"
}

// member is a member of a body that may be absent, or null.
type member[T any] struct {
	Set, Null bool
	Value     T
}

// UnmarshalJSON is called for members that are there.
func (m *member[T]) UnmarshalJSON(text []byte) error {
	m.Set = true
	if string(text) == "null" {
		m.Null = true
		return nil
	}
	return json.Unmarshal(text, &m.Value)
}

// onto writes the member over a field: null is the field's zero value, absent leaves it.
func (m member[T]) onto(field *T) {
	if m.Set {
		*field = m.Value
	}
}

// page is which part of a list is asked for.
func (c *call) page() resource.Page {
	return resource.Page{After: c.query.Get("$skipToken"), Limit: pageSize}
}

// pageSize is how many entries a page has at most.
const pageSize = 200

// listed answers with a page and the link to the next.
func listed[T any](c *call, values []T, more string) error {
	if values == nil {
		values = []T{}
	}
	out := arm.List[T]{Value: values}
	if more != "" {
		q := c.r.URL.Query()
		q.Set("$skipToken", more)
		out.NextLink = c.opt.Cloud(c.r).Management + c.r.URL.EscapedPath() + "?" + q.Encode()
	}
	return c.write(http.StatusOK, out)
}
