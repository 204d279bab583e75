package acr

import (
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Policies of a registry. The zero value is what a new one has.
type Policies struct {
	Quarantine bool      `json:"quarantine,omitempty"` // what is pushed is not pulled until it has passed
	Trust      bool      `json:"trust,omitempty"`      // content trust
	ExportOff  bool      `json:"exportOff,omitempty"`  // nothing leaves the registry but by pulls inside its network
	Retention  AgePolicy `json:"retention,omitzero"`   // of manifests without a tag
	SoftDelete AgePolicy `json:"softDelete,omitzero"`
}

// AgePolicy acts on what has reached an age.
type AgePolicy struct {
	Enabled   bool      `json:"enabled,omitempty"`
	Age       *int      `json:"days,omitempty"`     // days; nil: DefaultAge
	UpdatedAt time.Time `json:"updatedAt,omitzero"` // when it was changed last; zero: never
}

// DefaultAge in days is that of both age policies.
const DefaultAge = 7

// Days is the age.
func (p AgePolicy) Days() int {
	if p.Age == nil {
		return DefaultAge
	}
	return *p.Age
}

// Same tells whether two policies ask for the same.
func (p AgePolicy) Same(o AgePolicy) bool { return p.Enabled == o.Enabled && p.Days() == o.Days() }

// Bounds of the age policies, in days.
const (
	maxRetention  = 365
	minSoftDelete = 1
	maxSoftDelete = 90
)

func (r Registry) validatePolicies() error {
	p := r.Policies
	if days := p.Retention.Days(); days < 0 || days > maxRetention {
		return fault.New(fault.Invalid, "registry %s: the retention policy cannot have %d days: use 0 to %d", r.Name, days, maxRetention)
	}
	if days := p.SoftDelete.Days(); days < minSoftDelete || days > maxSoftDelete {
		return fault.New(fault.Invalid, "registry %s: the soft delete policy cannot have %d retention days: use %d to %d", r.Name, days, minSoftDelete, maxSoftDelete)
	}
	if p.ExportOff && !r.PublicDisabled {
		return fault.New(fault.Invalid, "registry %s: exports can be disabled only while public network access is: set publicNetworkAccess to Disabled as well", r.Name)
	}
	if p.Trust && r.RegionalEndpoints {
		return fault.New(fault.Invalid, "registry %s: content trust and regional endpoints exclude each other: enable one of them", r.Name)
	}
	return nil
}
