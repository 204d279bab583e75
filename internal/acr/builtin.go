package acr

import (
	"slices"
	"strings"
)

// Built-in roles whose IDs code needs.
const (
	OwnerRole                   = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	ContributorRole             = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	ReaderRole                  = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	UserAccessAdministratorRole = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	AcrPullRole                 = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
	AcrPushRole                 = "8311e382-0749-4cb8-b61a-304f252e45ec"
	AcrDeleteRole               = "c2f4ef07-c644-48eb-af81-4b1b4947fb11"
	RepositoryReaderRole        = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
	RepositoryWriterRole        = "2a1e307c-b015-4ebd-883e-5b7698a07328"
	RepositoryContributorRole   = "2efddaa5-3f1f-4df3-97df-af3f13818f4c"
	CatalogListerRole           = "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7"
	KeyUserRole                 = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
)

// What who reads a registry's key needs.
const (
	WrapKey   = "Microsoft.KeyVault/vaults/keys/wrap/action"
	UnwrapKey = "Microsoft.KeyVault/vaults/keys/unwrap/action"
)

// BuiltinRoles lists the roles that every tenant has (control plane, section 16.2).
func BuiltinRoles() []RoleDefinition {
	out := make([]RoleDefinition, len(builtinRoles))
	for i, r := range builtinRoles {
		out[i] = r.definition()
	}
	return out
}

// BuiltinRole finds one by its ID, in any case.
func BuiltinRole(guid string) (RoleDefinition, bool) {
	guid = strings.ToLower(guid)
	for _, r := range builtinRoles {
		if r.id == guid {
			return r.definition(), true
		}
	}
	return RoleDefinition{}, false
}

// builtin is a row of the table; operations without a provider are the registries'.
type builtin struct {
	id, name, description string
	actions, not, data    []string
}

// definition makes values that the caller may change.
func (r builtin) definition() RoleDefinition {
	return RoleDefinition{
		ID: r.id, RoleName: r.name, Description: r.description, AssignableScopes: []string{"/"},
		Permissions: []Permission{{
			Actions: full(r.actions), NotActions: full(r.not), DataActions: full(r.data), NotDataActions: []string{},
		}},
	}
}

// full spells operations with their provider.
func full(ops []string) []string {
	out := make([]string, len(ops))
	for i, op := range ops {
		if !strings.HasPrefix(op, "*") && !strings.HasPrefix(op, "Microsoft.") {
			op = registries + op
		}
		out[i] = op
	}
	return out
}

// each spells the operations that a kind of resource has.
func each(kind string, verbs ...string) []string {
	out := make([]string, len(verbs))
	for i, v := range verbs {
		out[i] = kind + "/" + v
	}
	return out
}

func managed(kind string) []string {
	return each(kind, "read", "write", "delete", "operationStatuses/read")
}

func watched(kind string) []string { return each(kind, "read", "operationStatuses/read") }

const (
	locationResults = "Microsoft.ContainerRegistry/locations/operationResults/read"
	resourceGroups  = "Microsoft.Resources/subscriptions/resourceGroups/read"
	deployments     = "Microsoft.Resources/deployments/*"
	support         = "Microsoft.Support/*"
	insights        = "providers/Microsoft.Insights/"
)

var builtinRoles = []builtin{
	{AcrPullRole, "AcrPull", "Pull artifacts from a container registry.", []string{"pull/read"}, nil, nil},
	{AcrPushRole, "AcrPush", "Push artifacts to a container registry and pull them from it.", []string{"pull/read", "push/write"}, nil, nil},
	{AcrDeleteRole, "AcrDelete", "Delete repositories, tags and manifests of a container registry.", []string{"artifacts/delete"}, nil, nil},
	{"6cef56e8-d556-48e5-a04f-b8e64114680f", "AcrImageSigner", "Sign images in a container registry that has content trust.",
		[]string{"sign/write"}, nil, []string{"trustedCollections/write"}},
	{"cdda3590-29a3-44f6-95f2-9f980659eb04", "AcrQuarantineReader", "Pull quarantined images from a container registry.",
		[]string{"quarantine/read"}, nil, []string{"quarantinedArtifacts/read"}},
	{"c8d4ff99-41c3-41a8-9f60-21dfdad59608", "AcrQuarantineWriter", "Push images to a container registry's quarantine and pull them from it.",
		[]string{"quarantine/read", "quarantine/write"}, nil, []string{"quarantinedArtifacts/read", "quarantinedArtifacts/write"}},
	{RepositoryReaderRole, "Container Registry Repository Reader", "Read images and metadata of repositories, under conditions if wanted.",
		nil, nil, []string{"repositories/metadata/read", "repositories/content/read"}},
	{RepositoryWriterRole, "Container Registry Repository Writer", "Read and write images and metadata of repositories, under conditions if wanted.",
		nil, nil, []string{"repositories/metadata/read", "repositories/content/read", "repositories/metadata/write", "repositories/content/write"}},
	{RepositoryContributorRole, "Container Registry Repository Contributor",
		"Read, write and delete images and metadata of repositories, under conditions if wanted.", nil, nil, []string{
			"repositories/metadata/read", "repositories/content/read", "repositories/metadata/write", "repositories/content/write",
			"repositories/metadata/delete", "repositories/content/delete"}},
	{CatalogListerRole, "Container Registry Repository Catalog Lister", "List all repositories of a container registry.",
		nil, nil, []string{"catalog/read"}},
	{"3bc748fc-213d-45c1-8d91-9da5725539b9", "Container Registry Contributor and Data Access Configuration Administrator",
		"Create, configure and delete container registries and what decides on the access to their data.", configurationAdministrator, nil, nil},
	{"69b07be0-09bf-439a-b9a6-e73de851bd59", "Container Registry Configuration Reader and Data Access Configuration Reader",
		"Read how container registries and the access to their data are configured.", configurationReader, nil, nil},
	{"fb382eab-e894-4461-af04-94435c366c3f", "Container Registry Tasks Contributor",
		"Manage tasks, their runs and agent pools of a container registry, and build with it.", slices.Concat(
			each("agentpools", "read", "write", "delete", "listQueueStatus/action", "operationResults/status/read", "operationStatuses/read"),
			each("tasks", "read", "write", "delete", "listDetails/action"), each("runs", "read", "write", "listLogSasUrl/action", "cancel/action"),
			each("taskruns", "read", "write", "delete", "listDetails/action", "operationStatuses/read"),
			[]string{"scheduleRun/action", "listBuildSourceUploadUrl/action", "read", deployments, resourceGroups}), nil, nil},
	{"bf94e731-3a51-4a7c-8c54-a1ab9971dfc1", "Container Registry Transfer Pipeline Contributor",
		"Transfer artifacts of container registries by pipelines and storage accounts.", slices.Concat(
			each("exportPipelines", "read", "write", "delete"), each("importPipelines", "read", "write", "delete"), managed("pipelineRuns")), nil, nil},
	{"577a9874-89fd-4f24-9dbd-b5034d0ad23a", "Container Registry Data Importer and Data Reader",
		"Import images into a container registry, read its repositories and list them.", []string{"importImage/action", "read", "pull/read"}, nil,
		[]string{"repositories/content/read", "repositories/metadata/read", "catalog/read"}},
	{"df87f177-bb12-4db1-9793-a413691eff94", "Container Registry Cache Rule Administrator", "Manage cache rules of a container registry.",
		managed("cacheRules"), nil, nil},
	{"c357b964-0002-4b64-a50d-7a28f02edc52", "Container Registry Cache Rule Reader", "Read cache rules of a container registry.",
		[]string{"cacheRules/read"}, nil, nil},
	{"f094fb07-0703-4400-ad6a-e16dd8000e14", "Container Registry Credential Set Administrator", "Manage credential sets of a container registry.",
		each("credentialSets", "read", "write", "delete"), nil, nil},
	{"29093635-9924-4f2c-913b-650a12949526", "Container Registry Credential Set Reader", "Read credential sets of a container registry.",
		[]string{"credentialSets/read"}, nil, nil},
	{OwnerRole, "Owner", "Full access to all resources, and to who else has access.", []string{"*"}, nil, nil},
	{ContributorRole, "Contributor", "Full access to all resources, but not to who has access.", []string{"*"}, []string{
		"Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action",
		"Microsoft.Blueprint/blueprintAssignments/write", "Microsoft.Blueprint/blueprintAssignments/delete",
		"Microsoft.Compute/galleries/share/action", "Microsoft.Purview/consents/write", "Microsoft.Purview/consents/delete",
		"Microsoft.Resources/deploymentStacks/manageDenySetting/action"}, nil},
	{ReaderRole, "Reader", "Read all resources, and change none.", []string{"*/read"}, nil, nil},
	{UserAccessAdministratorRole, "User Access Administrator", "Manage who has access to resources.",
		[]string{"*/read", "Microsoft.Authorization/*", support}, nil, nil},
	{"f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator", "Manage access to resources by assigning roles.",
		[]string{"Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "*/read", support}, nil, nil},
	{"f1a07417-d97a-45cb-824c-7a7467783830", "Managed Identity Operator", "Read user-assigned identities and assign them.",
		each("Microsoft.ManagedIdentity/userAssignedIdentities", "*/read", "*/assign/action"), nil, nil},
	{KeyUserRole, "Key Vault Crypto Service Encryption User", "Read keys, and wrap and unwrap other keys with them.",
		each("Microsoft.EventGrid/eventSubscriptions", "write", "read", "delete"), nil, []string{"Microsoft.KeyVault/vaults/keys/read", WrapKey, UnwrapKey}},
}

var configurationAdministrator = slices.Concat(
	[]string{"read", "write", "delete", "operationStatuses/read",
		"listCredentials/action", "regenerateCredential/action", "generateCredentials/action"},
	managed("replications"), managed("tokens"), managed("scopeMaps"),
	managed("connectedRegistries"), []string{"connectedRegistries/deactivate/action"},
	managed("webhooks"), each("webhooks", "ping/action", "listEvents/action", "getCallbackConfig/action"),
	managed("privateEndpointConnections"), []string{"privateEndpointConnectionsApproval/action"},
	each(insights+"diagnosticSettings", "read", "write"), []string{insights + "logDefinitions/read", insights + "metricDefinitions/read"},
	[]string{locationResults, "Microsoft.Authorization/*/read", deployments, resourceGroups, "Microsoft.Insights/AlertRules/*",
		"Microsoft.Network/virtualNetworks/subnets/read", "Microsoft.Network/virtualNetworks/subnets/write",
		"Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action", "Microsoft.Network/virtualNetworks/read",
		"Microsoft.Network/privateEndpoints/privateLinkServiceProxies/write"},
)

var configurationReader = slices.Concat(
	[]string{"read", "operationStatuses/read", "listCredentials/action"},
	watched("replications"), watched("tokens"), watched("scopeMaps"), watched("connectedRegistries"),
	watched("webhooks"), each("webhooks", "listEvents/action", "getCallbackConfig/action"), watched("privateEndpointConnections"),
	each(insights+"diagnosticSettings", "read", "write"), []string{insights + "logDefinitions/read", insights + "metricDefinitions/read"},
	[]string{locationResults, "Microsoft.Authorization/*/read", "Microsoft.Resources/deployments/read", resourceGroups,
		"Microsoft.Insights/AlertRules/read", "Microsoft.Network/virtualNetworks/subnets/read", "Microsoft.Network/virtualNetworks/read"},
)
