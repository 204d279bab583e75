package resource

import (
	"context"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Usage is how much of something a registry has, and may have.
type Usage struct {
	Name    string
	Limit   int64 // -1: none
	Current int64
	Unit    string // Count or Bytes
}

// Usages lists what is counted of a registry. Errors: fault.NotFound.
func (s *Service) Usages(ctx context.Context, id arm.ID) ([]Usage, error) {
	if err := control(ctx, id.String(), s.Registries.Operation("listUsages/read")); err != nil {
		return nil, err
	}
	var out []Usage
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, id)
		if err == nil {
			out, err = s.usages(tx, kept)
		}
		return err
	})
	return out, err
}

const bytesOfGiB = 1 << 30

// usages are in the order of the real service. Bytes are those of all blobs, each once, without manifests.
func (s *Service) usages(tx *meta.Tx, kept Kept[acr.Registry]) ([]Usage, error) {
	r, limits := kept.Doc, s.limits(kept.Doc.SKU)
	number, err := tx.Registry(r.Key())
	if err != nil {
		return nil, err
	}
	size, err := tx.Size(number)
	if err != nil {
		return nil, err
	}
	count := map[string]int64{}
	for _, kind := range []string{"webhooks", "privateEndpointConnections", "scopeMaps", "tokens"} {
		n, err := meta.CountKind(tx, "registries/"+kind, kept.ID.String())
		if err != nil {
			return nil, err
		}
		count[kind] = int64(n)
	}
	if r.SKU == premium {
		at, err := s.attached(tx, kept)
		if err != nil {
			return nil, err
		}
		count["replications"] = int64(len(at.Regions))
	}
	return []Usage{
		{"Size", int64(limits.IncludedStorage) * bytesOfGiB, size, "Bytes"},
		{"Webhooks", int64(limits.Webhooks), count["webhooks"], "Count"},
		{"Geo-replications", -1, count["replications"], "Count"},
		{"IPRules", int64(limits.IPRules), int64(len(r.Network.IPRules)), "Count"},
		{"VNetRules", int64(limits.VNetRules), int64(len(r.Network.Subnets)), "Count"},
		{"PrivateEndpointConnections", int64(limits.PrivateEndpoints), count["privateEndpointConnections"], "Count"},
		{"ScopeMaps", int64(limits.ScopeMaps), count["scopeMaps"], "Count"},
		{"Tokens", int64(limits.Tokens), count["tokens"], "Count"},
		{"MaximumStorageCapacity", int64(limits.MaxStorage) * bytesOfGiB, size, "Bytes"},
	}, nil
}

// checkLimit holds how many resources of a type a registry has against its tier's limit.
func checkLimit[R acr.Resource](tx *meta.Tx, in Parent, what string, limit int) error {
	n, err := meta.CountUnder[R](tx, in.ID.String())
	if err != nil || n <= limit {
		return err
	}
	return tooMany(in.Registry, what, limit)
}

func tooMany(r acr.Registry, what string, limit int) error {
	return fault.New(quotaExceeded, "The registry %s has reached its limit of %d %s for the SKU %s. For more information on the limits of each SKU, "+
		"please visit https://aka.ms/acr/skus.", r.Name, limit, what, r.SKU)
}
