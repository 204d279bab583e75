package acr

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// LabelScope says among whose registries one of the same name gets the same login server. All but Unsecure add a hash to the
// name, so that nobody else can take over the name of a registry that was deleted.
type LabelScope string

// Scopes of domain name labels.
const (
	Unsecure           LabelScope = "Unsecure"
	TenantReuse        LabelScope = "TenantReuse"
	SubscriptionReuse  LabelScope = "SubscriptionReuse"
	ResourceGroupReuse LabelScope = "ResourceGroupReuse"
	NoReuse            LabelScope = "NoReuse"
)

// LabelScopes are all of them.
var LabelScopes = []LabelScope{Unsecure, TenantReuse, SubscriptionReuse, ResourceGroupReuse, NoReuse}

// Place is where a registry is made.
type Place struct {
	Tenant, Subscription, Group string
	Once                        string // what no other registry has: of NoReuse
}

// Label is the hash that a registry's login server has behind its name, 16 hexadecimal digits; "" for Unsecure.
func (s LabelScope) Label(name string, at Place) string {
	within := []string{at.Tenant, at.Subscription, at.Group, at.Once}
	n := slices.Index([]LabelScope{TenantReuse, SubscriptionReuse, ResourceGroupReuse, NoReuse}, s) + 1
	if n == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(append([]string{"domain name label", string(s), name}, within[:n]...), "\x00"))))
	return hex.EncodeToString(sum[:8])
}

// maxLabel is the longest label that a domain name may have.
const maxLabel = 63

func (r Registry) validateLabel() error {
	if r.LabelScope != "" && !slices.Contains(LabelScopes, r.LabelScope) {
		return fault.New(fault.Invalid, "registry %s: domain name label scope %.40q is not %s, %s, %s, %s or %s", r.Name, r.LabelScope,
			Unsecure, TenantReuse, SubscriptionReuse, ResourceGroupReuse, NoReuse)
	}
	if len(r.Key()) > maxLabel {
		return fault.New(fault.Invalid, "registry name %s is not valid with a domain name label, which takes 17 of the %d characters: use a name of at most %d",
			r.Name, maxLabel, maxLabel-17)
	}
	return nil
}
