package controlplane

import (
	"net/http"
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
	return &r
}

func (d document[R]) get(c *call) error {
	kept, err := d.kind.Get(c.ctx, d.id(c))
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, d.encode(c, kept))
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
	kept, created, err := d.kind.Put(c.ctx, d.id(c), how, func(r *R, isNew bool) error { return d.decode(c, r, isNew) })
	if err != nil {
		return err
	}
	return c.written(created, d.encode(c, kept))
}

func (d document[R]) delete(c *call) error {
	existed, err := d.kind.Delete(c.ctx, d.id(c))
	if err != nil {
		return err
	}
	return c.deleted(existed)
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

// succeeded is the provisioning state of everything: changes are done when they are answered.
const succeeded = "Succeeded"
