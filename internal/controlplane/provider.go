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
var providers = []string{arm.Provider, arm.Authorization, arm.Identity, arm.Resources, own}

func (f *Face) providerRows() []*row {
	verbs := func() map[string]handler {
		return map[string]handler{list: listProviders, http.MethodGet: getProvider, "POST register": getProvider, "POST unregister": getProvider}
	}
	return []*row{
		{provider: arm.Resources, types: "providers", verbs: verbs()},
		{provider: arm.Resources, types: "subscriptions/providers", verbs: verbs()},
		{provider: arm.Provider, types: "operations", verbs: map[string]handler{list: operations}},
		{provider: arm.Provider, verbs: map[string]handler{"POST checknameavailability": checkName}},
		{provider: arm.Authorization, types: "providerOperations", verbs: map[string]handler{http.MethodGet: providerOperations, list: allProviderOperations}},
	}
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

type operationWire struct {
	Origin       string      `json:"origin"`
	Name         string      `json:"name"`
	IsDataAction bool        `json:"isDataAction"`
	Display      displayWire `json:"display"`
}

type displayWire struct {
	Provider    string `json:"provider"`
	Resource    string `json:"resource"`
	Operation   string `json:"operation"`
	Description string `json:"description"`
}

// Operations of the registry's provider, below its name, and the data actions.
var (
	registryOperations = strings.Fields(`register/action unregister/action checkNameAvailability/read operations/read
locations/operationResults/read registries/read registries/write registries/delete registries/operationStatuses/read registries/listUsages/read
registries/listCredentials/action registries/regenerateCredential/action registries/generateCredentials/action registries/importImage/action
registries/scheduleRun/action registries/listBuildSourceUploadUrl/action registries/privateEndpointConnectionsApproval/action
registries/pull/read registries/push/write registries/artifacts/delete registries/sign/write registries/quarantine/read registries/quarantine/write
registries/metadata/read registries/metadata/write registries/deleted/read registries/deleted/restore/action
registries/scopeMaps/read registries/scopeMaps/write registries/scopeMaps/delete registries/scopeMaps/operationStatuses/read
registries/tokens/read registries/tokens/write registries/tokens/delete registries/tokens/operationStatuses/read
registries/replications/read registries/replications/write registries/replications/delete registries/replications/operationStatuses/read
registries/webhooks/read registries/webhooks/write registries/webhooks/delete registries/webhooks/ping/action registries/webhooks/getCallbackConfig/action
registries/webhooks/listEvents/action registries/webhooks/operationStatuses/read
registries/cacheRules/read registries/cacheRules/write registries/cacheRules/delete registries/cacheRules/operationStatuses/read
registries/credentialSets/read registries/credentialSets/write registries/credentialSets/delete registries/credentialSets/operationStatuses/read
registries/connectedRegistries/read registries/connectedRegistries/write registries/connectedRegistries/delete registries/connectedRegistries/deactivate/action
registries/exportPipelines/read registries/exportPipelines/write registries/exportPipelines/delete
registries/importPipelines/read registries/importPipelines/write registries/importPipelines/delete
registries/pipelineRuns/read registries/pipelineRuns/write registries/pipelineRuns/delete registries/pipelineRuns/operationStatuses/read
registries/privateEndpointConnections/read registries/privateEndpointConnections/write registries/privateEndpointConnections/delete
registries/agentpools/read registries/agentpools/write registries/agentpools/delete registries/agentpools/listQueueStatus/action
registries/tasks/read registries/tasks/write registries/tasks/delete registries/tasks/listDetails/action
registries/runs/read registries/runs/write registries/runs/listLogSasUrl/action registries/runs/cancel/action
registries/taskruns/read registries/taskruns/write registries/taskruns/delete registries/taskruns/listDetails/action`)
	registryDataActions = strings.Fields(`registries/quarantinedArtifacts/read registries/quarantinedArtifacts/write registries/trustedCollections/write
registries/repositories/content/read registries/repositories/content/write registries/repositories/content/create registries/repositories/content/delete
registries/repositories/metadata/read registries/repositories/metadata/write registries/repositories/metadata/delete registries/catalog/read`)
)

func registryOperationList() []operationWire {
	var out []operationWire
	for _, list := range []struct {
		names []string
		data  bool
	}{{registryOperations, false}, {registryDataActions, true}} {
		for _, name := range list.names {
			at := strings.LastIndexByte(name, '/')
			of, verb := name[:at], name[at+1:]
			out = append(out, operationWire{
				Origin: "user,system", Name: arm.Provider + "/" + name, IsDataAction: list.data,
				Display: displayWire{arm.Provider, of, verb, "Allows " + verb + " on " + of + "."},
			})
		}
	}
	return out
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
		of := op.Display.Resource
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
