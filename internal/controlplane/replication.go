package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) replicationRow() *row {
	return rowOf(document[acr.Replication]{
		kind: f.opt.Resources.Replications, row: row{provider: arm.Provider, types: "registries/replications", tracked: true},
		encode: encodeReplication, decode: decodeReplication,
	})
}

type replicationWire struct {
	Type       string                `json:"type"`
	ID         string                `json:"id"`
	Name       string                `json:"name"`
	Location   string                `json:"location"`
	Tags       map[string]string     `json:"tags"`
	SystemData *systemData           `json:"systemData,omitempty"`
	Properties replicationProperties `json:"properties"`
}

type replicationProperties struct {
	ProvisioningState     string            `json:"provisioningState"`
	Status                replicationStatus `json:"status"`
	RegionEndpointEnabled bool              `json:"regionEndpointEnabled"`
	ZoneRedundancy        string            `json:"zoneRedundancy"`
}

type replicationStatus struct {
	DisplayStatus string `json:"displayStatus"`
	Message       string `json:"message"`
	Timestamp     string `json:"timestamp"`
}

func encodeReplication(_ *call, kept resource.Kept[acr.Replication]) any {
	r := kept.Doc
	status := replicationStatus{"Ready", "", wireTime(r.CreatedAt)}
	if r.Location != acr.HomeReplication(kept.In.Registry).Location {
		status.DisplayStatus = "NotAvailable"
		status.Message = "Replicating contents is not available in this version: the registry is served from its home region alone."
	}
	return replicationWire{
		Type: arm.Provider + "/registries/replications", ID: kept.ID.String(), Name: r.Name, Location: r.Location, Tags: wireTags(r.Tags),
		SystemData: wireSystem(r.System), Properties: replicationProperties{succeeded, status, !r.RoutingOff, enabled(r.ZoneRedundant)},
	}
}

func decodeReplication(c *call, r *acr.Replication, isNew bool) error {
	var in struct {
		Location   member[string]            `json:"location"`
		Tags       member[map[string]string] `json:"tags"`
		Properties struct {
			RegionEndpointEnabled member[bool]   `json:"regionEndpointEnabled"`
			ZoneRedundancy        member[string] `json:"zoneRedundancy"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if c.r.Method == http.MethodPut {
		if err := needsLocation(in.Location, isNew); err != nil {
			return err
		}
		r.Tags, r.RoutingOff = nil, false
	}
	if in.Location.Value != "" {
		r.Location = in.Location.Value
	}
	in.Tags.onto(&r.Tags)
	if p := in.Properties.RegionEndpointEnabled; p.Set {
		r.RoutingOff = !p.Null && !p.Value
	}
	if in.Properties.ZoneRedundancy.Null {
		return nil // it never changes
	}
	return choose(in.Properties.ZoneRedundancy, "zoneRedundancy", "Disabled", "Enabled", &r.ZoneRedundant)
}
