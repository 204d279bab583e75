package controlplane

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/resource"
)

// document is how a kind of resource is kept below and shown here.
type document[R acr.Resource] struct {
	kind   *resource.Kind[R]
	row    row
	encode func(c *call, kept resource.Kept[R]) any
	// decode takes the body over: members that are absent stay as they are, null ones get what a new resource has.
	decode func(c *call, r *R, isNew bool) error
	gone   deletion
	id     func(c *call) arm.ID // nil: the path's
	parent func(c *call) string // of a list; nil: what the path says
}

// rowOf makes the row of a kind with what all of them can: GET, LIST, PUT, PATCH, DELETE.
func rowOf[R acr.Resource](d document[R]) *row {
	if d.id == nil {
		d.id = func(c *call) arm.ID { return c.path.ID() }
	}
	if d.parent == nil {
		d.parent = func(c *call) string {
			if len(c.path.Names) == 0 {
				return c.path.Scope
			}
			return c.path.ID().String()
		}
	}
	r := d.row
	r.verbs = map[string]handler{
		http.MethodGet: d.get, list: d.list, http.MethodDelete: d.delete,
		http.MethodPut:   func(c *call) error { return d.put(c, resource.CreateOrUpdate) },
		http.MethodPatch: func(c *call) error { return d.put(c, resource.UpdateOnly) },
	}
	for verb, do := range d.row.verbs {
		r.verbs[verb] = do
	}
	r.page = d.page
	return &r
}

func (d document[R]) page(c *call, parent, after string) ([]any, string, error) {
	kept, more, err := d.kind.List(c.ctx, parent, resource.Page{After: after})
	out := make([]any, len(kept))
	for i, k := range kept {
		out[i] = d.encode(c, k)
	}
	return out, more, err
}

// deletion is how a removal is answered that is done when it is answered (control plane, section 2.5). What is not there
// answers 204 with all, and what takes longer 202.
type deletion int

// Ways to answer a removal.
const (
	goneOK       deletion = iota // 200
	goneAccepted                 // 202 and where to ask how it ended, for clients that take no 200
)

func (d document[R]) get(c *call) error {
	kept, err := d.kind.Get(c.ctx, d.id(c))
	if err != nil {
		return err
	}
	tag := kept.ETag()
	if tag != "" && slices.Contains(tags(c.r.Header["If-None-Match"]), tag) {
		c.w.Header().Set("ETag", tag)
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	c.tag(tag)
	return c.write(http.StatusOK, d.encode(c, kept))
}

// tag says which state of a resource is answered.
func (c *call) tag(etag string) {
	if etag != "" {
		c.w.Header()["Etag"] = []string{etag}
	}
}

// match reads the conditions of a change.
func (c *call) match() resource.Match {
	return resource.Match{If: tags(c.r.Header["If-Match"]), Unless: tags(c.r.Header["If-None-Match"])}
}

// tags reads a list of ETags. A weak one names the same state here as the strong one.
func tags(lines []string) (out []string) {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

func (d document[R]) list(c *call) error {
	kept, more, err := d.kind.List(c.ctx, d.parent(c), c.page())
	if err != nil {
		return err
	}
	out := make([]any, len(kept))
	for i, k := range kept {
		out[i] = d.encode(c, k)
	}
	return listed(c, out, more)
}

func (d document[R]) put(c *call, how resource.How) error {
	kept, created, err := d.kind.PutIf(c.ctx, d.id(c), how, c.match(), func(r *R, isNew bool) error { return d.decode(c, r, isNew) })
	if err != nil {
		return err
	}
	c.tag(kept.ETag())
	if o := kept.Operation; o != nil && !o.Status.Ended() {
		c.poll(o)
		created = true
	}
	return c.written(created, d.encode(c, kept))
}

func (d document[R]) delete(c *call) error {
	removed, err := d.kind.Remove(c.ctx, d.id(c), resource.Removal{Match: c.match(), Tracked: d.gone == goneAccepted})
	if err != nil {
		return err
	}
	if o := removed.Operation; o != nil && (d.gone == goneAccepted || !o.Status.Ended()) {
		return c.accepted(o)
	}
	return c.deleted(removed.Existed)
}

// systemData is who made a resource, on the wire.
type systemData struct {
	CreatedBy          string `json:"createdBy"`
	CreatedByType      string `json:"createdByType"`
	CreatedAt          string `json:"createdAt"`
	LastModifiedBy     string `json:"lastModifiedBy"`
	LastModifiedByType string `json:"lastModifiedByType"`
	LastModifiedAt     string `json:"lastModifiedAt"`
}

func wireSystem(d acr.SystemData) *systemData {
	if d.CreatedAt.IsZero() {
		return nil
	}
	return &systemData{d.CreatedBy, d.CreatedAs, wireTime(d.CreatedAt), d.ModifiedBy, d.ModifiedAs, wireTime(d.ModifiedAt)}
}

// wireTime has seven digits behind the second, as the real service's times.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

func wireTags(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// succeeded is the provisioning state of what is done when it is answered.
const succeeded = "Succeeded"
