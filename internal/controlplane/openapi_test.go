package controlplane_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// Every operation that the service's published documents tell of is answered as they say, in each of their versions: what
// is valid is taken and answered as it was sent, each member that is broken is refused in the documented envelope, and all
// answers are of their schemas. What is otherwise stands in the tables of openapicase_test.go, with why.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	specs := readSpecs(t)
	if len(specs) != 10 {
		t.Fatalf("%d documents", len(specs))
	}
	c := &clock{}
	c.at = beginning
	s := start(t, c, metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{Now: c.now}))
	p := &probe{server: s, broken: map[string]bool{}, used: map[string]bool{}}
	for i, one := range specs {
		p.spec, p.registry = one, fmt.Sprintf("spec%04d", i)
		p.journey()
	}
	p.settle()
}

// probe goes through the operations of one document after the other.
type probe struct {
	*server
	spec     *spec
	registry string
	served   map[string]bool // operations of the document
	broken   map[string]bool // bodies whose members were broken already
	used     map[string]bool // entries of the tables
	requests int
}

// errorf tells of something that is not as the document says, unless a table knows of it.
func (p *probe) errorf(of, how, path, format string, args ...any) {
	p.Helper()
	for _, known := range exceptions {
		if known.how == how && strings.HasPrefix(of, known.of) && strings.HasSuffix("."+path, "."+known.path) {
			p.used[known.of+how+known.path] = true
			return
		}
	}
	p.Errorf("%s: %s: %s %s: %s", p.spec.name, of, how, path, fmt.Sprintf(format, args...))
}

// journey makes, reads, changes and deletes one resource of each kind.
func (p *probe) journey() {
	p.served = map[string]bool{}
	paths := p.paths()
	for _, path := range paths {
		switch noun(path) {
		case "runs":
			p.keepRun()
		case "connectedRegistries":
			p.token(scopeR+p.registry, "specclient", "repositories/app/content/read")
		}
		p.resource(path)
	}
	for _, name := range slices.Sorted(maps.Keys(p.spec.operations)) {
		if o := p.spec.operations[name]; o.Method == http.MethodPost {
			for _, f := range p.fillers(o) {
				p.act(o, f)
			}
		}
	}
	slices.Reverse(paths)
	for _, path := range paths {
		p.remove(path)
	}
	for name := range p.spec.operations {
		if !p.served[name] {
			p.errorf(name, "not served", "", "the operation was not called")
		}
	}
}

// paths are those of resources, each behind what it needs.
func (p *probe) paths() []string {
	var out []string
	for _, o := range p.spec.operations {
		if o.Method != http.MethodPost && strings.HasSuffix(o.Path, "}") && !slices.Contains(out, o.Path) {
			out = append(out, o.Path)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return slices.Index(typeOrder, noun(a)) - slices.Index(typeOrder, noun(b)) })
	if !strings.HasSuffix(out[0], "/registries/{registryName}") { // a document of tasks alone
		p.want(201, "PUT", scopeR+p.registry, premium(object{"dataEndpointEnabled": true}))
	}
	return out
}

// keepRun writes a run as what executes runs does.
func (p *probe) keepRun() {
	p.Helper()
	run := acr.Run{ID: "cf1", Status: acr.RunQueued, Type: "QuickBuild", CreatedAt: p.now(), UpdatedAt: p.now()}
	p.ok(p.db.Update(p.Context(), func(tx *meta.Tx) error {
		return meta.Put(tx, arm.Registry(subscription, "acre", p.registry).Child("runs", run.ID), run, 0)
	}))
}

// noun is the type that a path ends in.
func noun(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if !strings.HasPrefix(parts[i], "{") {
			return parts[i]
		}
	}
	return path
}

// at is a path of the document with names in it.
func (p *probe) at(path string) string {
	path = strings.Replace(path, "G/", scopeG+"/", 1)
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch part {
		case "{subscriptionId}":
			parts[i] = subscription
		case "{resourceGroupName}":
			parts[i] = "acre"
		case "{registryName}":
			parts[i] = p.registry
		default:
			if strings.HasPrefix(part, "{") {
				parts[i] = pathNames[part]
			}
		}
	}
	return strings.Join(parts, "/")
}

// given is a value that a schema cannot tell, for a member of a body.
func (p *probe) given(of string, method string) func(string) (any, bool) {
	return func(path string) (any, bool) {
		leaf := path[strings.LastIndex(path, ".")+1:]
		for _, key := range []string{method + " " + of + " " + path, of + " " + path, path, "…" + leaf} {
			if v, ok := bodyValues[key]; ok {
				return p.filled(v), true
			}
		}
		return nil, false
	}
}

// filled is a value of the table with the registry's ID in it.
func (p *probe) filled(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "{R}", scopeR+p.registry)
	case object:
		out := object{}
		for name, one := range v {
			out[p.filled(name).(string)] = p.filled(one)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.filled(v[i])
		}
		return out
	}
	return v
}

// operation is one of the document by its method and path.
func (p *probe) operation(method, path string) (fact, bool) {
	for _, o := range p.spec.operations {
		if o.Method == method && strings.EqualFold(o.Path, path) {
			return o, true
		}
	}
	return fact{}, false
}

// call sends a request, and holds the answer against what the document says.
func (p *probe) call(o fact, at string, body any) (answer, any) {
	p.Helper()
	p.served[o.Operation] = true
	p.requests++
	got := p.do(o.Method, at+"?api-version="+p.spec.version, body)
	if got.status >= 400 {
		return got, nil
	}
	name, ok := o.Answers[fmt.Sprint(got.status)]
	if !ok {
		p.errorf(o.Operation, "status", "", "answered with %d, want one of %v", got.status, slices.Sorted(maps.Keys(o.Answers)))
	}
	var doc any
	if name == "" {
		return got, nil
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		p.errorf(o.Operation, "body", "", "%v in %s", err, got.body)
		return got, nil
	}
	for _, wrong := range p.spec.check(p.spec.named(name), doc, "") {
		where, _, _ := strings.Cut(wrong, ": ")
		p.errorf(o.Operation, "answer", where, "%s", wrong)
	}
	return got, doc
}

// envelope holds a refusal against the documented shape of errors.
func (p *probe) envelope(key string, got answer) {
	p.Helper()
	var e struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(got.body), &e); err != nil || e.Error.Code == "" || e.Error.Message == "" || got.status >= 500 || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		p.errorf(key, "envelope", "", "%d %s", got.status, got.body)
	}
	for _, wrong := range p.spec.check(&schema{Ref: "ErrorResponse"}, decoded(got.body), "") {
		p.errorf(key, "envelope", "", "%s in %s", wrong, got.body)
	}
}

func decoded(text string) (v any) {
	_ = json.Unmarshal([]byte(text), &v) // what is no JSON is nil, which no schema takes
	return v
}

// resource makes a resource, reads it alone and in its lists, and changes it.
func (p *probe) resource(path string) {
	p.Helper()
	at := p.at(path)
	read, _ := p.operation(http.MethodGet, path)
	if o, ok := p.operation(http.MethodPut, path); ok && notYet[o.Operation] != "" {
		p.nothing(o, read, path)
		return
	} else if ok {
		for _, f := range p.fillers(o) {
			p.make(o, at, f)
		}
	}
	if got, _ := p.call(read, at, nil); got.status != http.StatusOK {
		p.errorf(read.Operation, "get", "", "%d %s", got.status, got.body)
	}
	for _, o := range p.spec.operations {
		if o.Method == http.MethodGet && p.lists(o, path) {
			p.list(o)
		}
	}
	if o, ok := p.operation(http.MethodPatch, path); ok {
		for _, f := range p.fillers(o) {
			p.change(o, at, f)
		}
	}
}

// nothing is resource for a type of which none can be made.
func (p *probe) nothing(o, read fact, path string) {
	p.Helper()
	p.act(o, p.fillers(o)[0])
	if got, _ := p.call(read, p.at(path), nil); got.status != http.StatusNotFound {
		p.errorf(read.Operation, "get", "", "%d %s", got.status, got.body)
	}
	above, _ := cutLast(path)
	all, _ := p.operation(http.MethodGet, above)
	if got, doc := p.call(all, p.at(above), nil); got.status != http.StatusOK || len(at(doc, "value").([]any)) != 0 {
		p.errorf(all.Operation, "list", "", "%d %s", got.status, got.body)
	}
	if change, ok := p.operation(http.MethodPatch, path); ok {
		p.act(change, p.fillers(change)[0])
	}
}

// lists tells whether an operation lists resources of a path, or things in them that are no resources.
func (p *probe) lists(o fact, path string) bool {
	above, last := cutLast(path)
	_, isOwn := cutLast(o.Path)
	return o.Path == above || strings.HasPrefix(last, "{registry") && (isOwn == "registries" || isOwn == "operations" || isOwn == "listUsages")
}

func cutLast(path string) (above, last string) {
	i := strings.LastIndex(path, "/")
	return path[:max(i, 0)], path[i+1:]
}

func (p *probe) list(o fact) {
	p.Helper()
	got, doc := p.call(o, p.at(o.Path), nil)
	if list, _ := at(doc, "value").([]any); got.status != http.StatusOK || len(list) == 0 {
		p.errorf(o.Operation, "list", "", "%d %s", got.status, got.body)
	}
}

// fillers make valid bodies of an operation, one for each variant.
func (p *probe) fillers(o fact) []filler {
	f := filler{spec: p.spec, given: p.given(noun(o.Path), o.Method)}
	if o.Body == "" {
		return []filler{f}
	}
	var out []filler
	for _, name := range p.choices(&schema{Ref: o.Body}, 0) {
		f.variant = name
		out = append(out, f)
	}
	if out == nil {
		out = []filler{f}
	}
	return out
}

// choices are the values of a discriminator somewhere in a body.
func (p *probe) choices(of *schema, depth int) []string {
	if names := p.spec.variants(of); len(names) > 0 {
		return slices.Sorted(maps.Keys(names))
	}
	for _, member := range p.spec.whole(of, "").Properties {
		if names := p.choices(member, depth+1); depth < 4 && !member.ReadOnly && names != nil {
			return names
		}
	}
	return nil
}

// title names a case in errors and in the table of exceptions.
func (f filler) title(o fact) string {
	return strings.TrimSuffix(o.Operation+" "+f.variant, " ")
}

// make creates a resource that was not there with a valid body, once with each member of it broken, and once more.
func (p *probe) make(o fact, at string, f filler) {
	p.Helper()
	key := f.title(o)
	if o.Body == "" {
		if got, _ := p.call(o, at, nil); got.status >= 300 {
			p.errorf(key, "made", "", "%d %s", got.status, got.body)
		}
		return
	}
	of := &schema{Ref: o.Body}
	body := f.fill(of, "")
	make := func(body any) answer {
		p.Helper()
		got, doc := p.call(o, at, body)
		if got.status >= 300 {
			p.errorf(key, "made", "", "%d %s\nfor %s", got.status, got.body, jsonText(body))
			return got
		}
		p.settled(o, got)
		for _, wrong := range p.spec.echoed(p.spec.named(o.Answers["200"]), body, doc, "") {
			where, _, _ := strings.Cut(wrong, ": ")
			p.errorf(key, "echo", where, "%s", wrong)
		}
		return got
	}
	if once := key + p.spec.print(of); !p.broken[once] {
		p.broken[once] = true
		if got := make(body); got.status < 300 {
			p.gone(at)
			p.breakEach(o, at, f, body)
			p.tolerated(o, at, f, body)
		}
	} else {
		p.gone(at)
	}
	make(body)
}

// settled waits for what goes on behind an answer.
func (p *probe) settled(o fact, got answer) {
	p.Helper()
	if got.header.Get("Azure-AsyncOperation")+got.header.Get("Location") != "" {
		p.work()
	}
}

// gone removes a resource that may be there.
func (p *probe) gone(at string) {
	p.Helper()
	p.requests++
	got := p.do("DELETE", at+"?api-version="+p.spec.version, nil)
	if got.status >= 300 {
		p.Errorf("%s: DELETE %s: %d %s", p.spec.name, at, got.status, got.body)
	}
	if got.status == http.StatusAccepted {
		p.work()
	}
}

// breakEach sends a body with each member of it broken in each way.
func (p *probe) breakEach(o fact, at string, f filler, body any) {
	p.Helper()
	for _, b := range f.breaks(&schema{Ref: o.Body}, body) {
		of := f.title(o)
		p.requests++
		got := p.do(o.Method, at+"?api-version="+p.spec.version, b.body)
		switch {
		case got.status < 300 && o.Method == http.MethodPut:
			p.gone(at)
		case got.status >= 300:
			p.envelope(of, got)
		}
		switch {
		case got.status >= 500, b.how == optionalNull && got.status >= 300 && !p.needed(o, at, f, b):
			p.errorf(of, b.how, b.path, "%d %s\nfor %s", got.status, got.body, jsonText(b.body))
		case b.how != optionalNull && got.status < 300:
			p.errorf(of, b.how, b.path, "%d for %s", got.status, jsonText(b.body))
		}
	}
	p.requests++
	huge := with(body, []any{"unknown"}, strings.Repeat("x", 4<<20))
	if got := p.do(o.Method, at+"?api-version="+p.spec.version, huge); got.status != http.StatusRequestEntityTooLarge {
		p.errorf(f.title(o), "oversize", "", "%d %.200s", got.status, got.body)
	}
}

// needed tells whether a member that was refused as null must be there all the same: a PUT without it is refused, too, and a
// resource cannot be without what its PUT requires.
func (p *probe) needed(o fact, at string, f filler, b change) bool {
	p.Helper()
	if o.Method == http.MethodPatch {
		whole, ok := p.operation(http.MethodPut, o.Path)
		return ok && f.required(&schema{Ref: whole.Body}, b.path)
	}
	p.requests++
	return p.do(o.Method, at+"?api-version="+p.spec.version, b.without).status >= 400
}

// tolerated sends members that are not known or may only be read: they are left out.
func (p *probe) tolerated(o fact, at string, f filler, body any) {
	p.Helper()
	of := &schema{Ref: o.Body}
	readOnly := f.readOnly(of, 0)
	sent := with(over(readOnly, body), []any{"unknown"}, object{"member": []any{1, "two"}})
	got, doc := p.call(o, at, sent)
	if got.status >= 300 {
		p.errorf(f.title(o), "read-only and unknown members", "", "%d %s\nfor %s", got.status, got.body, jsonText(sent))
		return
	}
	p.settled(o, got)
	if strings.Contains(got.body, `"unknown"`) {
		p.errorf(f.title(o), "unknown echoed", "", "%s", got.body)
	}
	for path, v := range leaves(readOnly, "") {
		if back := look(doc, path); back == v && (v == anyText || v == anyTime) {
			p.errorf(f.title(o), "read-only", path, "is taken over: %v", v)
		}
	}
	if o.Method == http.MethodPut {
		p.gone(at)
	}
}

// leaves are the strings in a value, by their paths.
func leaves(v any, path string) map[string]any {
	out := map[string]any{}
	switch v := v.(type) {
	case object:
		for name, one := range v {
			maps.Copy(out, leaves(one, join(path, name)))
		}
	case string:
		out[path] = v
	}
	return out
}

// change is make for an operation that changes what is there.
func (p *probe) change(o fact, at string, f filler) {
	p.Helper()
	of, key := &schema{Ref: o.Body}, f.title(o)
	body := f.fill(of, "")
	change := func() bool {
		p.Helper()
		got, doc := p.call(o, at, body)
		if got.status >= 300 {
			p.errorf(key, "changed", "", "%d %s\nfor %s", got.status, got.body, jsonText(body))
			return false
		}
		p.settled(o, got)
		for _, wrong := range p.spec.echoed(p.spec.named(o.Answers["200"]), body, doc, "") {
			where, _, _ := strings.Cut(wrong, ": ")
			p.errorf(key, "echo", where, "%s", wrong)
		}
		return true
	}
	once := key + p.spec.print(of)
	if !change() || p.broken[once] {
		return
	}
	p.broken[once] = true
	p.breakEach(o, at, f, body)
	p.tolerated(o, at, f, body)
	change()
}

// act does what is no change of a resource.
func (p *probe) act(o fact, f filler) {
	p.Helper()
	key, at := f.title(o), p.at(o.Path)
	var body any
	if o.Body != "" {
		body = f.fill(&schema{Ref: o.Body}, "")
	}
	got, _ := p.call(o, at, body)
	if code := notYet[o.Operation]; code != "" {
		p.used[o.Operation] = true
		p.envelope(key, got)
		if said, _ := look(decoded(got.body), "error.code").(string); said != code {
			p.Errorf("%s: %s answers %d %s, want %s, as the table of what is not there yet says", p.spec.name, key, got.status, got.body, code)
		}
		return
	}
	if got.status >= 300 {
		p.errorf(key, "done", "", "%d %s\nfor %s", got.status, got.body, jsonText(body))
		return
	}
	p.settled(o, got)
	once := key + p.spec.print(&schema{Ref: o.Body})
	if o.Body != "" && !p.broken[once] {
		p.broken[once] = true
		p.breakEach(o, at, f, body)
	}
}

// remove deletes a resource, twice: there is nothing, then.
func (p *probe) remove(path string) {
	p.Helper()
	o, ok := p.operation(http.MethodDelete, path)
	if !ok {
		return
	}
	made, _ := p.operation(http.MethodPut, path)
	got, _ := p.call(o, p.at(path), nil)
	if got.status >= 300 || (got.status == http.StatusNoContent) != (notYet[made.Operation] != "") {
		p.errorf(o.Operation, "deleted", "", "%d %s", got.status, got.body)
	}
	if got.status == http.StatusAccepted {
		poll := p.path(got.header.Get("Location"))
		p.work()
		if got := p.do("GET", poll, nil); got.status != http.StatusOK && got.status != http.StatusNoContent {
			p.errorf(o.Operation, "poll", "", "%d %s", got.status, got.body)
		}
	}
	if got, _ := p.call(o, p.at(path), nil); got.status != http.StatusNoContent {
		p.errorf(o.Operation, "deleted again", "", "%d %s", got.status, got.body)
	}
}

// settle wants that every entry of the tables is needed.
func (p *probe) settle() {
	for _, known := range exceptions {
		if !p.used[known.of+known.how+known.path] {
			p.Errorf("the exception %+v is not needed any more: take it out", known)
		}
	}
	for key := range notYet {
		if !p.used[key] {
			p.Errorf("%s is in the table of what is not there yet, and no document has it", key)
		}
	}
	p.Logf("%d requests", p.requests)
}

func jsonText(v any) string {
	text, _ := json.Marshal(v) // made of JSON
	return string(text)
}
