package controlplane

import (
	"errors"
	"net/http"

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
		groups,
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
	if err := c.opt.Resources.Sees(c.ctx, parent); err != nil {
		return err
	}
	registries, err := all(c, c.opt.Resources.Registries, parent)
	if err != nil {
		return err
	}
	identities, err := all(c, c.opt.Resources.Identities, parent)
	if err != nil {
		return err
	}
	var out []genericWire
	for _, k := range registries {
		out = append(out, genericWire{ID: k.ID.String(), Name: k.Doc.Name, Type: arm.Provider + "/registries", SKU: &skuWire{k.Doc.SKU, k.Doc.SKU},
			Location: location(k.Doc.Location), Tags: wireTags(k.Doc.Tags), SystemData: wireSystem(k.Doc.System),
			CreatedTime: wireTime(k.Doc.CreatedAt), ChangedTime: wireTime(k.Doc.System.ModifiedAt), ProvisioningState: succeeded})
	}
	for _, k := range identities {
		out = append(out, genericWire{ID: k.ID.String(), Name: k.Doc.Name, Type: arm.Identity + "/userAssignedIdentities",
			Location: location(k.Doc.Location), Tags: wireTags(k.Doc.Tags), SystemData: wireSystem(k.Doc.System),
			CreatedTime: wireTime(k.Doc.CreatedAt), ChangedTime: wireTime(k.Doc.System.ModifiedAt), ProvisioningState: succeeded})
	}
	kept := out[:0]
	for _, r := range out {
		if keep(r) {
			if c.query.Get("$expand") == "" {
				r.CreatedTime, r.ChangedTime, r.ProvisioningState = "", "", ""
			}
			kept = append(kept, r)
		}
	}
	return listed(c, kept, "")
}

// all reads every page of a list; what is below the parent and may not be read at all is left out.
func all[R acr.Resource](c *call, k *resource.Kind[R], parent string) (out []resource.Kept[R], err error) {
	for p := (resource.Page{}); ; {
		some, more, err := k.List(c.ctx, parent, p)
		if errors.Is(err, fault.Denied) {
			return out, nil
		}
		out = append(out, some...)
		if err != nil || more == "" {
			return out, err
		}
		p.After = more
	}
}

// location is where a resource is.
func location(l string) string {
	if l == "" {
		return acr.DefaultLocation
	}
	return l
}
