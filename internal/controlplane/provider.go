package controlplane

import (
	"net/http"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
)

// own is the provider of what the real service does not have.
const own = "Acre.Identity"

// providers are the namespaces that are listed. All are registered, and so is any other that somebody registers: clients
// register what they may need, and wait for it.
var providers = []string{arm.Provider, arm.Authorization, insights, arm.Identity, arm.KeyVault, graphProvider, arm.Resources, own}

func (f *Face) providerRows() []*row {
	verbs := func() map[string]handler {
		return map[string]handler{list: listProviders, http.MethodGet: getProvider, "POST register": getProvider, "POST unregister": getProvider}
	}
	return append(append(f.deletedRegistryRows(), f.diagnosticRows()...), []*row{
		f.permissionRow(),
		{provider: arm.Resources, types: "providers", verbs: verbs()},
		{provider: arm.Resources, types: "subscriptions/providers", verbs: verbs()},
		{provider: arm.Provider, types: "operations", verbs: map[string]handler{list: operations}},
		{provider: arm.Provider, verbs: map[string]handler{"POST checknameavailability": checkName}},
		{provider: arm.Authorization, types: "providerOperations", verbs: map[string]handler{http.MethodGet: providerOperations, list: allProviderOperations}},
	}...)
}

type providerWire struct {
	ID                 string             `json:"id"`
	Namespace          string             `json:"namespace"`
	RegistrationPolicy string             `json:"registrationPolicy"`
	RegistrationState  string             `json:"registrationState"`
	ResourceTypes      []resourceTypeWire `json:"resourceTypes"`
}

type resourceTypeWire struct {
	ResourceType      string   `json:"resourceType"`
	Locations         []string `json:"locations"`
	APIVersions       []string `json:"apiVersions"`
	DefaultAPIVersion string   `json:"defaultApiVersion"`
	Capabilities      string   `json:"capabilities"`
}

func wireProvider(c *call, namespace string) providerWire {
	for _, known := range providers {
		if strings.EqualFold(known, namespace) {
			namespace = known
		}
	}
	p := providerWire{
		Namespace: namespace, RegistrationPolicy: "RegistrationRequired", RegistrationState: "Registered", ResourceTypes: []resourceTypeWire{},
	}
	p.ID = "/providers/" + namespace
	if c.path.Subscription != "" {
		p.ID = c.opt.Resources.Scope() + p.ID
	}
	for _, r := range c.rows {
		if r.provider != namespace || r.types == "" {
			continue
		}
		t := resourceTypeWire{ResourceType: r.types, Locations: []string{}, APIVersions: arm.Versions(namespace), Capabilities: "None"}
		t.DefaultAPIVersion = arm.DefaultVersion(namespace)
		if r.tracked {
			t.Capabilities, t.Locations = "SupportsTags, SupportsLocation", regions
		}
		p.ResourceTypes = append(p.ResourceTypes, t)
	}
	slices.SortFunc(p.ResourceTypes, func(a, b resourceTypeWire) int { return strings.Compare(a.ResourceType, b.ResourceType) })
	return p
}

func listProviders(c *call) error {
	out := make([]providerWire, len(providers))
	for i, p := range providers {
		out[i] = wireProvider(c, p)
	}
	return listed(c, out, "")
}

func getProvider(c *call) error {
	return c.write(http.StatusOK, wireProvider(c, c.path.Names[len(c.path.Names)-1]))
}

func operations(c *call) error { return listed(c, registryOperationList(), "") }

type providerOperationsWire struct {
	ID            string               `json:"id"`
	Name          string               `json:"name"`
	Type          string               `json:"type"`
	DisplayName   string               `json:"displayName"`
	ResourceTypes []typeOperationsWire `json:"resourceTypes"`
	Operations    []namedOperation     `json:"operations"`
}

type typeOperationsWire struct {
	Name        string           `json:"name"`
	DisplayName string           `json:"displayName"`
	Operations  []namedOperation `json:"operations"`
}

type namedOperation struct {
	Name         string `json:"name"`
	DisplayName  string `json:"displayName"`
	Description  string `json:"description"`
	Origin       string `json:"origin"`
	IsDataAction bool   `json:"isDataAction"`
}

func wireProviderOperations() providerOperationsWire {
	out := providerOperationsWire{
		ID: "/providers/Microsoft.Authorization/providerOperations/" + arm.Provider, Name: arm.Provider,
		Type: "Microsoft.Authorization/providerOperations", DisplayName: "Microsoft Container Registry", ResourceTypes: []typeOperationsWire{}, Operations: []namedOperation{},
	}
	at := map[string]int{}
	for _, op := range registryOperationList() {
		named := namedOperation{op.Name, op.Display.Operation, op.Display.Description, op.Origin, op.IsDataAction}
		of := op.resourceType()
		if !strings.HasPrefix(of, "registries") {
			out.Operations = append(out.Operations, named)
			continue
		}
		i, ok := at[of]
		if !ok {
			i = len(out.ResourceTypes)
			at[of] = i
			out.ResourceTypes = append(out.ResourceTypes, typeOperationsWire{Name: of, DisplayName: of})
		}
		out.ResourceTypes[i].Operations = append(out.ResourceTypes[i].Operations, named)
	}
	return out
}

func providerOperations(c *call) error {
	if !strings.EqualFold(c.path.Names[0], arm.Provider) {
		return unknownType(arm.Path{Provider: c.path.Names[0]}, c.version)
	}
	return c.write(http.StatusOK, wireProviderOperations())
}

func allProviderOperations(c *call) error {
	return listed(c, []providerOperationsWire{wireProviderOperations()}, "")
}
