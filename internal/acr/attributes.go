package acr

import (
	"encoding/json"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Locks are what a repository, a tag or a manifest is closed to; none is open to everything. The store keeps the number.
type Locks int64

// The locks, each the reverse of one of Flags.
const (
	NoDelete Locks = 1 << iota
	NoWrite
	NoList
	NoRead
)

// Flags are Locks as the data plane spells them.
type Flags struct {
	DeleteEnabled bool `json:"deleteEnabled"`
	WriteEnabled  bool `json:"writeEnabled"`
	ReadEnabled   bool `json:"readEnabled"`
	ListEnabled   bool `json:"listEnabled"`
}

// Flags spells the locks.
func (l Locks) Flags() Flags {
	return Flags{DeleteEnabled: l&NoDelete == 0, WriteEnabled: l&NoWrite == 0, ReadEnabled: l&NoRead == 0, ListEnabled: l&NoList == 0}
}

// AttributeChange is what of a repository, a tag or a manifest is to change; nil stays. Quarantine is a manifest's only.
type AttributeChange struct {
	DeleteEnabled     *bool   `json:"deleteEnabled,omitempty"`
	WriteEnabled      *bool   `json:"writeEnabled,omitempty"`
	ReadEnabled       *bool   `json:"readEnabled,omitempty"`
	ListEnabled       *bool   `json:"listEnabled,omitempty"`
	QuarantineState   *string `json:"quarantineState,omitempty"`
	QuarantineDetails *string `json:"quarantineDetails,omitempty"`
}

// Locks are what l becomes.
func (c AttributeChange) Locks(l Locks) Locks {
	for _, f := range []struct {
		enabled *bool
		lock    Locks
	}{{c.DeleteEnabled, NoDelete}, {c.WriteEnabled, NoWrite}, {c.ReadEnabled, NoRead}, {c.ListEnabled, NoList}} {
		switch {
		case f.enabled == nil:
		case *f.enabled:
			l &^= f.lock
		default:
			l |= f.lock
		}
	}
	return l
}

// Instant is a time as the data plane spells it: UTC, with seven digits of a second.
type Instant struct{ time.Time }

// MarshalJSON spells it.
func (i Instant) MarshalJSON() ([]byte, error) {
	return []byte(`"` + i.UTC().Format("2006-01-02T15:04:05.0000000Z") + `"`), nil
}

// RepositoryInfo is what the data plane tells of a repository.
type RepositoryInfo struct {
	Registry             string  `json:"registry"`
	ImageName            string  `json:"imageName"`
	CreatedTime          Instant `json:"createdTime"`
	LastUpdateTime       Instant `json:"lastUpdateTime"`
	ManifestCount        int64   `json:"manifestCount"`
	TagCount             int64   `json:"tagCount"`
	ChangeableAttributes Flags   `json:"changeableAttributes"`
}

// TagInfo is what the data plane tells of a tag.
type TagInfo struct {
	Name                 string     `json:"name"`
	Digest               oci.Digest `json:"digest"`
	CreatedTime          Instant    `json:"createdTime"`
	LastUpdateTime       Instant    `json:"lastUpdateTime"`
	Signed               bool       `json:"signed"`
	ChangeableAttributes Flags      `json:"changeableAttributes"`
}

// ManifestInfo is what the data plane tells of a manifest.
type ManifestInfo struct {
	Digest               oci.Digest      `json:"digest"`
	ImageSize            int64           `json:"imageSize"` // bytes of what it names; of an index, the sum of its children
	CreatedTime          Instant         `json:"createdTime"`
	LastUpdateTime       Instant         `json:"lastUpdateTime"`
	Architecture         string          `json:"architecture,omitempty"`
	OS                   string          `json:"os,omitempty"`
	MediaType            string          `json:"mediaType"`
	ConfigMediaType      string          `json:"configMediaType,omitempty"`
	References           json.RawMessage `json:"references,omitempty"` // an index's children: a list of Child
	Tags                 []string        `json:"tags,omitempty"`
	ChangeableAttributes ManifestFlags   `json:"changeableAttributes"`
}

// ManifestFlags are a manifest's flags, with what a scanner said of it.
type ManifestFlags struct {
	Flags
	QuarantineState   string `json:"quarantineState,omitempty"`
	QuarantineDetails string `json:"quarantineDetails,omitempty"`
}

// Child is an index's entry.
type Child struct {
	Digest       oci.Digest `json:"digest"`
	Architecture string     `json:"architecture,omitempty"`
	OS           string     `json:"os,omitempty"`
}

// Order is how tags and manifests are listed.
type Order int

// The orders: by name or digest, and by the time of the last update.
const (
	ByName Order = iota
	OldestFirst
	NewestFirst
)

// ParseOrder reads the parameter orderby. Errors: fault.Invalid.
func ParseOrder(s string) (Order, error) {
	switch s {
	case "", "none":
		return ByName, nil
	case "timeasc":
		return OldestFirst, nil
	case "timedesc":
		return NewestFirst, nil
	}
	return 0, fault.New(fault.Invalid, "orderby=%.40q is not known: give timeasc, timedesc or none", s)
}

// Listing asks for a page of tags or manifests.
type Listing struct {
	Digest oci.Digest // of tags: those that name it; "" = all
	Order  Order
	oci.Page
}
