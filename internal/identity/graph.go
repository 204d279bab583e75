package identity

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// authenticate puts whom the request's token stands for into its context. Errors: fault.Unauthenticated.
func (f *Face) authenticate(c *call) error {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return fault.New(fault.Unauthenticated, "Access token is empty.")
	}
	id, err := f.opt.Auth.Graph(c.r.Context(), strings.TrimSpace(token))
	if err != nil {
		return err
	}
	c.info.Actor = id.Name
	c.r = c.r.WithContext(auth.ForRequest(c.r.Context(), id.From(c.info.Address, c.info.Private), c.info.ID))
	return nil
}

// Bounds of a list and of a body.
const (
	defaultPage = 100
	longestPage = 999
	maxBody     = 256 << 10 // bytes
)

// listing is what a request asks of a list.
type listing struct {
	filter   filter
	limit    int
	after    string
	selected []string           // properties; none = all
	dress    func(object) error // adds what costs a look-up to an object that will be shown
}

// listing reads $filter, $top, $skiptoken and $select. What else would change the result is refused, so that nobody takes
// one list for another.
func (c *call) listing() (listing, error) {
	q := c.r.URL.Query()
	l := listing{limit: defaultPage, after: q.Get("$skiptoken")}
	for _, option := range []string{"$search", "$orderby", "$expand", "$skip", "$apply"} {
		if q.Get(option) != "" {
			return l, fault.New(fault.Invalid, "The query option %s is not supported here; use $filter, $top and $select.", option)
		}
	}
	if text := q.Get("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > longestPage {
			return l, fault.New(fault.Invalid, "Invalid page size specified: '%.20s'. Must be between 1 and %d inclusive.", text, longestPage)
		}
		l.limit = n
	}
	l.selected = selected(q)
	var err error
	l.filter, err = parseFilter(q.Get("$filter"))
	return l, err
}

// selected are the properties that $select names.
func selected(q url.Values) []string {
	return strings.FieldsFunc(q.Get("$select"), func(r rune) bool { return r == ',' || r == ' ' })
}

// pick keeps the selected properties of an object.
func pick(o object, names []string) object {
	if len(names) == 0 {
		return o
	}
	out := object{}
	for key, v := range o {
		for _, n := range names {
			if strings.EqualFold(n, key) || key == "@odata.type" {
				out[key] = v
			}
		}
	}
	return out
}

// key is the value that all objects of the list have as a property, as far as the filter says so.
func (l *listing) key(property string) string {
	if l.filter == nil {
		return ""
	}
	v, _ := l.filter.key(property)
	return v
}

// source reads a page of things, ordered by ID, as objects; more says that others follow.
type source func(directory.Page) (page []object, more bool, err error)

// answer writes a page of those objects of a source that meet the filter, and where the next one is.
func (l *listing) answer(c *call, kind string, read source) error {
	found, full, err := l.collect(read)
	if err != nil {
		return err
	}
	out := object{"@odata.context": contextOf(c, kind)}
	if full {
		out["@odata.nextLink"] = next(c, idOf(found[len(found)-1]))
	}
	for i := range found {
		if l.dress != nil {
			if err := l.dress(found[i]); err != nil {
				return err
			}
		}
		found[i] = pick(found[i], l.selected)
	}
	out["value"] = found
	return web.WriteJSON(c.w, http.StatusOK, out)
}

// collect finds at most a page of objects; full says that others follow.
func (l *listing) collect(read source) (found []object, full bool, err error) {
	found = []object{}
	after := l.after
	for {
		batch, more, err := read(directory.Page{After: after, Limit: longestPage})
		if err != nil {
			return nil, false, err
		}
		for _, o := range batch {
			if idOf(o) <= after {
				continue // sources that look up by a key know no page
			}
			after = idOf(o)
			if l.filter != nil && !l.filter.holds(o) {
				continue
			}
			if len(found) == l.limit {
				return found, true, nil
			}
			found = append(found, o)
		}
		if !more {
			return found, false, nil
		}
	}
}

func idOf(o object) string {
	id, _ := o["id"].(string)
	return id
}

// paged makes a source of a list of the directory.
func paged[T any](read func(directory.Page) ([]T, bool, error), show func(T) object) source {
	return func(p directory.Page) ([]object, bool, error) {
		page, more, err := read(p)
		if err != nil {
			return nil, false, err
		}
		out := make([]object, len(page))
		for i := range page {
			out[i] = show(page[i])
		}
		return out, more, nil
	}
}

// next is the address of the page after an ID.
func next(c *call, after string) string {
	q := c.r.URL.Query()
	q.Set("$skiptoken", after)
	u := url.URL{Path: c.r.URL.Path, RawQuery: q.Encode()}
	return origin(c.r) + u.String()
}

// contextOf is what an answer is described by.
func contextOf(c *call, kind string) string { return origin(c.r) + "/v1.0/$metadata#" + kind }

// entity writes one object.
func (c *call) entity(status int, kind string, o object) error {
	o = pick(o, selected(c.r.URL.Query()))
	o["@odata.context"] = contextOf(c, kind+"/$entity")
	if id, ok := o["id"].(string); ok && status == http.StatusCreated {
		c.w.Header().Set("Location", origin(c.r)+"/v1.0/"+kind+"/"+id)
	}
	return web.WriteJSON(c.w, status, o)
}

// nothing is the answer to what changed something and has nothing to say.
func (c *call) nothing() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// body reads a JSON object's properties.
func (c *call) body() (*properties, error) {
	raw, err := web.ReadBody(c.w, c.r, maxBody)
	if err != nil {
		return nil, err
	}
	p := &properties{}
	if err := json.Unmarshal(raw, &p.left); err != nil || p.left == nil {
		return nil, fault.New(fault.Invalid, "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	return p, nil
}

// properties are those of a body, taken one by one. What nobody takes is refused, unless it says nothing: a property that
// is not kept must not look as if it were.
type properties struct {
	left map[string]json.RawMessage
	bad  error
}

// take reads a property into a value; ok is false where it is absent or null.
func (p *properties) take(name string, into any) (ok bool) {
	raw, ok := p.left[name]
	delete(p.left, name)
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil && p.bad == nil {
		p.bad = fault.New(fault.Invalid, "Invalid value specified for property '%.60s' of the resource.", name)
	}
	return true
}

// within opens a property that is an object; one that is absent has nothing in it.
func (p *properties) within(name string) *properties {
	inner := &properties{}
	p.take(name, &inner.left)
	return inner
}

// ignore lets properties be that follow from others here.
func (p *properties) ignore(names ...string) {
	for _, n := range names {
		delete(p.left, n)
	}
}

// done tells what was wrong with the properties, and with those of the objects within. Errors: fault.Invalid.
func (p *properties) done(inner ...*properties) error {
	for _, each := range append([]*properties{p}, inner...) {
		if each.bad != nil {
			return each.bad
		}
		for name, raw := range each.left {
			if !strings.HasPrefix(name, "@odata.") && !empty(raw) {
				return fault.New(fault.Invalid, "The property '%.60s' is not kept in this directory: leave it out.", name)
			}
		}
	}
	return nil
}

// empty tells whether a value says nothing: null, false, or an object or list of nothing else.
func empty(raw json.RawMessage) bool {
	var v any
	return json.Unmarshal(raw, &v) == nil && emptyValue(v)
}

func emptyValue(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, each := range v {
			if !emptyValue(each) {
				return false
			}
		}
		return true
	}
	return false
}
