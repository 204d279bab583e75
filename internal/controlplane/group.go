package controlplane

import (
	"errors"
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// groupRows are resource groups, and the lists of all resources.
func (f *Face) groupRows() []*row {
	groups := rowOf(document[acr.ResourceGroup]{
		kind: f.opt.Resources.Groups, row: row{provider: arm.Resources, types: "subscriptions/resourceGroups"},
		encode: encodeGroup, decode: decodeGroup,
		id:     func(c *call) arm.ID { return f.opt.Resources.GroupID(c.path.Group) },
		parent: func(*call) string { return f.opt.Resources.Scope() },
	})
	groups.verbs[http.MethodHead] = headGroup
	return []*row{
		groups, f.lockRow(), f.tagRow(), f.tagNamesRow(), f.activityRow(),
		{provider: arm.Resources, types: "subscriptions/resources", verbs: map[string]handler{list: resources}},
		{provider: arm.Resources, types: "subscriptions/resourceGroups/resources", verbs: map[string]handler{list: resources}},
	}
}

type groupWire struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	Tags       map[string]string `json:"tags"`
	Properties provisioned       `json:"properties"`
}

type provisioned struct {
	ProvisioningState string `json:"provisioningState"`
}

func encodeGroup(c *call, kept resource.Kept[acr.ResourceGroup]) any {
	g := kept.Doc
	return groupWire{c.opt.Resources.GroupScope(g.Name), g.Name, "Microsoft.Resources/resourceGroups", g.Location, g.ManagedBy, wireTags(g.Tags), provisioned{g.Provisioning.Shown()}}
}

func decodeGroup(c *call, g *acr.ResourceGroup, isNew bool) error {
	var in struct {
		Location  member[string]            `json:"location"`
		Tags      member[map[string]string] `json:"tags"`
		ManagedBy member[string]            `json:"managedBy"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if c.r.Method == http.MethodPut && in.Location.Value == "" {
		return fault.New(locationRequired, "The location property is required for this definition.")
	}
	if !isNew && !in.Tags.Set && c.r.Method == http.MethodPut {
		g.Tags = nil
	}
	in.Location.onto(&g.Location)
	in.Tags.onto(&g.Tags)
	in.ManagedBy.onto(&g.ManagedBy)
	return nil
}

// headGroup tells whether a group exists.
func headGroup(c *call) error {
	_, err := c.opt.Resources.Groups.Get(c.ctx, c.opt.Resources.GroupID(c.path.Group))
	switch {
	case errors.Is(err, fault.NotFound):
		c.w.WriteHeader(http.StatusNotFound)
	case err != nil:
		return err
	default:
		c.w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// genericWire is a resource as the list of all resources shows it.
type genericWire struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Type              string            `json:"type"`
	SKU               *skuWire          `json:"sku,omitempty"`
	Location          string            `json:"location"`
	Tags              map[string]string `json:"tags"`
	SystemData        *systemData       `json:"systemData,omitempty"`
	CreatedTime       string            `json:"createdTime,omitempty"`
	ChangedTime       string            `json:"changedTime,omitempty"`
	ProvisioningState string            `json:"provisioningState,omitempty"`
}

// resources lists what has a location, whole: clients look through it for a name.
func resources(c *call) error {
	keep, err := parseFilter(c.query.Get("$filter"))
	if err != nil {
		return err
	}
	parent := c.opt.Resources.Scope()
	if c.path.Group != "" {
		parent = c.opt.Resources.GroupScope(c.path.Group)
	}
	kind := ""
	filter, _ := terms(c.query.Get("$filter")) // it parsed a moment ago
	for _, t := range filter {
		if t.name == "resourcetype" {
			kind = t.value
		}
	}
	all, err := c.opt.Resources.Tracked(c.ctx, parent, kind)
	if err != nil {
		return err
	}
	out := make([]genericWire, len(all))
	for i, t := range all {
		out[i] = genericWire{ID: t.ID.String(), Name: strings.Join(t.ID.Names, "/"), Type: t.Type, Location: location(t.Location), Tags: wireTags(t.Tags),
			SystemData: wireSystem(t.System), CreatedTime: wireTime(t.System.CreatedAt), ChangedTime: wireTime(t.System.ModifiedAt), ProvisioningState: succeeded}
		if t.SKU != "" {
			out[i].SKU = &skuWire{t.SKU, t.SKU}
		}
		if t.State != "" {
			out[i].ProvisioningState = t.State
		}
	}
	kept := out[:0]
	for _, r := range out {
		if keep(r) {
			r.expand(c.query.Get("$expand"))
			kept = append(kept, r)
		}
	}
	kept, more, err := c.top(kept)
	if err != nil {
		return err
	}
	return listed(c, kept, more)
}

// location is where a resource is.
func location(l string) string {
	if l == "" {
		return acr.DefaultLocation
	}
	return l
}
