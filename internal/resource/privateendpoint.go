package resource

import (
	"context"
	"errors"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

func (s *Service) privateEndpoints() *Kind[acr.PrivateEndpointConnection] {
	return &Kind[acr.PrivateEndpointConnection]{
		s: s, provider: arm.Provider, types: []string{"registries", "privateEndpointConnections"},
		name:     func(p acr.PrivateEndpointConnection) string { return p.Name },
		complete: s.completePrivateEndpoint,
		check:    s.checkPrivateEndpoint,
		release:  func(*Change[acr.PrivateEndpointConnection]) error { return nil },
	}
}

// completePrivateEndpoint settles what never changes. Who decides on a connection needs the right to approve it, beside that
// to write it; a connection that was cut off stays so.
func (s *Service) completePrivateEndpoint(c *Change[acr.PrivateEndpointConnection]) error {
	p, was := &c.New, acr.ConnectionPending
	if c.Old == nil {
		p.Name, p.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
	} else if was = c.Old.Status; c.Old.Endpoint != "" {
		p.Endpoint = c.Old.Endpoint
	}
	if p.Status == "" {
		p.Status = was
	}
	if was == acr.ConnectionDisconnected && p.Status != was {
		return fault.New(wrongConnection, "The private endpoint connection '%s' is %s and cannot become %s: delete it, and make the private endpoint anew.", p.Name, was, p.Status)
	}
	joins := c.Old != nil && was == acr.ConnectionApproved && p.Endpoint != c.Old.Endpoint // what is let in is decided on, too
	if p.Status != was || joins {
		if err := control(c.ctx, c.In.ID.String(), s.Registries.Operation("privateEndpointConnectionsApproval/action")); err != nil {
			return err
		}
	}
	s.stamp(c.ctx, &p.System)
	return nil
}

// checkPrivateEndpoint holds the registry's tier against a new connection.
func (s *Service) checkPrivateEndpoint(c *Change[acr.PrivateEndpointConnection]) error {
	switch {
	case c.Old != nil:
		return nil
	case c.In.SKU != premium:
		return fault.New(wrongTier, "Private endpoints are not supported for the SKU %s of registry %s: they need Premium. "+
			"For more information on Private Link, please visit https://aka.ms/acr/private-link.", c.In.SKU, c.In.Name)
	}
	return checkLimit[acr.PrivateEndpointConnection](c.tx, c.In, "private endpoint connections", s.limits(c.In.SKU).PrivateEndpoints)
}

// Attached is what lies in a registry and stands in the registry's own body.
type Attached struct {
	Regions     []string // where it is, home first
	Connections []Kept[acr.PrivateEndpointConnection]
}

// Attached reads it, for who may read the registry or has just written it.
func (s *Service) Attached(ctx context.Context, kept Kept[acr.Registry]) (out Attached, err error) {
	id := kept.ID.String()
	if err := control(ctx, id, s.Registries.Operation("read")); err != nil && control(ctx, id, s.Registries.Operation("write")) != nil {
		return Attached{}, err
	}
	if kept.Doc.SKU != premium {
		return s.attached(nil, kept)
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		out, err = s.attached(tx, kept)
		return err
	})
	return out, err
}

// attached needs no transaction for what is not Premium.
func (s *Service) attached(tx *meta.Tx, kept Kept[acr.Registry]) (Attached, error) {
	home := kept.Doc.Location
	if home == "" {
		home = acr.DefaultLocation
	}
	out := Attached{Regions: []string{home}}
	if kept.Doc.SKU != premium { // which has neither
		return out, nil
	}
	replicas, err := meta.ListUnder[acr.Replication](tx, kept.ID.String(), "", MaxPage)
	for _, r := range replicas {
		if r.Location != home {
			out.Regions = append(out.Regions, r.Location)
		}
	}
	connections, failed := meta.ListUnder[acr.PrivateEndpointConnection](tx, kept.ID.String(), "", MaxPage)
	in := Parent{ID: kept.ID, Registry: kept.Doc}
	for _, p := range connections {
		out.Connections = append(out.Connections, Kept[acr.PrivateEndpointConnection]{ID: kept.ID.Child("privateEndpointConnections", p.Name), Doc: p, In: in})
	}
	return out, errors.Join(err, failed)
}
