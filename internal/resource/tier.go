package resource

import (
	"fmt"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// checkTier holds settings against the registry's tier; only what differs from the default needs one. A change of the tier
// itself is told of everything that stands in its way.
func (s *Service) checkTier(c *Change[acr.Registry]) error {
	r := c.New
	if c.Old != nil && c.Old.SKU != r.SKU {
		obstacles, err := s.obstacles(c)
		if err != nil || len(obstacles) == 0 {
			return err
		}
		return fault.New(wrongTier, "The registry %s cannot change from the SKU %s to %s while it has: %s. Remove or disable what is named first.",
			r.Name, c.Old.SKU, r.SKU, strings.Join(obstacles, ", "))
	}
	if err := s.checkRules(r); err != nil {
		return err
	}
	if r.PublicDisabled && r.SKU != premium {
		return fault.New(publicAccessTier, "Disabling public network access is not supported for the SKU %s of registry %s: it needs Premium. "+
			"For more information on Private Link, please visit https://aka.ms/acr/private-link.", r.SKU, r.Name)
	}
	if above := aboveTier(r); len(above) > 0 {
		return fault.New(wrongTier, "Not supported for the SKU %s of registry %s: %s. Premium has it.", r.SKU, r.Name, strings.Join(above, ", "))
	}
	return nil
}

const premium = "Premium"

// checkRules counts network rules against what a Premium registry may have.
func (s *Service) checkRules(r acr.Registry) error {
	if r.SKU != premium {
		return nil
	}
	for _, rules := range []struct {
		what     string
		n, limit int
	}{{"IP rules", len(r.Network.IPRules), s.limits(r.SKU).IPRules}, {"virtual network rules", len(r.Network.Subnets), s.limits(r.SKU).VNetRules}} {
		if rules.n > rules.limit {
			return tooMany(r, rules.what, rules.limit)
		}
	}
	return nil
}

// aboveTier names the settings that a registry's tier does not have.
func aboveTier(r acr.Registry) []string {
	if r.SKU == premium {
		return nil
	}
	var out []string
	for _, setting := range []struct {
		on   bool
		what string
	}{
		{r.Network.DefaultAction == acr.Deny || len(r.Network.IPRules)+len(r.Network.Subnets) > 0, "network rules"},
		{len(r.Network.Rules) > 0 || r.Network.LogOnly, "access rules"},
		{r.DataEndpoint, "dedicated data endpoints"},
		{r.RegionalEndpoints, "regional endpoints"},
		{r.DualStack, "the endpoint protocol IPv4AndIPv6"},
		{r.Policies.Quarantine, "the quarantine policy"},
		{r.Policies.Trust, "the content trust policy"},
		{r.Policies.Retention.Enabled, "the retention policy"},
		{r.Policies.ExportOff, "disabled exports"},
		{r.Encryption.Enabled(), "a customer-managed key"},
	} {
		if setting.on {
			out = append(out, setting.what)
		}
	}
	return out
}

// premiumChildren are the types of resources that only Premium registries have, with the word for one of them.
var premiumChildren = []struct{ kind, word string }{
	{"replications", "replication"}, {"connectedRegistries", "connected registry"}, {"privateEndpointConnections", "private endpoint connection"},
	{"agentPools", "agent pool"}, {"exportPipelines", "export pipeline"}, {"importPipelines", "import pipeline"},
}

// maxNamed is how many resources of a type a refusal names.
const maxNamed = 5

// obstacles names what keeps a registry from its new tier.
func (s *Service) obstacles(c *Change[acr.Registry]) ([]string, error) {
	out := aboveTier(c.New)
	if c.New.PublicDisabled && c.New.SKU != premium {
		out = append(out, "disabled public network access")
	}
	if c.New.AnonymousPullEnabled && c.New.SKU == "Basic" {
		out = append(out, "anonymous pull")
	}
	if c.New.SKU != premium {
		for _, child := range premiumChildren {
			names, err := childNames(c.tx, c.ID, child.kind)
			if err != nil {
				return nil, err
			}
			for i, name := range names {
				switch {
				case child.kind == "replications" && name == c.New.Location: // home is no copy
				case i == maxNamed:
					out = append(out, "and more")
				default:
					out = append(out, "the "+child.word+" "+name)
				}
			}
		}
	}
	over, err := s.overTier(c)
	return append(out, over...), err
}

// childNames are the names, in lower case, of resources below one, some more than a refusal names.
func childNames(tx *meta.Tx, id arm.ID, kind string) ([]string, error) {
	keys, err := meta.KeysUnder(tx, "registries/"+kind, id.String(), maxNamed+1)
	for i, key := range keys {
		keys[i] = key[strings.LastIndexByte(key, '/')+1:]
	}
	return keys, err
}

// overTier names what a registry has more of than its new tier allows.
func (s *Service) overTier(c *Change[acr.Registry]) ([]string, error) {
	if tierRank(c.New.SKU) > tierRank(c.Old.SKU) {
		return nil, nil
	}
	usages, err := s.usages(c.tx, Kept[acr.Registry]{ID: c.ID, Doc: c.New})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, u := range usages {
		switch u.Name {
		case "Webhooks", "ScopeMaps", "Tokens", "MaximumStorageCapacity":
			if u.Limit >= 0 && u.Current > u.Limit {
				out = append(out, fmt.Sprintf("%d of %s, where %s has %d", u.Current, u.Name, c.New.SKU, u.Limit))
			}
		}
	}
	return out, nil
}

func tierRank(sku string) int {
	switch sku {
	case "Basic":
		return 1
	case "Standard":
		return 2
	}
	return 3
}
