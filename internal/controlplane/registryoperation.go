package controlplane

import (
	"strings"
	"unicode"

	"github.com/acre-registry/acre/internal/arm"
)

// operationWire is an operation of the registry's provider: what roles allow.
type operationWire struct {
	Origin       string                   `json:"origin"`
	Name         string                   `json:"name"`
	IsDataAction bool                     `json:"isDataAction"`
	Display      displayWire              `json:"display"`
	Properties   *operationPropertiesWire `json:"properties,omitempty"`
}

// resourceType is the type below the provider that the operation is on; "" for what is on the provider itself.
func (o operationWire) resourceType() string {
	parts := strings.Split(o.Name, "/")[1:]
	n := len(parts) - 1
	if parts[n] == "action" {
		n--
	}
	return strings.Join(parts[:n], "/")
}

type displayWire struct {
	Provider    string `json:"provider"`
	Resource    string `json:"resource"`
	Operation   string `json:"operation"`
	Description string `json:"description"`
}

type operationPropertiesWire struct {
	Specification specificationWire `json:"serviceSpecification"`
}

// specificationWire is what there is to measure and to log of a registry.
type specificationWire struct {
	Metrics []metricWire `json:"metricSpecifications,omitempty"`
	Logs    []logWire    `json:"logSpecifications,omitempty"`
}

type metricWire struct {
	Name               string `json:"name"`
	DisplayName        string `json:"displayName"`
	DisplayDescription string `json:"displayDescription"`
	Unit               string `json:"unit"`
	Aggregation        string `json:"aggregationType"`
	InternalName       string `json:"internalMetricName"`
}

type logWire struct {
	Name         string `json:"name"`
	DisplayName  string `json:"displayName"`
	BlobDuration string `json:"blobDuration"`
}

var registryMetrics = []metricWire{
	{"StorageUsed", "Storage used", "Bytes of all blobs of the registry, each counted once", "Bytes", "Average", "StorageUsed"},
	{"SuccessfulPullCount", "Successful Pull Count", "Pulls that succeeded", "Count", "Total", "SuccessfulPullCount"},
	{"TotalPullCount", "Total Pull Count", "Pulls in total", "Count", "Total", "TotalPullCount"},
	{"SuccessfulPushCount", "Successful Push Count", "Pushes that succeeded", "Count", "Total", "SuccessfulPushCount"},
	{"TotalPushCount", "Total Push Count", "Pushes in total", "Count", "Total", "TotalPushCount"},
	{"RunDuration", "Run Duration", "How long runs of tasks took", "MilliSeconds", "Total", "RunDuration"},
	{"AgentPoolCPUTime", "AgentPool CPU Time", "Processor time of agent pools", "Seconds", "Total", "AgentPoolCPUTime"},
}

var registryLogs = []logWire{
	{"ContainerRegistryRepositoryEvents", "RepositoryEvent logs", "PT1H"},
	{"ContainerRegistryLoginEvents", "Login Events", "PT1H"},
}

// Operations of the registry's provider, below its name, by what they are on: read, write and delete are what they say, the
// rest are actions.
var registryOperations = []struct{ on, verbs string }{
	{"", "register/action unregister/action"},
	{"checkNameAvailability", "read"},
	{"operations", "read"},
	{"locations/operationResults", "read"},
	{"registries", "read write delete listCredentials/action regenerateCredential/action generateCredentials/action importImage/action " +
		"scheduleRun/action listBuildSourceUploadUrl/action getBuildSourceUploadUrl/action queueBuild/action privateEndpointConnectionsApproval/action"},
	{"registries/operationStatuses", "read"},
	{"registries/listUsages", "read"},
	{"registries/listPolicies", "read"},
	{"registries/updatePolicies", "write"},
	{"registries/pull", "read"},
	{"registries/push", "write"},
	{"registries/artifacts", "delete"},
	{"registries/sign", "write"},
	{"registries/quarantine", "read write"},
	{"registries/metadata", "read write"},
	{"registries/deleted", "read"},
	{"registries/deleted/restore", "action"},
	{"registries/deleted/purge", "action"},
	{"registries/replications", childVerbs}, {"registries/replications/operationStatuses", "read"},
	{"registries/webhooks", childVerbs + " ping/action getCallbackConfig/action listEvents/action"}, {"registries/webhooks/operationStatuses", "read"},
	{"registries/scopeMaps", childVerbs}, {"registries/scopeMaps/operationStatuses", "read"},
	{"registries/tokens", childVerbs}, {"registries/tokens/operationStatuses", "read"},
	{"registries/cacheRules", childVerbs}, {"registries/cacheRules/operationStatuses", "read"},
	{"registries/credentialSets", childVerbs}, {"registries/credentialSets/operationStatuses", "read"},
	{"registries/connectedRegistries", childVerbs + " deactivate/action resync/action"}, {"registries/connectedRegistries/operationStatuses", "read"},
	{"registries/exportPipelines", childVerbs}, {"registries/exportPipelines/operationStatuses", "read"},
	{"registries/importPipelines", childVerbs}, {"registries/importPipelines/operationStatuses", "read"},
	{"registries/pipelineRuns", childVerbs}, {"registries/pipelineRuns/operationStatuses", "read"},
	{"registries/privateEndpointConnections", childVerbs}, {"registries/privateEndpointConnections/operationStatuses", "read"},
	{"registries/privateEndpointConnectionProxies", "validate/action " + childVerbs}, {"registries/privateEndpointConnectionProxies/operationStatuses", "read"},
	{"registries/eventGridFilters", childVerbs}, {"registries/eventGridFilters/operationStatuses", "read"},
	{"registries/packages/archives", childVerbs}, {"registries/packages/archives/operationStatuses", "read"},
	{"registries/packages/archives/versions", childVerbs}, {"registries/packages/archives/versions/operationStatuses", "read"},
	{"registries/agentpools", childVerbs + " listQueueStatus/action"}, {"registries/agentpools/operationResults/status", "read"},
	{"registries/agentpools/operationStatuses", "read"},
	{"registries/tasks", childVerbs + " listDetails/action"},
	{"registries/runs", "read write listLogSasUrl/action cancel/action"},
	{"registries/taskruns", childVerbs + " listDetails/action"}, {"registries/taskruns/operationStatuses", "read"},
	{"registries/providers/Microsoft.Insights/diagnosticSettings", "read write"},
	{"registries/providers/Microsoft.Insights/metricDefinitions", "read"},
	{"registries/providers/Microsoft.Insights/logDefinitions", "read"},
}

const childVerbs = "read write delete"

// registryDataActions are those on contents.
var registryDataActions = []struct{ on, verbs string }{
	{"registries/quarantinedArtifacts", "read write"},
	{"registries/trustedCollections", "write"},
	{"registries/repositories/content", "read write create delete"},
	{"registries/repositories/metadata", "read write delete"},
	{"registries/catalog", "read"},
}

func registryOperationList() []operationWire {
	var out []operationWire
	for _, list := range []struct {
		of   []struct{ on, verbs string }
		data bool
	}{{registryOperations, false}, {registryDataActions, true}} {
		for _, o := range list.of {
			for verb := range strings.FieldsSeq(o.verbs) {
				out = append(out, registryOperation(o.on, verb, list.data))
			}
		}
	}
	return out
}

func registryOperation(on, verb string, data bool) operationWire {
	op := operationWire{Origin: "user,system", Name: strings.ReplaceAll(arm.Provider+"/"+on+"/"+verb, "//", "/"), IsDataAction: data}
	what := words(on[strings.LastIndexByte(on, '/')+1:])
	if what == "" {
		what = "the provider"
	}
	does := map[string]string{"read": "Get ", "write": "Create or update ", "delete": "Delete ", "create": "Create ", "action": "Run "}[verb] + what
	if action, ok := strings.CutSuffix(verb, "/action"); ok {
		does = words(action) + " of " + what
	}
	op.Display = displayWire{"Microsoft Container Registry", what, strings.ToUpper(does[:1]) + does[1:], "Allows to " + strings.ToLower(does[:1]) + does[1:] + "."}
	switch {
	case strings.HasSuffix(on, "/metricDefinitions"):
		op.Properties = &operationPropertiesWire{specificationWire{Metrics: registryMetrics}}
	case strings.HasSuffix(on, "/logDefinitions"):
		op.Properties = &operationPropertiesWire{specificationWire{Logs: registryLogs}}
	}
	return op
}

// words is a name such as scopeMaps as it is read: scope maps.
func words(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
