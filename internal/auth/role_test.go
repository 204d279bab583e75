package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// onContents are all actions on contents by letters: pull, push (u), overwrite, delete, metadata read and write (w),
// deleted read (D) and restore (R), catalog and deleted catalog (C).
var onContents = map[string]struct {
	act acr.Action
	on  acr.Scope
}{
	"p": {acr.Pull, acr.Repository("team/app")}, "u": {acr.Push, acr.Repository("team/app")}, "o": {acr.Overwrite, acr.Repository("team/app")},
	"d": {acr.Delete, acr.Repository("team/app")}, "r": {acr.MetadataRead, acr.Repository("team/app")}, "w": {acr.MetadataWrite, acr.Repository("team/app")},
	"D": {acr.DeletedRead, acr.Repository("team/app")}, "R": {acr.DeletedRestore, acr.Repository("team/app")},
	"c": {acr.All, acr.Catalog}, "C": {acr.All, acr.DeletedCatalog},
}

// rolesOnContents is what built-in roles give on contents (data plane, section 4.6; features, section 5.1), without and
// with repository permissions. Roles that are not listed give nothing.
var rolesOnContents = map[string]struct{ legacy, abac string }{
	"AcrPull":                   {legacy: "prc"},
	"AcrPush":                   {legacy: "puorc"},
	"AcrDelete":                 {legacy: "d"},
	"Owner":                     {legacy: "puodrwDRcC"},
	"Contributor":               {legacy: "puodrwDRcC"},
	"Reader":                    {legacy: "prcDC"},
	"User Access Administrator": {legacy: "prcDC"},
	"Role Based Access Control Administrator":          {legacy: "prcDC"},
	"Container Registry Repository Reader":             {abac: "pr"},
	"Container Registry Repository Writer":             {abac: "pruow"},
	"Container Registry Repository Contributor":        {abac: "pruowd"},
	"Container Registry Repository Catalog Lister":     {abac: "c"},
	"Container Registry Data Importer and Data Reader": {legacy: "prc", abac: "prc"},
}

// Every built-in role, against every action on contents, in every mode.
func TestRolesOnContents(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		for _, def := range acr.BuiltinRoles() {
			w.assign(w.dir.person(def.ID).ID, def.ID, registryScope, "")
		}
		for _, m := range []acr.PermissionMode{"", acr.LegacyPermissions, acr.AbacPermissions, acr.BothPermissions} {
			w.set(func(r *acr.Registry) { r.Permissions = m })
			seen := 0
			for _, def := range acr.BuiltinRoles() {
				want := rolesOnContents[def.RoleName].legacy
				switch m {
				case acr.AbacPermissions:
					want = rolesOnContents[def.RoleName].abac
				case acr.BothPermissions:
					want += rolesOnContents[def.RoleName].abac
				}
				if _, listed := rolesOnContents[def.RoleName]; listed {
					seen++
				}
				id := w.login(def.ID)
				for letter, c := range onContents {
					if got := w.may(id, c.on, c.act); got != strings.Contains(want, letter) {
						t.Errorf("mode %q: %s may %s on %v: %t", m, def.RoleName, c.act, c.on, got)
					}
				}
			}
			if seen != len(rolesOnContents) {
				t.Errorf("%d of %d roles that are listed exist", seen, len(rolesOnContents))
			}
		}
	})
}

// controlOperations are the operations of the management API, those of registries without their prefix, by the roles that
// hold them beside Owner and Contributor and, where they read, the three roles that read all: D and d are the two registry
// configuration roles (D writes), t tasks, x transfer, i importer, k and K cache rules, s and S credential sets, p pull, P push,
// e delete, g signer, q and Q quarantine.
var controlOperations = []struct{ ops, holders string }{
	{"read", "Ddti"},
	{"write delete regenerateCredential/action generateCredentials/action privateEndpointConnectionsApproval/action", "D"},
	{"operationStatuses/read", "Dd"},
	{"listCredentials/action", "Dd"},
	{"importImage/action", "i"},
	{"scheduleRun/action listBuildSourceUploadUrl/action", "t"},
	{"getBuildSourceUploadUrl/action queueBuild/action listUsages/read listPolicies/read updatePolicies/write", ""},
	{"pull/read", "pPi"},
	{"push/write", "P"},
	{"artifacts/delete", "e"},
	{"sign/write", "g"},
	{"quarantine/read", "qQ"},
	{"quarantine/write", "Q"},
	{"metadata/read metadata/write deleted/read deleted/restore/action", ""},
	{"replications/read tokens/read scopeMaps/read connectedRegistries/read webhooks/read privateEndpointConnections/read", "Dd"},
	{"replications/write tokens/write scopeMaps/write connectedRegistries/write webhooks/write privateEndpointConnections/write", "D"},
	{"replications/delete tokens/delete scopeMaps/delete connectedRegistries/delete webhooks/delete privateEndpointConnections/delete", "D"},
	{"replications/operationStatuses/read tokens/operationStatuses/read scopeMaps/operationStatuses/read webhooks/operationStatuses/read", "Dd"},
	{"connectedRegistries/operationStatuses/read privateEndpointConnections/operationStatuses/read", "Dd"},
	{"connectedRegistries/deactivate/action webhooks/ping/action", "D"},
	{"webhooks/getCallbackConfig/action webhooks/listEvents/action", "Dd"},
	{"cacheRules/read", "Kk"},
	{"cacheRules/write cacheRules/delete cacheRules/operationStatuses/read", "K"},
	{"credentialSets/read", "Ss"},
	{"credentialSets/write credentialSets/delete", "S"},
	{"exportPipelines/read exportPipelines/write exportPipelines/delete importPipelines/read importPipelines/write importPipelines/delete", "x"},
	{"pipelineRuns/read pipelineRuns/write pipelineRuns/delete pipelineRuns/operationStatuses/read", "x"},
	{"eventGridFilters/read eventGridFilters/write eventGridFilters/delete packages/archives/read packages/archives/versions/write", ""},
	{"privateEndpointConnectionProxies/validate/action privateEndpointConnectionProxies/read privateEndpointConnectionProxies/write", ""},
	{"agentpools/read agentpools/write agentpools/delete agentpools/listQueueStatus/action agentpools/operationStatuses/read", "t"},
	{"tasks/read tasks/write tasks/delete tasks/listDetails/action runs/read runs/write runs/listLogSasUrl/action runs/cancel/action", "t"},
	{"taskruns/read taskruns/write taskruns/delete taskruns/listDetails/action taskruns/operationStatuses/read", "t"},
	{"providers/Microsoft.Insights/diagnosticSettings/read providers/Microsoft.Insights/diagnosticSettings/write", "Dd"},
}

// otherOperations are those of other providers, with all roles that hold them beside Owner: c is Contributor, r Reader, U and
// A the administrators of access.
var otherOperations = map[string]string{
	"Microsoft.Authorization/roleAssignments/read":           "crUADd",
	"Microsoft.Authorization/roleAssignments/write":          "UA",
	"Microsoft.Authorization/roleAssignments/delete":         "UA",
	"Microsoft.Authorization/roleDefinitions/write":          "U",
	"Microsoft.ManagedIdentity/userAssignedIdentities/write": "c",
	"Microsoft.Graph/users/write":                            "U",
	"Acre.Identity/trustedIssuers/write":                     "U",
}

// everyOperation is both, with all their holders.
func everyOperation() map[string]string {
	out := maps.Clone(otherOperations)
	for _, line := range controlOperations {
		for op := range strings.FieldsSeq(line.ops) {
			holders := line.holders + "c"
			if strings.HasSuffix(op, "/read") || op == "read" {
				holders += "rUA"
			}
			out["Microsoft.ContainerRegistry/registries/"+op] = holders
		}
	}
	return out
}

var controlRoles = map[string]string{
	"Contributor": "c", "Reader": "r", "User Access Administrator": "U", "Role Based Access Control Administrator": "A",
	"Container Registry Contributor and Data Access Configuration Administrator":   "D",
	"Container Registry Configuration Reader and Data Access Configuration Reader": "d",
	"Container Registry Tasks Contributor":                                         "t",
	"Container Registry Transfer Pipeline Contributor":                             "x",
	"Container Registry Data Importer and Data Reader":                             "i",
	"Container Registry Cache Rule Reader":                                         "k",
	"Container Registry Cache Rule Administrator":                                  "K",
	"Container Registry Credential Set Reader":                                     "s",
	"Container Registry Credential Set Administrator":                              "S",
	"AcrPull": "p", "AcrPush": "P", "AcrDelete": "e", "AcrImageSigner": "g", "AcrQuarantineReader": "q", "AcrQuarantineWriter": "Q",
	"Managed Identity Operator": "m",
}

// Every built-in role, against every operation of the management API.
func TestRolesOnTheManagementAPI(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		for _, def := range acr.BuiltinRoles() {
			p := w.dir.person(def.ID)
			w.assign(p.ID, def.ID, "/subscriptions/sub/resourceGroups/group", "")
			ctx := As(w.Context(), w.arm(p))
			for op, holders := range everyOperation() {
				want := def.RoleName == "Owner" || controlRoles[def.RoleName] != "" && strings.Contains(holders, controlRoles[def.RoleName])
				if err := (Policy{}).Control(ctx, registryScope, op); want != (err == nil) || !want && !errors.Is(err, fault.Denied) {
					t.Errorf("%s, %s: %v", def.RoleName, op, err)
				}
				for _, scope := range []string{"/", "/subscriptions/sub", "/subscriptions/sub/resourceGroups/group2", "/subscriptions/other/resourceGroups/group"} {
					if err := (Policy{}).Control(ctx, scope, op); !errors.Is(err, fault.Denied) {
						t.Errorf("%s, %s on %s: %v", def.RoleName, op, scope, err)
					}
				}
			}
		}
	})
}

// arm is a principal with a token for the management API.
func (w *world) arm(p Principal) Identity {
	w.Helper()
	token := uuid.NewString()
	w.dir.mu.Lock()
	w.dir.tokens[token] = Verified{Principal: p, Audience: "https://management.azure.com/"}
	w.dir.mu.Unlock()
	w.node.opt.Registries.Forget()
	id, err := w.node.ARM(w.Context(), token)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// Where a role is assigned decides what it covers: the registry's ancestors, the registry, one repository, nothing beside.
func TestScopesOfAssignments(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		for i, c := range []struct {
			scope   string
			covers  []string // of app, team/app, team
			catalog bool
		}{
			{"/", []string{"app", "team/app", "team"}, true},
			{"/subscriptions/SUB", []string{"app", "team/app", "team"}, true},
			{"/subscriptions/sub/resourcegroups/Group/", []string{"app", "team/app", "team"}, true},
			{registryScope, []string{"app", "team/app", "team"}, true},
			{registryScope + "/repositories/team", []string{"team"}, false},
			{registryScope + "/repositories/team/app", []string{"team/app"}, false},
			{registryScope + "/tokens/ci", nil, false},
			{registryScope + "2", nil, false},
			{"/subscriptions/su", nil, false},
		} {
			p := w.dir.person(fmt.Sprintf("person%d", i))
			w.assign(p.ID, acr.AcrPullRole, c.scope, "")
			w.assign(p.ID, acr.CatalogListerRole, registryScope, "") // gives nothing here, so that all log in
			id := w.login(p.Name)
			for _, repo := range []string{"app", "team/app", "team"} {
				if got := w.may(id, acr.Repository(repo), acr.Pull); got != slices.Contains(c.covers, repo) {
					t.Errorf("a role on %s: pull from %s is %t", c.scope, repo, got)
				}
			}
			if got := w.may(id, acr.Catalog, acr.All); got != c.catalog {
				t.Errorf("a role on %s: the catalog is %t", c.scope, got)
			}
		}
	})
}

// A custom role gives what it says; deleted, it gives nothing. A group's roles are its members'.
func TestCustomRolesAndGroups(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		def := acr.RoleDefinition{
			ID: uuid.NewString(), RoleName: "create only", Custom: true, AssignableScopes: []string{"/"},
			Permissions: []acr.Permission{{DataActions: []string{"Microsoft.ContainerRegistry/registries/repositories/content/read",
				"Microsoft.ContainerRegistry/registries/repositories/content/create"}}},
		}
		store(w, acr.RoleDefinitionID(def.ID), def)
		w.set(func(r *acr.Registry) { r.Permissions = acr.AbacPermissions })
		group := uuid.NewString()
		p := w.dir.person("ci", group)
		w.assign(group, def.ID, registryScope, "")
		id, on := w.login("ci"), acr.Repository("app")
		if !w.may(id, on, acr.Pull, acr.Push) || w.may(id, on, acr.Overwrite) || w.may(id, on, acr.Delete) {
			t.Error("who may create and not overwrite may something else")
		}
		w.assign(p.ID, acr.RepositoryWriterRole, registryScope+"/repositories/app", "")
		if id := w.login("ci"); !w.may(id, on, acr.Overwrite) || w.may(id, acr.Repository("other"), acr.Overwrite) {
			t.Error("a writer of a repository may not overwrite there, or elsewhere too")
		}
		w.erase(acr.RoleDefinitionID(def.ID))
		if id := w.login("ci"); w.may(id, acr.Repository("other"), acr.Pull) {
			t.Error("a role that was deleted gives rights")
		}
	})
}

// Conditions see repository, tag, digest, address and time. What a request does not name keeps nobody from reading or adding,
// and everybody from deleting and overwriting.
func TestConditions(t *testing.T) {
	t.Parallel()
	const name = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]"
	const tag = "@Request[Microsoft.ContainerRegistry/registries/repositories:tag]"
	eachWorld(t, func(w *world) {
		w.set(func(r *acr.Registry) { r.Permissions = acr.AbacPermissions })
		tagged := func(name, tag string) acr.Scope { on := acr.Repository(name); on.Tag = tag; return on }
		for i, c := range []struct {
			condition string
			may       []acr.Scope // push
			not       []acr.Scope
			remove    []acr.Scope // delete
			not2      []acr.Scope
		}{
			{name + " StringStartsWith 'team/'",
				[]acr.Scope{acr.Repository("team/a")}, []acr.Scope{acr.Repository("teamx/a"), acr.Repository("*")},
				[]acr.Scope{acr.Repository("team/a")}, []acr.Scope{acr.Repository("other")}},
			{tag + " StringStartsWith 'release-'",
				[]acr.Scope{tagged("a", "release-1"), acr.Repository("a")}, []acr.Scope{tagged("a", "dev")},
				[]acr.Scope{tagged("a", "release-1")}, []acr.Scope{acr.Repository("a"), tagged("a", "dev")}},
			{"!(" + tag + " StringStartsWith 'release-')",
				[]acr.Scope{tagged("a", "dev"), acr.Repository("a")}, []acr.Scope{tagged("a", "release-1")},
				[]acr.Scope{tagged("a", "dev")}, []acr.Scope{acr.Repository("a"), tagged("a", "release-1")}},
			{"!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/delete'})",
				[]acr.Scope{acr.Repository("a")}, nil, nil, []acr.Scope{acr.Repository("a")}},
			{"@Environment[UtcNow] DateTimeLessThan '2026-03-02T00:00:00Z'",
				[]acr.Scope{acr.Repository("a")}, nil, []acr.Scope{acr.Repository("a")}, nil},
			{"@Environment[UtcNow] DateTimeLessThan '2026-03-01T00:00:00Z'",
				nil, []acr.Scope{acr.Repository("a")}, nil, []acr.Scope{acr.Repository("a")}},
		} {
			p := w.dir.person(fmt.Sprintf("person%d", i))
			w.assign(p.ID, acr.RepositoryContributorRole, registryScope, c.condition)
			id := w.login(p.Name)
			for want, list := range map[bool][]acr.Scope{true: c.may, false: c.not} {
				for _, on := range list {
					if got := w.may(id, on, acr.Push); got != want {
						t.Errorf("%s: push to %v is %t", c.condition, on, got)
					}
				}
			}
			for want, list := range map[bool][]acr.Scope{true: c.remove, false: c.not2} {
				for _, on := range list {
					if got := w.may(id, on, acr.Delete); got != want {
						t.Errorf("%s: delete of %v is %t", c.condition, on, got)
					}
				}
			}
			for _, on := range c.not {
				if on.Tag == "" && on.Name != "*" && len(w.grants(w.access(id, "repository:"+on.Name+":push"))) > 0 {
					t.Errorf("%s: a token for %v says push", c.condition, on)
				}
			}
		}
	})
}

// grants are what an access token holds.
func (w *world) grants(token string) []acr.Grant {
	w.Helper()
	c, err := w.node.parse(w.Context(), w.reg(w.node), token, w.c.now())
	if err != nil {
		w.Fatal(err)
	}
	return c.Access
}

// A condition on the address is asked with the request's own.
func TestConditionOnTheAddress(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.set(func(r *acr.Registry) { r.Permissions = acr.AbacPermissions })
		p := w.dir.person("ci")
		w.assign(p.ID, acr.RepositoryWriterRole, registryScope, "@Environment[Microsoft.ContainerRegistry/registries:sourceAddress] IpMatch '10.0.0.0/8'")
		id, on := w.login("ci"), acr.Repository("app")
		for address, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "192.0.2.1": false} {
			if got := w.may(id.From(mustAddr(address), false), on, acr.Push); got != want {
				t.Errorf("from %s: %t", address, got)
			}
		}
		if w.may(id, on, acr.Push) {
			t.Error("from nowhere: allowed")
		}
	})
}

// Control is for principals alone: neither a registry's admin user nor a token, nor a principal's registry token.
func TestRegistryIdentitiesControlNothing(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(w *world) {
		w.token("robot", "repositories/*/content/read")
		w.assign(w.dir.person("owner").ID, acr.OwnerRole, "/", "")
		admin, err := w.node.Password(w.Context(), w.reg(w.node), "acre", "p1", "a")
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []Identity{admin, w.login("robot"), w.login("owner"), {Name: "system:x"}, {}} {
			if err := (Policy{}).Control(As(w.Context(), id), registryScope, "Microsoft.ContainerRegistry/registries/read"); !errors.Is(err, fault.Denied) {
				t.Errorf("%q: %v", id.Name, err)
			}
		}
		if err := (Policy{}).Control(w.Context(), registryScope, "x"); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("nobody: %v", err)
		}
		if err := (Policy{}).Control(operator(w.Context()), registryScope, "x"); err != nil {
			t.Errorf("the system: %v", err)
		}
	})
}
