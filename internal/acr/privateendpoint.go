package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// PrivateEndpointConnection is the resource "privateEndpointConnections" of a registry: somebody's private endpoint that
// leads to it, or would.
type PrivateEndpointConnection struct {
	Name        string           `json:"name"`
	Endpoint    string           `json:"endpoint,omitempty"` // the private endpoint's resource ID
	Status      ConnectionStatus `json:"status"`
	Description string           `json:"description,omitempty"`
	Recreate    bool             `json:"recreate,omitempty"` // the endpoint has to be made anew
	CreatedAt   time.Time        `json:"createdAt"`
	System      SystemData       `json:"systemData,omitzero"`
}

// ConnectionStatus is what the registry's owner has decided on a connection.
type ConnectionStatus string

// States of connections.
const (
	ConnectionPending      ConnectionStatus = "Pending"
	ConnectionApproved     ConnectionStatus = "Approved"
	ConnectionRejected     ConnectionStatus = "Rejected"
	ConnectionDisconnected ConnectionStatus = "Disconnected"
)

func (PrivateEndpointConnection) ResourceType() string {
	return "registries/privateEndpointConnections"
}

// PrivateEndpointType is the type of private endpoints themselves.
const PrivateEndpointType = "Microsoft.Network/privateEndpoints"

// Bounds of a connection's members.
const maxConnectionText = 1024

// Validate checks the name, the endpoint's ID and the state.
func (p PrivateEndpointConnection) Validate() error {
	if err := connectionNames.check(p.Name); err != nil {
		return err
	}
	what := "private endpoint connection " + p.Name
	if p.Endpoint != "" {
		id, err := arm.ParseID(p.Endpoint)
		if err != nil || !strings.EqualFold(id.Provider+"/"+id.Type(), PrivateEndpointType) {
			return fault.New(fault.Invalid, "%s: %.200q is not the ID of a private endpoint: write it like "+
				"/subscriptions/{id}/resourceGroups/{group}/providers/%s/{name}", what, p.Endpoint, PrivateEndpointType)
		}
	}
	switch p.Status {
	case ConnectionPending, ConnectionApproved, ConnectionRejected, ConnectionDisconnected:
	default:
		return fault.New(fault.Invalid, "%s: status %.40q is not %s, %s, %s or %s", what, p.Status,
			ConnectionPending, ConnectionApproved, ConnectionRejected, ConnectionDisconnected)
	}
	if len(p.Description) > maxConnectionText {
		return fault.New(fault.Invalid, "%s: the description has more than %d characters", what, maxConnectionText)
	}
	return nil
}
