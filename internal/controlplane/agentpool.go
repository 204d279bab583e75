package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) agentPoolRow() *row {
	return rowOf(document[acr.AgentPool]{
		kind: f.opt.Resources.AgentPools, row: row{provider: arm.Provider, types: "registries/agentPools", tracked: true, verbs: map[string]handler{"POST listqueuestatus": queueStatus}},
		encode: encodeAgentPool, decode: decodeAgentPool, gone: goneAccepted,
	})
}

type agentPoolWire struct {
	Type       string              `json:"type"`
	Properties agentPoolProperties `json:"properties"`
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Location   string              `json:"location"`
	Tags       map[string]string   `json:"tags"`
	SystemData *systemData         `json:"systemData,omitempty"`
}

type agentPoolProperties struct {
	ProvisioningState string `json:"provisioningState"`
	Count             int    `json:"count"`
	Tier              string `json:"tier"`
	OS                string `json:"os"`
	Subnet            string `json:"virtualNetworkSubnetResourceId,omitempty"`
}

func encodeAgentPool(_ *call, kept resource.Kept[acr.AgentPool]) any {
	p := kept.Doc
	return agentPoolWire{
		Type: arm.Provider + "/registries/agentPools", ID: kept.ID.String(), Name: p.Name, Location: p.Location, Tags: wireTags(p.Tags), SystemData: wireSystem(p.System),
		Properties: agentPoolProperties{p.Provisioning.Shown(), p.Count, p.Tier, p.OS, p.Subnet},
	}
}

func decodeAgentPool(c *call, p *acr.AgentPool, isNew bool) error {
	var in struct {
		Location   member[string]            `json:"location"`
		Tags       member[map[string]string] `json:"tags"`
		Properties struct {
			Count  member[int]    `json:"count"`
			Tier   member[string] `json:"tier"`
			OS     member[string] `json:"os"`
			Subnet member[string] `json:"virtualNetworkSubnetResourceId"`
		} `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if c.r.Method == http.MethodPut {
		if strings.TrimSpace(in.Location.Value) == "" {
			return fault.New(locationRequired, "The location property is required for this definition.")
		}
		p.Tags = nil
	}
	if isNew {
		p.Count = 1
	}
	if in.Location.Value != "" {
		p.Location = in.Location.Value
	}
	in.Tags.onto(&p.Tags)
	in.Properties.Count.onto(&p.Count)
	in.Properties.Tier.onto(&p.Tier)
	in.Properties.OS.onto(&p.OS)
	in.Properties.Subnet.onto(&p.Subnet)
	return nil
}

func queueStatus(c *call) error {
	n, err := c.opt.Resources.QueueStatus(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, struct {
		Count int `json:"count"`
	}{n})
}
