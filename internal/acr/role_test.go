package acr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
)

// roles is the published table: id, name, actions, notActions, data actions; words joined by blanks, what begins with a
// lower-case letter is the registries'.
var roles = []struct{ id, name, actions, not, data string }{
	{"7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull", "pull/read", "", ""},
	{"8311e382-0749-4cb8-b61a-304f252e45ec", "AcrPush", "pull/read push/write", "", ""},
	{"c2f4ef07-c644-48eb-af81-4b1b4947fb11", "AcrDelete", "artifacts/delete", "", ""},
	{"6cef56e8-d556-48e5-a04f-b8e64114680f", "AcrImageSigner", "sign/write", "", "trustedCollections/write"},
	{"cdda3590-29a3-44f6-95f2-9f980659eb04", "AcrQuarantineReader", "quarantine/read", "", "quarantinedArtifacts/read"},
	{"c8d4ff99-41c3-41a8-9f60-21dfdad59608", "AcrQuarantineWriter", "quarantine/read quarantine/write", "",
		"quarantinedArtifacts/read quarantinedArtifacts/write"},
	{"b93aa761-3e63-49ed-ac28-beffa264f7ac", "Container Registry Repository Reader", "", "", "repositories/metadata/read repositories/content/read"},
	{"2a1e307c-b015-4ebd-883e-5b7698a07328", "Container Registry Repository Writer", "", "",
		"repositories/metadata/read repositories/content/read repositories/metadata/write repositories/content/write"},
	{"2efddaa5-3f1f-4df3-97df-af3f13818f4c", "Container Registry Repository Contributor", "", "",
		"repositories/metadata/read repositories/content/read repositories/metadata/write repositories/content/write " +
			"repositories/metadata/delete repositories/content/delete"},
	{"bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7", "Container Registry Repository Catalog Lister", "", "", "catalog/read"},
	{"3bc748fc-213d-45c1-8d91-9da5725539b9", "Container Registry Contributor and Data Access Configuration Administrator",
		"read write delete operationStatuses/read listCredentials/action regenerateCredential/action generateCredentials/action " +
			"replications/read replications/write replications/delete replications/operationStatuses/read " +
			"tokens/read tokens/write tokens/delete tokens/operationStatuses/read " +
			"scopeMaps/read scopeMaps/write scopeMaps/delete scopeMaps/operationStatuses/read " +
			"connectedRegistries/read connectedRegistries/write connectedRegistries/delete connectedRegistries/operationStatuses/read " +
			"connectedRegistries/deactivate/action webhooks/read webhooks/write webhooks/delete webhooks/operationStatuses/read " +
			"webhooks/ping/action webhooks/listEvents/action webhooks/getCallbackConfig/action " +
			"privateEndpointConnections/read privateEndpointConnections/write privateEndpointConnections/delete " +
			"privateEndpointConnections/operationStatuses/read privateEndpointConnectionsApproval/action " +
			"providers/Microsoft.Insights/diagnosticSettings/read providers/Microsoft.Insights/diagnosticSettings/write " +
			"providers/Microsoft.Insights/logDefinitions/read providers/Microsoft.Insights/metricDefinitions/read " +
			"Microsoft.ContainerRegistry/locations/operationResults/read Microsoft.Authorization/*/read Microsoft.Resources/deployments/* " +
			"Microsoft.Resources/subscriptions/resourceGroups/read Microsoft.Insights/AlertRules/* " +
			"Microsoft.Network/virtualNetworks/subnets/read Microsoft.Network/virtualNetworks/subnets/write " +
			"Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action Microsoft.Network/virtualNetworks/read " +
			"Microsoft.Network/privateEndpoints/privateLinkServiceProxies/write", "", ""},
	{"69b07be0-09bf-439a-b9a6-e73de851bd59", "Container Registry Configuration Reader and Data Access Configuration Reader",
		"read operationStatuses/read listCredentials/action replications/read replications/operationStatuses/read " +
			"tokens/read tokens/operationStatuses/read scopeMaps/read scopeMaps/operationStatuses/read " +
			"connectedRegistries/read connectedRegistries/operationStatuses/read webhooks/read webhooks/operationStatuses/read " +
			"webhooks/listEvents/action webhooks/getCallbackConfig/action privateEndpointConnections/read " +
			"privateEndpointConnections/operationStatuses/read providers/Microsoft.Insights/diagnosticSettings/read " +
			"providers/Microsoft.Insights/diagnosticSettings/write providers/Microsoft.Insights/logDefinitions/read " +
			"providers/Microsoft.Insights/metricDefinitions/read Microsoft.ContainerRegistry/locations/operationResults/read " +
			"Microsoft.Authorization/*/read Microsoft.Resources/deployments/read Microsoft.Resources/subscriptions/resourceGroups/read " +
			"Microsoft.Insights/AlertRules/read Microsoft.Network/virtualNetworks/subnets/read Microsoft.Network/virtualNetworks/read", "", ""},
	{"fb382eab-e894-4461-af04-94435c366c3f", "Container Registry Tasks Contributor",
		"agentpools/read agentpools/write agentpools/delete agentpools/listQueueStatus/action agentpools/operationResults/status/read " +
			"agentpools/operationStatuses/read tasks/read tasks/write tasks/delete tasks/listDetails/action " +
			"runs/read runs/write runs/listLogSasUrl/action runs/cancel/action taskruns/read taskruns/write taskruns/delete " +
			"taskruns/listDetails/action taskruns/operationStatuses/read scheduleRun/action listBuildSourceUploadUrl/action read " +
			"Microsoft.Resources/deployments/* Microsoft.Resources/subscriptions/resourceGroups/read", "", ""},
	{"bf94e731-3a51-4a7c-8c54-a1ab9971dfc1", "Container Registry Transfer Pipeline Contributor",
		"exportPipelines/read exportPipelines/write exportPipelines/delete importPipelines/read importPipelines/write importPipelines/delete " +
			"pipelineRuns/read pipelineRuns/write pipelineRuns/delete pipelineRuns/operationStatuses/read", "", ""},
	{"577a9874-89fd-4f24-9dbd-b5034d0ad23a", "Container Registry Data Importer and Data Reader", "importImage/action read pull/read", "",
		"repositories/content/read repositories/metadata/read catalog/read"},
	{"df87f177-bb12-4db1-9793-a413691eff94", "Container Registry Cache Rule Administrator",
		"cacheRules/read cacheRules/write cacheRules/delete cacheRules/operationStatuses/read", "", ""},
	{"c357b964-0002-4b64-a50d-7a28f02edc52", "Container Registry Cache Rule Reader", "cacheRules/read", "", ""},
	{"f094fb07-0703-4400-ad6a-e16dd8000e14", "Container Registry Credential Set Administrator",
		"credentialSets/read credentialSets/write credentialSets/delete", "", ""},
	{"29093635-9924-4f2c-913b-650a12949526", "Container Registry Credential Set Reader", "credentialSets/read", "", ""},
	{"8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "*", "", ""},
	{"b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", "*",
		"Microsoft.Authorization/*/Delete Microsoft.Authorization/*/Write Microsoft.Authorization/elevateAccess/Action " +
			"Microsoft.Blueprint/blueprintAssignments/write Microsoft.Blueprint/blueprintAssignments/delete Microsoft.Compute/galleries/share/action " +
			"Microsoft.Purview/consents/write Microsoft.Purview/consents/delete Microsoft.Resources/deploymentStacks/manageDenySetting/action", ""},
	{"acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "*/read", "", ""},
	{"18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator", "*/read Microsoft.Authorization/* Microsoft.Support/*", "", ""},
	{"f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator",
		"Microsoft.Authorization/roleAssignments/write Microsoft.Authorization/roleAssignments/delete */read Microsoft.Support/*", "", ""},
	{"f1a07417-d97a-45cb-824c-7a7467783830", "Managed Identity Operator",
		"Microsoft.ManagedIdentity/userAssignedIdentities/*/read Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", "", ""},
	{"e147488a-f6f5-4113-8e2d-b22465e65bf6", "Key Vault Crypto Service Encryption User",
		"Microsoft.EventGrid/eventSubscriptions/write Microsoft.EventGrid/eventSubscriptions/read Microsoft.EventGrid/eventSubscriptions/delete", "",
		"Microsoft.KeyVault/vaults/keys/read Microsoft.KeyVault/vaults/keys/wrap/action Microsoft.KeyVault/vaults/keys/unwrap/action"},
}

// spelled is a cell of the table in full.
func spelled(cell string) []string {
	out := strings.Fields(cell)
	for i, op := range out {
		if op[0] >= 'a' && op[0] <= 'z' {
			out[i] = "Microsoft.ContainerRegistry/registries/" + op
		}
	}
	return out
}

func TestBuiltinRoles(t *testing.T) {
	t.Parallel()
	have := acr.BuiltinRoles()
	if len(have) != len(roles) {
		t.Errorf("%d built-in roles, want %d", len(have), len(roles))
	}
	for _, want := range roles {
		r, ok := acr.BuiltinRole(strings.ToUpper(want.id))
		if !ok {
			t.Errorf("%s is missing", want.name)
			continue
		}
		if err := r.Validate(); err != nil || r.Custom || r.RoleName != want.name || r.ID != want.id || r.Description == "" {
			t.Errorf("%+v: %v", r, err)
		}
		got := []acr.Permission{{Actions: spelled(want.actions), NotActions: spelled(want.not), DataActions: spelled(want.data), NotDataActions: []string{}}}
		if diff := cmp.Diff(got, r.Permissions); diff != "" {
			t.Errorf("%s:\n%s", want.name, diff)
		}
		if !slices.Equal(r.AssignableScopes, []string{"/"}) {
			t.Errorf("%s is assignable at %v", want.name, r.AssignableScopes)
		}
	}
	have[0].Permissions[0].Actions[0] = "*"
	if r, _ := acr.BuiltinRole(have[0].ID); r.Permissions[0].Actions[0] == "*" {
		t.Error("who changes a built-in role changes it for all")
	}
	if _, ok := acr.BuiltinRole("00000000-0000-0000-0000-000000000000"); ok {
		t.Error("a role that is none is built in")
	}
}

// TestContentRights walks roles over actions, in both modes: what data-plane.md §4.6 says.
func TestContentRights(t *testing.T) {
	t.Parallel()
	all := []acr.Action{acr.Pull, acr.Push, acr.Overwrite, acr.Delete, acr.MetadataRead, acr.MetadataWrite, acr.DeletedRead, acr.DeletedRestore, acr.All}
	const legacyAll = "pull push overwrite delete metadata_read metadata_write deleted_read deleted_restore *"
	for _, tt := range []struct{ role, legacy, abac string }{
		{"AcrPull", "pull metadata_read *", ""},
		{"AcrPush", "pull push overwrite metadata_read *", ""},
		{"AcrDelete", "delete", ""},
		{"AcrImageSigner", "", ""},
		{"Reader", "pull metadata_read deleted_read *", ""},
		{"Contributor", legacyAll, ""},
		{"Owner", legacyAll, ""},
		{"User Access Administrator", "pull metadata_read deleted_read *", ""},
		{"Container Registry Repository Reader", "", "pull metadata_read"},
		{"Container Registry Repository Writer", "", "pull push overwrite metadata_read metadata_write"},
		{"Container Registry Repository Contributor", "", "pull push overwrite delete metadata_read metadata_write"},
		{"Container Registry Repository Catalog Lister", "", "*"},
		{"Container Registry Data Importer and Data Reader", "pull metadata_read *", "pull metadata_read *"},
		{"Container Registry Tasks Contributor", "", ""},
	} {
		i := slices.IndexFunc(acr.BuiltinRoles(), func(r acr.RoleDefinition) bool { return r.RoleName == tt.role })
		p := acr.BuiltinRoles()[i].Permissions[0]
		may := func(m acr.PermissionMode) string {
			var out []string
			for _, act := range all {
				action, data := m.Operations(act)
				if action != "" && p.AllowsAction(action) || data != "" && p.AllowsData(data) {
					out = append(out, string(act))
				}
			}
			return strings.Join(out, " ")
		}
		if got := may(acr.LegacyPermissions); got != tt.legacy || may("") != got {
			t.Errorf("%s, legacy: %s, want %s", tt.role, got, tt.legacy)
		}
		if got := may(acr.AbacPermissions); got != tt.abac {
			t.Errorf("%s, ABAC: %s, want %s", tt.role, got, tt.abac)
		}
		for _, act := range all {
			both := strings.Contains(" "+may(acr.BothPermissions)+" ", " "+string(act)+" ")
			one := strings.Contains(" "+tt.legacy+" "+tt.abac+" ", " "+string(act)+" ")
			if both != one {
				t.Errorf("%s, both modes: %s is %t, want %t", tt.role, act, both, one)
			}
		}
	}
	if a, d := acr.PermissionMode("else").Operations(acr.Pull); a+d != "" {
		t.Errorf("an unknown mode asks for %s %s", a, d)
	}
}

func TestPermission(t *testing.T) {
	t.Parallel()
	const reg = "Microsoft.ContainerRegistry/registries/"
	list := func(s string) []string { return strings.Fields(s) }
	for _, tt := range []struct {
		name string
		p    acr.Permission
		op   string
		data bool
		want bool
	}{
		{"exact", acr.Permission{Actions: list(reg + "webhooks/read")}, reg + "webhooks/read", false, true},
		{"case", acr.Permission{Actions: list("microsoft.containerregistry/REGISTRIES/webhooks/read")}, reg + "webhooks/read", false, true},
		{"another", acr.Permission{Actions: list(reg + "webhooks/*")}, reg + "tokens/read", false, false},
		{"over slashes", acr.Permission{Actions: list("*/read")}, reg + "webhooks/read", false, true},
		{"in the middle", acr.Permission{Actions: list("Microsoft.*/read")}, reg + "webhooks/read", false, true},
		{"longer", acr.Permission{Actions: list(reg + "webhooks/read")}, reg + "webhooks/readx", false, false},
		{"not", acr.Permission{Actions: list("*"), NotActions: list(reg + "*/delete")}, reg + "tokens/delete", false, false},
		{"not another", acr.Permission{Actions: list("*"), NotActions: list(reg + "*/delete")}, reg + "tokens/write", false, true},
		{"actions are no data actions", acr.Permission{Actions: list("*")}, contentRead, true, false},
		{"data actions are no actions", acr.Permission{DataActions: list("*")}, reg + "read", false, false},
		{"create by write", acr.Permission{DataActions: list(contentWrite)}, contentCreate, true, true},
		{"write by create", acr.Permission{DataActions: list(contentCreate)}, contentWrite, true, false},
		{"create, not write", acr.Permission{DataActions: list(repositories + "*"), NotDataActions: list(contentWrite)}, contentCreate, true, true},
		{"write, not create", acr.Permission{DataActions: list(contentWrite), NotDataActions: list(contentCreate)}, contentCreate, true, false},
		{"neither", acr.Permission{DataActions: list(contentWrite), NotDataActions: list(repositories + "content/*")}, contentCreate, true, false},
		{"nothing", acr.Permission{}, contentRead, true, false},
	} {
		allows := tt.p.AllowsAction
		if tt.data {
			allows = tt.p.AllowsData
		}
		if got := allows(tt.op); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// Who may not manage access may not change the directory or trusted issuers either: that would be a way to any right.
func TestDirectoryRights(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		role  string
		write bool
	}{{acr.OwnerRole, true}, {acr.UserAccessAdministratorRole, true}, {acr.ContributorRole, false}, {acr.ReaderRole, false},
		{"f58310d9-a9f6-439a-9e8d-f62e7b41a168", false}} {
		r, _ := acr.BuiltinRole(tt.role)
		for _, op := range []string{"Microsoft.Graph/users/write", "microsoft.graph/applications/addPassword/action", "Microsoft.Graph/groups/delete",
			"Acre.Identity/trustedIssuers/write", "Acre.Identity/trustedIssuers/delete", "Microsoft.Graph/users"} {
			if got := r.Permissions[0].AllowsAction(op); got != tt.write {
				t.Errorf("%s on %s: %t", r.RoleName, op, got)
			}
		}
		if !r.Permissions[0].AllowsAction("Microsoft.Graph/users/read") {
			t.Errorf("%s may not read users", r.RoleName)
		}
	}
}
