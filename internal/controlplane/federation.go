package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// federationRow is whose tokens stand for a managed identity.
func (f *Face) federationRow() *row {
	return &row{provider: arm.Identity, types: "userAssignedIdentities/federatedIdentityCredentials", verbs: map[string]handler{
		list: listFederated, http.MethodGet: getFederated, http.MethodPut: putFederated, http.MethodDelete: deleteFederated,
	}}
}

type federatedWire struct {
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Type       string              `json:"type"`
	Properties federatedProperties `json:"properties"`
}

type federatedProperties struct {
	Issuer    string   `json:"issuer"`
	Subject   string   `json:"subject"`
	Audiences []string `json:"audiences"`
}

func wireFederated(identity resource.Kept[acr.ManagedIdentity], f acr.FederatedCredential) federatedWire {
	return federatedWire{
		identity.ID.Child("federatedIdentityCredentials", f.Name).String(), f.Name, arm.Identity + "/userAssignedIdentities/federatedIdentityCredentials",
		federatedProperties{f.Issuer, f.Subject, texts(f.Audiences)},
	}
}

// identityID is the ID of the managed identity that a path leads into.
func (c *call) identityID() arm.ID {
	id := c.path.ID()
	if above, ok := id.Parent(); ok {
		return above
	}
	return id
}

func listFederated(c *call) error {
	kept, some, err := c.opt.Resources.FederatedCredentials(c.ctx, c.identityID())
	if err != nil {
		return err
	}
	out := make([]federatedWire, len(some))
	for i, f := range some {
		out[i] = wireFederated(kept, f)
	}
	return listed(c, out, "")
}

func getFederated(c *call) error {
	kept, some, err := c.opt.Resources.FederatedCredentials(c.ctx, c.identityID())
	if err != nil {
		return err
	}
	for _, f := range some {
		if strings.EqualFold(f.Name, c.path.ID().Name()) {
			return c.write(http.StatusOK, wireFederated(kept, f))
		}
	}
	return fault.New(fault.NotFound, "The Resource '%s' was not found.", c.path.ID())
}

func putFederated(c *call) error {
	var in struct {
		Properties federatedProperties `json:"properties"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	f := acr.FederatedCredential{Name: c.path.ID().Name(), Issuer: in.Properties.Issuer, Subject: in.Properties.Subject, Audiences: in.Properties.Audiences}
	kept, created, err := c.opt.Resources.PutFederatedCredential(c.ctx, c.identityID(), f)
	if err != nil {
		return err
	}
	return c.written(created, wireFederated(kept, f))
}

func deleteFederated(c *call) error {
	existed, err := c.opt.Resources.DeleteFederatedCredential(c.ctx, c.identityID(), c.path.ID().Name())
	if err != nil {
		return err
	}
	return c.deleted(existed)
}
