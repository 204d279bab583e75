package acr

import (
	"strings"
	"time"
)

// Replication is the resource registries/replications: a registry's presence in a region. One is home: the registry's own
// region, in which everything is.
type Replication struct {
	Name          string            `json:"name"`
	Location      string            `json:"location"`
	Tags          map[string]string `json:"tags,omitempty"`
	RoutingOff    bool              `json:"routingOff,omitempty"` // the registry's global name does not lead there
	ZoneRedundant bool              `json:"zoneRedundant,omitempty"`
	CreatedAt     time.Time         `json:"createdAt"`
	System        SystemData        `json:"systemData,omitzero"`
}

func (Replication) ResourceType() string { return "registries/replications" }

// MaxReplications bounds those of a registry, home included.
const MaxReplications = 100

// HomeReplication is the one that a registry has from the start.
func HomeReplication(r Registry) Replication {
	at := r.Location
	if at == "" {
		at = DefaultLocation
	}
	return Replication{Name: at, Location: at, CreatedAt: r.CreatedAt, System: r.System}
}

// Validate checks the name, the region and the tags.
func (r Replication) Validate() error {
	var err error
	if !strings.EqualFold(r.Name, r.Location) { // the name of a region is good enough, however short
		err = replicationNames.check(r.Name)
	}
	return first(err, CheckLocation(r.Location), checkTags("replication "+r.Name, r.Tags))
}
