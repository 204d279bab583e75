package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// SystemData says who made a resource and who changed it last.
type SystemData struct {
	CreatedBy  string    `json:"createdBy"` // a user's name, else a client ID, or system:…
	CreatedAs  string    `json:"createdByType"`
	CreatedAt  time.Time `json:"createdAt"`
	ModifiedBy string    `json:"lastModifiedBy"`
	ModifiedAs string    `json:"lastModifiedByType"`
	ModifiedAt time.Time `json:"lastModifiedAt"`
}

// What SystemData calls those who make resources.
const (
	ByUser        = "User"
	ByApplication = "Application"
)

// ResourceGroup is a named part of a subscription, in which registries lie.
type ResourceGroup struct {
	Name      string            `json:"name"`     // as created; compared without regard to case
	Location  string            `json:"location"` // what its resources get that name none
	Tags      map[string]string `json:"tags,omitempty"`
	ManagedBy string            `json:"managedBy,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
	UpdatedAt time.Time         `json:"updatedAt"`

	Provisioning Provisioning `json:"provisioning,omitzero"`
}

// Provisions points to how far the group's removal is.
func (g *ResourceGroup) Provisions() *Provisioning { return &g.Provisioning }

// ResourceGroupID is where a group is kept.
func ResourceGroupID(subscription, name string) arm.ID {
	return arm.ID{Subscription: subscription, Provider: arm.Resources, Types: []string{"resourceGroups"}, Names: []string{name}}
}

func (ResourceGroup) ResourceType() string { return "Microsoft.Resources/resourceGroups" }

// Validate checks the name and the tags.
func (g ResourceGroup) Validate() error {
	ok := len(g.Name) >= 1 && len(g.Name) <= 90 && !strings.HasSuffix(g.Name, ".")
	for i := 0; ok && i < len(g.Name); i++ {
		ok = alphanumeric(g.Name[i]) || strings.IndexByte("._-()", g.Name[i]) >= 0
	}
	if !ok {
		return fault.New(fault.Invalid, "resource group name %.100q is not valid: use 1 to 90 letters, digits and ._-(), without a dot at the end", g.Name)
	}
	return first(CheckLocation(g.Location), checkTags("resource group "+g.Name, g.Tags))
}

// DefaultLocation is where resources are that name no other region.
const DefaultLocation = "local"

// CleanLocation is a location as it is compared and shown: East US is eastus.
func CleanLocation(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}

// CheckLocation holds a location, as CleanLocation gives it, against the grammar: a region is a name, wherever the server
// stands. Errors: Invalid.
func CheckLocation(location string) error {
	ok := len(location) >= 2 && len(location) <= 50
	for i := 0; ok && i < len(location); i++ {
		c := location[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
	}
	if !ok {
		return fault.New(fault.Invalid, "location %.60q is not valid: use 2 to 50 letters and digits, such as %s", location, DefaultLocation)
	}
	return nil
}
