package acr

import (
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// DeletedRegistry is a registry that was deleted and can still be restored. Its contents stay on its row, its secrets where they
// are; what lay in it and what was assigned on it is parked under its UID. Its name is anybody's.
type DeletedRegistry struct {
	ID        string    `json:"id"`     // it had, and will have again
	Number    int64     `json:"number"` // of its row
	Registry  Registry  `json:"registry"`
	DeletedAt time.Time `json:"deletedAt"`
	PurgeAt   time.Time `json:"purgeAt"` // it is removed for good
	DeletedBy string    `json:"deletedBy"`
	DeletedAs string    `json:"deletedAs"` // as in SystemData
}

// DeletedRegistryID is where a deleted registry is kept, by its UID: others may have its name, deleted ones too.
func DeletedRegistryID(uid string) arm.ID { return arm.Tenant(arm.Provider, "deletedRegistries", uid) }

// ResourceType names the documents.
func (DeletedRegistry) ResourceType() string { return "deletedRegistries" }

// Validate checks what is needed to restore the registry, and to find what is left of it.
func (d DeletedRegistry) Validate() error {
	if d.ID == "" || d.Registry.UID == "" || d.Number == 0 || d.PurgeAt.Before(d.DeletedAt) {
		return fault.New(fault.Internal, "deleted registry %.60q lacks an ID, a UID or a row, or is to be purged before it was deleted", d.Registry.Name)
	}
	return nil
}

// RetiredName is the name of the row of a registry that was deleted: no registry's.
func RetiredName(uid string) string { return "deleted/" + uid }
