package controlplane

import (
	"errors"
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// deletedRegistryRows are the registries that can be restored. They are the subscription's, for their groups may be gone, and
// named by their UIDs, for others may have their names.
func (f *Face) deletedRegistryRows() []*row {
	return []*row{
		{provider: arm.Provider, types: "deletedRegistries", verbs: map[string]handler{list: deletedRegistries}},
		{provider: arm.Provider, types: "locations/deletedRegistries", verbs: map[string]handler{
			list: deletedRegistries, http.MethodGet: deletedRegistry, http.MethodDelete: purgeRegistry, "POST restore": restoreRegistry,
		}},
	}
}

type deletedRegistryWire struct {
	ID         string                    `json:"id"`
	Name       string                    `json:"name"`
	Type       string                    `json:"type"`
	Properties deletedRegistryProperties `json:"properties"`
}

type deletedRegistryProperties struct {
	RegistryID         string            `json:"registryId"`
	RegistryName       string            `json:"registryName"`
	LoginServer        string            `json:"loginServer"`
	Location           string            `json:"location"`
	SKU                skuWire           `json:"sku"`
	Tags               map[string]string `json:"tags"`
	Size               int64             `json:"size"`
	CreationDate       string            `json:"creationDate"`
	DeletionDate       string            `json:"deletionDate"`
	ScheduledPurgeDate string            `json:"scheduledPurgeDate"`
	DeletedBy          string            `json:"deletedBy"`
	DeletedByType      string            `json:"deletedByType"`
}

func encodeDeletedRegistry(c *call, d resource.DeletedRegistry) deletedRegistryWire {
	r, at := d.Registry, acr.HomeReplication(d.Registry).Location
	const kind = "deletedRegistries"
	id := arm.ID{Subscription: c.opt.Resources.Installation().Subscription, Provider: arm.Provider, Types: []string{"locations", kind}, Names: []string{at, r.UID}}
	return deletedRegistryWire{
		ID: id.String(), Name: r.UID, Type: arm.Provider + "/locations/" + kind,
		Properties: deletedRegistryProperties{
			RegistryID: d.ID, RegistryName: r.Name, LoginServer: c.opt.LoginServer(c.r.Host, r.Key()), Location: at, SKU: skuWire{r.SKU, r.SKU}, Tags: wireTags(r.Tags),
			Size: d.Size, CreationDate: wireTime(r.CreatedAt), DeletionDate: wireTime(d.DeletedAt), ScheduledPurgeDate: wireTime(d.PurgeAt),
			DeletedBy: d.DeletedBy, DeletedByType: d.DeletedAs,
		},
	}
}

// deletedRegistries lists those of a location, or all.
func deletedRegistries(c *call) error {
	location := ""
	if len(c.path.Names) > 0 {
		location = c.path.Names[0]
	}
	found, more, err := c.opt.Resources.DeletedRegistries(c.ctx, location, c.page())
	if err != nil {
		return err
	}
	out := make([]deletedRegistryWire, len(found))
	for i, d := range found {
		out[i] = encodeDeletedRegistry(c, d)
	}
	return listed(c, out, more)
}

func deletedRegistry(c *call) error {
	d, err := c.opt.Resources.DeletedRegistry(c.ctx, c.path.Names[0], c.path.Names[1])
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, encodeDeletedRegistry(c, d))
}

// restoreRegistry answers with the registry, which is there again.
func restoreRegistry(c *call) error {
	kept, err := c.opt.Resources.RestoreRegistry(c.ctx, c.path.Names[0], c.path.Names[1])
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, encodeRegistry(c, kept))
}

func purgeRegistry(c *call) error {
	err := c.opt.Resources.PurgeRegistry(c.ctx, c.path.Names[0], c.path.Names[1])
	if err != nil && !errors.Is(err, fault.NotFound) {
		return err
	}
	return c.deleted(err == nil)
}
