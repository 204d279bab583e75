package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) privateEndpointRows() []*row {
	return []*row{
		rowOf(document[acr.PrivateEndpointConnection]{
			kind: f.opt.Resources.PrivateEndpoints, row: row{provider: arm.Provider, types: "registries/privateEndpointConnections"},
			encode: encodePrivateEndpoint, decode: decodePrivateEndpoint,
		}),
		{provider: arm.Provider, types: "registries/privateLinkResources", verbs: map[string]handler{list: listPrivateLinks, http.MethodGet: getPrivateLink}},
	}
}

type privateEndpointWire struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	SystemData *systemData `json:"systemData,omitempty"`
	Properties struct {
		Endpoint *idWire             `json:"privateEndpoint,omitempty"`
		State    connectionStateWire `json:"privateLinkServiceConnectionState"`
		Status   string              `json:"provisioningState"`
	} `json:"properties"`
}

type idWire struct {
	ID string `json:"id"`
}

type connectionStateWire struct {
	Status          string `json:"status"`
	Description     string `json:"description"`
	ActionsRequired string `json:"actionsRequired"`
}

func encodePrivateEndpoint(_ *call, kept resource.Kept[acr.PrivateEndpointConnection]) any {
	p := kept.Doc
	out := privateEndpointWire{ID: kept.ID.String(), Name: p.Name, Type: arm.Provider + "/registries/privateEndpointConnections", SystemData: wireSystem(p.System)}
	if p.Endpoint != "" {
		out.Properties.Endpoint = &idWire{p.Endpoint}
	}
	out.Properties.State = connectionStateWire{string(p.Status), p.Description, either(p.Recreate, "Recreate", "None")}
	out.Properties.Status = succeeded
	return out
}

func decodePrivateEndpoint(c *call, p *acr.PrivateEndpointConnection, _ bool) error {
	var in struct {
		Properties struct {
			Endpoint member[idWire] `json:"privateEndpoint"`
			State    member[struct {
				Status          member[string] `json:"status"`
				Description     member[string] `json:"description"`
				ActionsRequired member[string] `json:"actionsRequired"`
			}] `json:"privateLinkServiceConnectionState"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Properties.Endpoint.Set {
		p.Endpoint = in.Properties.Endpoint.Value.ID
	}
	state := in.Properties.State.Value
	if state.Status.Set {
		p.Status = acr.ConnectionStatus(spelled(state.Status.Value, string(acr.ConnectionPending), string(acr.ConnectionApproved),
			string(acr.ConnectionRejected), string(acr.ConnectionDisconnected)))
	}
	state.Description.onto(&p.Description)
	return choose(state.ActionsRequired, "privateLinkServiceConnectionState.actionsRequired", "None", "Recreate", &p.Recreate)
}

type privateLinkWire struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties struct {
		Group   string   `json:"groupId"`
		Members []string `json:"requiredMembers"`
		Zones   []string `json:"requiredZoneNames"`
	} `json:"properties"`
}

// linkGroup is the one group of addresses that a private endpoint of a registry has.
const linkGroup = "registry"

// privateLink is the group of a registry: its login server, and a data endpoint for each region that it is in.
func privateLink(c *call, registry arm.ID) (privateLinkWire, error) {
	kept, err := c.opt.Resources.Registries.Get(c.ctx, registry)
	if err != nil {
		return privateLinkWire{}, err
	}
	at, err := c.opt.Resources.Attached(c.ctx, kept)
	out := privateLinkWire{ID: registry.Child("privateLinkResources", linkGroup).String(), Name: linkGroup, Type: arm.Provider + "/registries/privateLinkResources"}
	p := &out.Properties
	p.Group, p.Members = linkGroup, []string{linkGroup}
	for _, region := range at.Regions {
		p.Members = append(p.Members, linkGroup+"_data_"+region)
	}
	p.Zones = []string{"privatelink." + c.opt.Cloud(c.r).Suffix}
	return out, err
}

func listPrivateLinks(c *call) error {
	group, err := privateLink(c, c.path.ID())
	if err != nil {
		return err
	}
	return listed(c, []privateLinkWire{group}, "")
}

func getPrivateLink(c *call) error {
	id := c.path.ID()
	above, _ := id.Parent()
	group, err := privateLink(c, above)
	if err != nil {
		return err
	}
	if !strings.EqualFold(id.Name(), linkGroup) {
		return fault.New(fault.NotFound, "The private link resource '%.100s' was not found: registries have one, '%s'.", id.Name(), linkGroup)
	}
	return c.write(http.StatusOK, group)
}
