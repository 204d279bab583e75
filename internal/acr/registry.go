package acr

import (
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Resource is a document of the control plane: typed by Go, stored whole, with a version.
type Resource interface {
	// ResourceType is the type below Microsoft.ContainerRegistry, such as "registries".
	ResourceType() string
	// Validate checks what can be checked without a store.
	Validate() error
}

// Registry is the resource "registries": one login server and its repositories.
type Registry struct {
	Name                 string    `json:"name"` // as created; compared without regard to case
	UID                  string    `json:"uid"`  // 32 hex characters, never used again; the claim rid of its tokens
	SKU                  string    `json:"sku"`  // Basic, Standard or Premium
	AdminUserEnabled     bool      `json:"adminUserEnabled"`
	AnonymousPullEnabled bool      `json:"anonymousPullEnabled"`
	CreatedAt            time.Time `json:"createdAt"`

	Group    string            `json:"group,omitempty"`    // "" is the installation's
	Location string            `json:"location,omitempty"` // "" is DefaultLocation
	Tags     map[string]string `json:"tags,omitempty"`
	System   SystemData        `json:"systemData,omitzero"`

	Permissions    PermissionMode `json:"permissions,omitempty"` // "" is LegacyPermissions
	Network        NetworkRules   `json:"network"`
	PublicDisabled bool           `json:"publicDisabled,omitempty"` // only private listeners serve it
	BypassNone     bool           `json:"bypassNone,omitempty"`     // trusted services do not pass the network rules
	ArmAudienceOff bool           `json:"armAudienceOff,omitempty"` // tokens for the management API do not exchange

	Identity          AssignedIdentity `json:"identity,omitzero"`
	Policies          Policies         `json:"policies,omitzero"`
	Encryption        Encryption       `json:"encryption,omitzero"`
	DataEndpoint      bool             `json:"dataEndpoint,omitempty"`      // blobs are also served from a host for each region
	RegionalEndpoints bool             `json:"regionalEndpoints,omitempty"` // everything is
	DualStack         bool             `json:"dualStack,omitempty"`
	BypassTasks       bool             `json:"bypassTasks,omitempty"` // tasks pass the network rules
	ZoneRedundant     bool             `json:"zoneRedundant,omitempty"`
	MetadataSearch    bool             `json:"metadataSearch,omitempty"`
	WritableCache     bool             `json:"writableCache,omitempty"` // repositories of cache rules take pushes
	LabelScope        LabelScope       `json:"labelScope,omitempty"`    // "" is Unsecure
	Label             string           `json:"label,omitempty"`         // what its login server has behind the name
	// AnonymousRepositories are open to anybody though AnonymousPullEnabled is off: names, prefix/*.
	AnonymousRepositories []string `json:"anonymousRepositories,omitempty"`
	// FilteredCatalog shows who may not list the catalog those repositories in it that it may read.
	FilteredCatalog bool          `json:"filteredCatalog,omitempty"`
	AccessLife      time.Duration `json:"accessLife,omitempty"` // of access tokens; 0: the installation's
	RefreshLife     time.Duration `json:"refreshLife,omitempty"`
}

func (Registry) ResourceType() string { return "registries" }

// Keys finds a registry by the first label of its login server, unique among all, and by its name where that has a label behind it.
func (r Registry) Keys() []string {
	keys := []string{"name:" + r.Key()}
	if r.Label != "" {
		keys = append(keys, "labelled:"+strings.ToLower(r.Name))
	}
	return keys
}

// Key is what the registry is looked up by, the first label of its login server: its name in lower case and, behind a dash,
// the domain name label if it has one.
func (r Registry) Key() string {
	if r.Label != "" {
		return strings.ToLower(r.Name) + "-" + r.Label
	}
	return strings.ToLower(r.Name)
}

// Validate holds the name against 5 to 50 alphanumerics; the default registry's name, of four, is the exception
// that the product makes for itself. Anonymous pull needs Standard or Premium.
func (r Registry) Validate() error {
	ok := len(r.Name) >= 5 && len(r.Name) <= 50 || r.Name == DefaultRegistry
	for _, c := range []byte(strings.ToLower(r.Name)) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if !ok {
		return fault.New(fault.Invalid, "registry name %.60q is not valid: use 5 to 50 letters and digits", r.Name)
	}
	if slices.Contains(ownNames, r.Key()) {
		return fault.New(fault.Invalid, "registry name %s is a host of the server's own: use another", r.Name)
	}
	switch r.SKU {
	case "Basic", "Standard", "Premium":
	default:
		return fault.New(fault.Invalid, "registry %s: sku %.20q is not Basic, Standard or Premium", r.Name, r.SKU)
	}
	if r.AnonymousPullEnabled && r.SKU == "Basic" {
		return fault.New(fault.Invalid, "registry %s: anonymous pull needs the Standard or Premium tier", r.Name)
	}
	if r.DualStack && !r.DataEndpoint {
		return fault.New(fault.Invalid, "registry %s: the endpoint protocol IPv4AndIPv6 needs data endpoints: set dataEndpointEnabled as well", r.Name)
	}
	return first(checkTags("registry "+r.Name, r.Tags), r.validateAccess(), r.validatePolicies(), r.validateLabel(), r.validateEncryption(),
		r.Identity.Check("registry "+r.Name))
}

// Bounds of how long tokens of a registry may live.
const (
	minTokenLife = time.Minute
	maxTokenLife = 30 * 24 * time.Hour
)

func (r Registry) validateAccess() error {
	switch r.Permissions {
	case "", LegacyPermissions, AbacPermissions, BothPermissions:
	default:
		return fault.New(fault.Invalid, "registry %s: permission mode %.40q is not %s, %s or %s", r.Name, r.Permissions,
			LegacyPermissions, AbacPermissions, BothPermissions)
	}
	for _, life := range []time.Duration{r.AccessLife, r.RefreshLife} {
		if life != 0 && (life < minTokenLife || life > maxTokenLife) {
			return fault.New(fault.Invalid, "registry %s: tokens cannot live %s: use %s to %s", r.Name, life, minTokenLife, maxTokenLife)
		}
	}
	for _, p := range r.AnonymousRepositories {
		if err := CheckNamePattern(p); err != nil {
			return err
		}
	}
	_, err := r.Network.Compile()
	return err
}

// ownNames are the hosts below a registry suffix at which the server is not a registry.
var ownNames = []string{"login", "graph", "management"}

// DefaultRegistry is the registry made at first start; loopback names and bare addresses lead to it.
const DefaultRegistry = "acre"
