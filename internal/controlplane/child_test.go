package controlplane_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// child is a Premium registry with data endpoints, as its children need.
func (s *server) registry(name string) string {
	s.Helper()
	s.want(201, "PUT", scopeR+name, premium(object{"dataEndpointEnabled": true}))
	return scopeR + name
}

// token makes a token with a scope map of its own.
func (s *server) token(reg, name string, actions ...string) string {
	s.Helper()
	s.want(201, "PUT", reg+"/scopeMaps/"+name, properties(object{"actions": actions}))
	s.want(201, "PUT", reg+"/tokens/"+name, properties(object{"scopeMapId": reg + "/scopeMaps/" + name}))
	return reg + "/tokens/" + name
}

func webhookBody(p object) object {
	body := object{"serviceUri": "https://hooks.example.com/in?key=secret", "actions": []string{"push"}}
	for name, v := range p {
		body[name] = v
	}
	return object{"location": "eastus", "properties": body}
}

// The shape of webhooks: where they call is told by one action alone.
func TestWireWebhook(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := s.registry("MyReg")
		r.run("GET", at+"/webhooks/hook1", nil)
		r.run("PUT", at+"/webhooks/Hook1", object{"location": "East US", "tags": object{"a": "b"}, "properties": object{
			"serviceUri": "https://hooks.example.com/in", "customHeaders": object{"Authorization": "Bearer x"}, "actions": []string{"push", "Delete"}, "scope": "app:*", "status": "disabled"}})
		r.run("GET", strings.ToLower(at)+"/webhooks/hook1", nil)
		r.run("POST", at+"/webhooks/hook1/getCallbackConfig", nil)
		r.run("PATCH", at+"/webhooks/hook1", properties(object{"status": "enabled", "serviceUri": "http://10.0.0.7:8080/", "scope": nil}))
		r.run("POST", at+"/webhooks/hook1/getCallbackConfig", nil)
		r.run("PATCH", at+"/webhooks/hook1", object{"tags": nil, "properties": object{"customHeaders": nil}})
		r.run("POST", at+"/webhooks/hook1/getCallbackConfig", nil)
		r.run("POST", at+"/webhooks/hook1/listEvents", nil)
		r.run("GET", at+"/webhooks", nil)
		r.run("DELETE", at+"/webhooks/hook1", nil)
		r.run("DELETE", at+"/webhooks/hook1", nil)
		r.compare("webhook")
	})
}

// The shape of replications: home is there from the start, others say that nothing is replicated.
func TestWireReplication(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := s.registry("MyReg")
		r.run("GET", at+"/replications", nil)
		r.run("GET", at+"/replications/EASTUS", nil)
		r.run("PUT", at+"/replications/westeurope", object{"location": "West Europe", "tags": object{"a": "b"}, "properties": object{"regionEndpointEnabled": false}})
		r.run("PATCH", at+"/replications/westeurope", object{"properties": object{"regionEndpointEnabled": true}})
		r.run("PATCH", at+"/replications/eastus", object{"tags": object{"home": "yes"}})
		r.run("GET", at+"/replications", nil)
		r.run("DELETE", at+"/replications/eastus", nil)
		r.run("DELETE", at+"/replications/westeurope", nil)
		r.run("DELETE", at+"/replications/westeurope", nil)
		r.compare("replication")
	})
}

// The shape of cache rules and credential sets.
func TestWireCacheRule(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := s.registry("MyReg")
		secrets := object{"name": "Credential1", "usernameSecretIdentifier": "https://vault.vault.azure.net/secrets/user", "passwordSecretIdentifier": "https://vault.vault.azure.net/secrets/pass/1"}
		r.run("PUT", at+"/credentialSets/Docker-Hub", object{"identity": object{"type": "SystemAssigned"}, "properties": object{"loginServer": "docker.io", "authCredentials": []object{secrets}}})
		r.run("GET", at+"/credentialSets/docker-hub", nil)
		r.run("PUT", at+"/cacheRules/nginx", properties(object{"sourceRepository": "docker.io/library/nginx", "targetRepository": "nginx", "credentialSetResourceId": strings.ToLower(at) + "/credentialSets/docker-hub"}))
		r.run("PATCH", at+"/cacheRules/nginx", properties(object{"credentialSetResourceId": nil}))
		r.run("PATCH", at+"/cacheRules/nginx", properties(object{"credentialSetResourceId": at + "/credentialSets/Docker-Hub"}))
		r.run("DELETE", at+"/credentialSets/docker-hub", nil)
		r.run("PUT", at+"/cacheRules/mcr-all", properties(object{"sourceRepository": "mcr.microsoft.com/*", "targetRepository": "ms/*", "credentialSetResourceId": nil}))
		r.run("PUT", at+"/cacheRules/mcr-dotnet", properties(object{"sourceRepository": "mcr.microsoft.com/dotnet/*", "targetRepository": "ms/dotnet/*"}))
		r.run("PUT", at+"/cacheRules/mcr-hello", properties(object{"sourceRepository": "mcr.microsoft.com/hello-world", "targetRepository": "ms/hello-world"}))
		r.run("GET", at+"/cacheRules", nil)
		r.run("DELETE", at+"/cacheRules/nginx", nil)
		r.run("DELETE", at+"/cacheRules/nginx", nil)
		r.run("DELETE", at+"/credentialSets/docker-hub", nil)
		r.compare("cacherule")
	})
}

func connectedBody(parent, token string, p object) object {
	above := object{"syncProperties": object{"tokenId": token, "messageTtl": "P2D"}}
	if parent != "" {
		above["id"] = parent
	}
	body := object{"mode": "readonly", "parent": above}
	for name, v := range p {
		body[name] = v
	}
	return properties(body)
}

// The shape of connected registries, and a tree of them.
func TestWireConnectedRegistry(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := s.registry("MyReg")
		root := s.token(at, "zrootsync", "repositories/app/content/read", "repositories/app/metadata/read", "repositories/app/content/write", "gateway/achild/config/read")
		child := s.token(at, "achildsync", "repositories/app/content/read", "repositories/app/metadata/read")
		client := s.token(at, "client1", "repositories/app/content/read")
		of := at + "/connectedRegistries"
		r.run("PUT", of+"/zroot", connectedBody(at, strings.ToLower(root), object{"mode": "ReadWrite", "garbageCollection": object{"enabled": "true", "schedule": "0 5 * * *"},
			"notificationsList": []string{"*:*"}, "clientTokenIds": []string{client}, "logging": object{"logLevel": "warning"}}))
		s.advance(1)
		r.run("PUT", of+"/achild", connectedBody(of+"/ZROOT", child, nil))
		r.run("GET", of, nil)
		r.run("GET", of+"?api-version="+version+"&$filter=parent.id%20eq%20'"+strings.ToLower(of)+"/zroot'%20and%20mode%20eq%20'mirror'", nil)
		r.run("GET", of+"?api-version="+version+"&$filter=connectionState%20eq%20'Online'", nil)
		r.run("PATCH", of+"/zroot", properties(object{"syncProperties": object{"schedule": "0 0/10 * * *", "syncWindow": "PT4H"}, "clientTokenIds": []string{},
			"logging": object{}, "garbageCollection": object{"enabled": false}, "notificationsList": nil}))
		r.run("PATCH", of+"/zroot", properties(object{"syncProperties": object{"schedule": "* * * * *"}}))
		r.run("POST", of+"/zroot/deactivate", nil)
		r.run("POST", of+"/zroot/resync", nil)
		r.run("DELETE", of+"/zroot", nil)
		r.run("DELETE", at+"/tokens/zrootsync", nil)
		r.run("DELETE", of+"/achild", nil)
		r.run("DELETE", of+"/zroot", nil)
		r.run("DELETE", at+"/tokens/zrootsync", nil)
		r.compare("connectedregistry")
	})
}

// The shape of transfer pipelines, and of a run that fails for what is not there.
func TestWirePipeline(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := s.registry("MyReg")
		uri := "https://account.blob.core.windows.net/transfer"
		r.run("PUT", at+"/exportPipelines/export1", object{"identity": object{"type": "SystemAssigned"},
			"properties": object{"target": object{"type": "AzureStorageBlobContainer", "uri": uri, "keyVaultUri": "https://vault.vault.azure.net/secrets/sas"}, "options": []string{"OverwriteBlobs"}}})
		r.run("PUT", at+"/importPipelines/import1", object{"location": "East US", "identity": object{"type": "SystemAssigned"},
			"properties": object{"source": object{"uri": uri, "storageAccessMode": "ManagedIdentity"}, "trigger": object{"sourceTrigger": object{"status": "Disabled"}}}})
		r.run("GET", at+"/exportPipelines", nil)
		r.run("GET", at+"/importPipelines/IMPORT1", nil)
		r.run("PATCH", at+"/importPipelines/import1", object{})
		made := r.run("PUT", at+"/pipelineRuns/run01", properties(object{"request": object{"pipelineResourceId": at + "/exportPipelines/EXPORT1", "artifacts": []string{"app:v1"}, "target": object{"type": "AzureStorageBlob", "name": "blob1"}}}))
		if poll := made.header.Get("Azure-AsyncOperation"); poll != "" {
			r.run("GET", s.path(poll), nil)
			s.work()
			r.run("GET", s.path(poll), nil)
		}
		r.run("GET", at+"/pipelineRuns/run01", nil)
		r.run("DELETE", at+"/exportPipelines/export1", nil)
		r.run("GET", at+"/pipelineRuns", nil)
		r.run("DELETE", at+"/pipelineRuns/run01", nil)
		r.run("GET", at+"/packages/maven/archives", nil)
		r.run("PUT", at+"/packages/maven/archives/central", properties(object{}))
		r.run("PUT", at+"/packages/maven/archives/central/versions/v1000", nil)
		r.run("GET", at+"/packages/maven/archives/central", nil)
		r.run("DELETE", at+"/packages/maven/archives/central", nil)
		r.compare("pipeline")
	})
}

// What is wrong is refused, and says what and what to do; what is not known is left out.
func TestChildRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := s.registry("MyReg")
		s.want(201, "PUT", scopeR+"basic1", object{"location": "eastus", "sku": object{"name": "Basic"}})
		s.want(201, "PUT", at+"/webhooks/hook1", webhookBody(object{"unknown": object{"x": 1}}))
		sync := s.token(at, "synctoken", "repositories/app/content/read", "repositories/app/metadata/read")
		other := s.token(at, "othertoken", "repositories/other/content/read")
		s.want(201, "PUT", at+"/connectedRegistries/root1", connectedBody("", sync, nil))
		set := func(host string, p object) object {
			cred := object{"name": "Credential1", "usernameSecretIdentifier": "https://v.vault.azure.net/secrets/u", "passwordSecretIdentifier": "https://v.vault.azure.net/secrets/p"}
			for name, v := range p {
				cred[name] = v
			}
			return properties(object{"loginServer": host, "authCredentials": []object{cred}})
		}
		s.want(201, "PUT", at+"/credentialSets/hubset", set("docker.io", nil))
		s.want(201, "PUT", at+"/cacheRules/first", properties(object{"sourceRepository": "docker.io/library/first", "targetRepository": "first", "credentialSetResourceId": at + "/credentialSets/hubset"}))
		rule := func(source, target string) object {
			return properties(object{"sourceRepository": source, "targetRepository": target})
		}
		hook := func(p object) object { return webhookBody(p) }
		connected := func(p object) object { return connectedBody("", other, p) }
		container := object{"uri": "https://account.blob.core.windows.net/c", "keyVaultUri": "https://v.vault.azure.net/secrets/s"}
		export := func(target object) object { return properties(object{"target": target}) }
		s.want(201, "PUT", at+"/exportPipelines/export1", export(container))
		run := func(request object) object { return properties(object{"request": request}) }
		exports := at + "/exportPipelines/export1"
		for _, tt := range []struct {
			status       int
			code, words  string
			method, path string
			body         any
		}{
			{400, "BadRequest", "5 to 50 letters and digits", "PUT", "/webhooks/a-b-c", hook(nil)},
			{400, "LocationRequired", "location", "PUT", "/webhooks/hook2", properties(object{"serviceUri": "https://x.example", "actions": []string{"push"}})},
			{400, "LocationNotAvailableForResourceType", "has no replication there", "PUT", "/webhooks/hook2", object{"location": "westus", "properties": object{"serviceUri": "https://x.example", "actions": []string{"push"}}}},
			{400, "BadRequest", "needs a serviceUri", "PUT", "/webhooks/hook2", object{"location": "eastus", "properties": object{"actions": []string{"push"}}}},
			{400, "BadRequest", "https:// or http://", "PUT", "/webhooks/hook2", hook(object{"serviceUri": "ftp://x.example/"})},
			{400, "BadRequest", "https:// or http://", "PUT", "/webhooks/hook2", hook(object{"serviceUri": "https://"})},
			{400, "BadRequest", "https:// or http://", "PATCH", "/webhooks/hook1", properties(object{"serviceUri": nil})},
			{400, "BadRequest", "https:// or http://", "PATCH", "/webhooks/hook1", properties(object{"serviceUri": "https://x.example/" + strings.Repeat("a", 2048)})},
			{400, "InvalidRequestContent", "could not be deserialized", "PATCH", "/webhooks/hook1", properties(object{"serviceUri": 7})},
			{400, "BadRequest", "give it actions", "PATCH", "/webhooks/hook1", properties(object{"actions": nil})},
			{400, "BadRequest", "needs actions", "PUT", "/webhooks/hook2", object{"location": "eastus", "properties": object{"serviceUri": "https://x.example"}}},
			{400, "BadRequest", "\"pull\"", "PATCH", "/webhooks/hook1", properties(object{"actions": []string{"pull"}})},
			{400, "BadRequest", "each once", "PATCH", "/webhooks/hook1", properties(object{"actions": []string{"push", "PUSH"}})},
			{400, "BadRequest", "enabled or disabled", "PATCH", "/webhooks/hook1", properties(object{"status": "on"})},
			{400, "BadRequest", "repository:tag", "PATCH", "/webhooks/hook1", properties(object{"scope": "App:*"})},
			{400, "BadRequest", "one line", "PATCH", "/webhooks/hook1", properties(object{"customHeaders": object{"X-A": "b\r\nHost: c"}})},
			{400, "BadRequest", "belongs to the connection", "PATCH", "/webhooks/hook1", properties(object{"customHeaders": object{"Host": "c"}})},
			{409, "InvalidResourceLocation", "'eastus'", "PUT", "/webhooks/hook1", object{"location": "westus", "properties": object{"serviceUri": "https://x.example", "actions": []string{"push"}}}},
			{404, "ResourceNotFound", "", "PATCH", "/webhooks/hook9", properties(object{"status": "disabled"})},
			{404, "ResourceNotFound", "", "POST", "/webhooks/hook9/ping", nil},
			{404, "ResourceNotFound", "", "POST", "/webhooks/hook9/listEvents", nil},
			{404, "ResourceNotFound", "", "POST", "/webhooks/hook9/getCallbackConfig", nil},

			{400, "LocationRequired", "location", "PUT", "/replications/westus", properties(nil)},
			{409, "Conflict", "the home of registry", "PUT", "/replications/second", object{"location": "East US"}},
			{409, "InvalidResourceLocation", "", "PUT", "/replications/eastus", object{"location": "westus"}},
			{400, "PropertyChangeNotAllowed", "zoneRedundancy", "PATCH", "/replications/eastus", properties(object{"zoneRedundancy": "Enabled"})},
			{400, "BadRequest", "Disabled or Enabled", "PUT", "/replications/westus", object{"location": "westus", "properties": object{"zoneRedundancy": "maybe"}}},

			{400, "BadRequest", "needs a sourceRepository", "PUT", "/cacheRules/rule1", properties(object{"targetRepository": "x"})},
			{400, "BadRequest", "docker.io/library/ubuntu", "PUT", "/cacheRules/rule1", rule("ubuntu", "ubuntu")},
			{400, "BadRequest", "docker.io/library/ubuntu", "PUT", "/cacheRules/rule1", rule("https://docker.io/ubuntu", "ubuntu")},
			{400, "BadRequest", "targetRepository", "PUT", "/cacheRules/rule1", rule("docker.io/ubuntu", "Ubuntu")},
			{400, "BadRequest", "both end with a wildcard", "PUT", "/cacheRules/rule1", rule("docker.io/library/*", "ubuntu")},
			{400, "BadRequest", "in the middle", "PUT", "/cacheRules/rule1", rule("docker.io/library/*", "a/*/b")},
			{409, "Conflict", "'first' has it", "PUT", "/cacheRules/rule1", rule("docker.io/library/ubuntu", "first")},
			{400, "PropertyChangeNotAllowed", "sourceRepository", "PUT", "/cacheRules/first", rule("docker.io/library/second", "first")},
			{400, "PropertyChangeNotAllowed", "targetRepository", "PATCH", "/cacheRules/first", properties(object{"targetRepository": "second"})},
			{400, "BadRequest", "does not exist in registry", "PATCH", "/cacheRules/first", properties(object{"credentialSetResourceId": at + "/credentialSets/nowhere"})},
			{400, "BadRequest", "not the ID of a credential set", "PATCH", "/cacheRules/first", properties(object{"credentialSetResourceId": scopeR + "basic1/credentialSets/hubset"})},
			{400, "BadRequest", "is for docker.io, but", "PUT", "/cacheRules/rule1", properties(object{"sourceRepository": "ghcr.io/a/b", "targetRepository": "b", "credentialSetResourceId": at + "/credentialSets/hubset"})},
			{400, "BadRequest", "user-assigned one", "PUT", "/cacheRules/rule1", object{"identity": object{"type": "SystemAssigned"}, "properties": rule("ghcr.io/a/b", "b")["properties"]}},
			{400, "BadRequest", "does not exist: create it first", "PUT", "/cacheRules/rule1", object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{
				scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/none": object{}}}, "properties": rule("ghcr.io/a/b", "b")["properties"]}},
			{400, "BadRequest", "GoogleArtifactRegistry", "PATCH", "/cacheRules/first", properties(object{"additionalAuthenticationProperties": object{"authenticationType": "Other"}})},
			{409, "ResourceInUse", "cache rule 'first'", "DELETE", "/credentialSets/hubset", nil},

			{400, "BadRequest", "needs a loginServer", "PUT", "/credentialSets/other", properties(object{"authCredentials": []object{}})},
			{400, "BadRequest", "host of a registry", "PUT", "/credentialSets/other", set("https://docker.io", nil)},
			{400, "BadRequest", "Credential1", "PUT", "/credentialSets/other", set("docker.io", object{"name": "Credential2"})},
			{400, "BadRequest", "identifier of a secret", "PUT", "/credentialSets/other", set("docker.io", object{"passwordSecretIdentifier": "hunter2"})},
			{400, "PropertyChangeNotAllowed", "loginServer", "PUT", "/credentialSets/hubset", set("ghcr.io", nil)},

			{400, "BadRequest", "begin with a letter", "PUT", "/connectedRegistries/1root", connected(nil)},
			{400, "BadRequest", "messageTtl", "PUT", "/connectedRegistries/root2", properties(object{"mode": "ReadOnly", "parent": object{"syncProperties": object{"tokenId": other}}})},
			{400, "BadRequest", "ReadOnly or ReadWrite", "PUT", "/connectedRegistries/root2", connected(object{"mode": "Sideways"})},
			{400, "BadRequest", "either a sync token or one user-assigned identity", "PUT", "/connectedRegistries/root2", connectedBody("", "", nil)},
			{400, "BadRequest", "does not exist in registry", "PUT", "/connectedRegistries/root2", connectedBody("", at+"/tokens/nowhere", nil)},
			{409, "Conflict", "one of its own", "PUT", "/connectedRegistries/root2", connectedBody("", sync, nil)},
			{400, "BadRequest", "parent 'nobody1'", "PUT", "/connectedRegistries/root2", connectedBody(at+"/connectedRegistries/nobody1", other, nil)},
			{400, "BadRequest", "whose mode is ReadOnly", "PUT", "/connectedRegistries/root2", connectedBody(at+"/connectedRegistries/root1", other, object{"mode": "readwrite"})},
			{400, "BadRequest", "repositories/other/content/read, which its parent", "PUT", "/connectedRegistries/root2", connectedBody(at+"/connectedRegistries/root1", other, nil)},
			{400, "BadRequest", "client token 'nowhere'", "PUT", "/connectedRegistries/root2", connected(object{"clientTokenIds": []string{at + "/tokens/nowhere"}})},
			{400, "BadRequest", "not the ID of a token", "PUT", "/connectedRegistries/root2", connected(object{"clientTokenIds": []string{at + "/scopeMaps/synctoken"}})},
			{400, "BadRequest", "repository:tag:action", "PUT", "/connectedRegistries/root2", connected(object{"notificationsList": []string{"app:v1:pull"}})},
			{400, "BadRequest", "Debug, Information", "PUT", "/connectedRegistries/root2", connected(object{"logging": object{"logLevel": "Loud"}})},
			{400, "InvalidRequestContent", "neither true nor false", "PUT", "/connectedRegistries/root2", connected(object{"garbageCollection": object{"enabled": "sometimes"}})},
			{400, "BadRequest", "cron expression", "PATCH", "/connectedRegistries/root1", properties(object{"garbageCollection": object{"schedule": "daily"}})},
			{400, "BadRequest", "needs a syncWindow", "PATCH", "/connectedRegistries/root1", properties(object{"syncProperties": object{"schedule": "0 3 * * *"}})},
			{400, "BadRequest", "ISO 8601", "PATCH", "/connectedRegistries/root1", properties(object{"syncProperties": object{"syncWindow": "4 hours"}})},
			{400, "BadRequest", "P1D to P90D", "PATCH", "/connectedRegistries/root1", properties(object{"syncProperties": object{"messageTtl": "PT1H"}})},
			{400, "PropertyChangeNotAllowed", "mode", "PUT", "/connectedRegistries/root1", connectedBody("", sync, object{"mode": "ReadWrite"})},
			{400, "InvalidFilterInQueryString", "parent.id", "GET", "/connectedRegistries?api-version=" + version + "&$filter=name%20eq%20'x'", nil},
			{409, "ResourceInUse", "sync token of the connected registry 'root1'", "DELETE", "/tokens/synctoken", nil},
			{409, "ResourceInUse", "token 'synctoken'", "DELETE", "/scopeMaps/synctoken", nil},

			{400, "BadRequest", "needs a target", "PUT", "/exportPipelines/export2", properties(nil)},
			{400, "BadRequest", "that of a container", "PUT", "/exportPipelines/export2", export(object{"uri": "https://account.blob.core.windows.net/c?sig=secret"})},
			{400, "BadRequest", "keyVaultUri", "PUT", "/exportPipelines/export2", export(object{"uri": "https://account.blob.core.windows.net/c"})},
			{400, "BadRequest", "needs an identity", "PUT", "/exportPipelines/export2", export(object{"uri": "https://account.blob.core.windows.net/c", "storageAccessMode": "managedidentity"})},
			{400, "BadRequest", "OverwriteTags", "PUT", "/exportPipelines/export2", properties(object{"target": container, "options": []string{"Everything"}})},
			{400, "BadRequest", "needs a source", "PUT", "/importPipelines/import2", properties(object{"target": container})},
			{400, "BadRequest", "Enabled or Disabled", "PUT", "/importPipelines/import2", properties(object{"source": container, "trigger": object{"sourceTrigger": object{}}})},
			{400, "BadRequest", "pipelineResourceId", "PUT", "/pipelineRuns/run02", properties(nil)},
			{400, "BadRequest", "does not exist in registry", "PUT", "/pipelineRuns/run02", run(object{"pipelineResourceId": at + "/importPipelines/none1", "source": object{"name": "b"}})},
			{400, "BadRequest", "needs artifacts", "PUT", "/pipelineRuns/run02", run(object{"pipelineResourceId": exports, "target": object{"name": "b"}})},
			{400, "BadRequest", "repository:tag", "PUT", "/pipelineRuns/run02", run(object{"pipelineResourceId": exports, "target": object{"name": "b"}, "artifacts": []string{"app"}})},
			{400, "BadRequest", "name the blob", "PUT", "/pipelineRuns/run02", run(object{"pipelineResourceId": exports, "artifacts": []string{"app:v1"}})},
			{400, "BadRequest", "51 are too many", "PUT", "/pipelineRuns/run02", run(object{"pipelineResourceId": exports, "target": object{"name": "b"}, "artifacts": strings.Fields(strings.Repeat("app:v1 ", 51))})},
		} {
			s.refused(tt.status, tt.code, tt.words, tt.method, at+tt.path, tt.body)
		}
		for path, body := range map[string]any{
			"replications/westus": object{"location": "westus"}, "connectedRegistries/root2": connectedBody("", "", nil),
			"exportPipelines/export2": export(container), "importPipelines/import2": properties(object{"source": container}),
		} {
			s.refused(400, "FeatureNotSupportedForSku", "they need Premium", "PUT", scopeR+"basic1/"+path, body)
			s.refused(404, "ParentResourceNotFound", "nowhere1", "PUT", scopeR+"nowhere1/"+path, body)
		}
		s.refused(404, "ParentResourceNotFound", "nowhere1", "GET", scopeR+"nowhere1/packages/maven/archives", nil)
		s.want(201, "PUT", scopeR+"plain1", premium(nil))
		s.token(scopeR+"plain1", "synctoken", "repositories/app/content/read")
		s.refused(409, "Conflict", "dataEndpointEnabled", "PUT", scopeR+"plain1/connectedRegistries/root1", connectedBody("", scopeR+"plain1/tokens/synctoken", nil))
	})
}

// A tier has so many webhooks.
func TestWebhookLimit(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "basic1"
		s.want(201, "PUT", reg, object{"location": "eastus", "sku": object{"name": "Basic"}})
		limit := acr.DefaultTiers()["Basic"].Webhooks
		for i := range limit {
			s.want(201, "PUT", fmt.Sprintf("%s/webhooks/hook%d", reg, i), webhookBody(nil))
		}
		s.refused(409, "QuotaExceeded", "2 webhooks", "PUT", reg+"/webhooks/onemore", webhookBody(nil))
		s.want(200, "PUT", reg+"/webhooks/hook0", webhookBody(object{"status": "disabled"}))
	})
}

// A replication stays while a webhook is in its region, and the other way round a webhook needs one.
func TestReplicationInUse(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := s.registry("MyReg")
		s.want(201, "PUT", at+"/replications/westus", object{"location": "westus"})
		s.refused(409, "Conflict", "has the replication 'westus' there", "PUT", at+"/replications/westus2", object{"location": "westus"})
		hook := webhookBody(nil)
		hook["location"] = "West US"
		s.want(201, "PUT", at+"/webhooks/hook1", hook)
		s.refused(409, "ResourceInUse", "webhook 'hook1'", "DELETE", at+"/replications/westus", nil)
		s.want(200, "DELETE", at+"/webhooks/hook1", nil)
		s.want(200, "DELETE", at+"/replications/westus", nil)
	})
}

// What lies in a registry holds the settings that it needs, and the tier.
func TestRegistryHeldByChildren(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := s.registry("MyReg")
		sync := s.token(at, "synctoken", "repositories/app/content/read")
		s.want(201, "PUT", at+"/connectedRegistries/root1", connectedBody("", sync, nil))
		s.refused(409, "ResourceInUse", "needed by the connected registry 'root1'", "PATCH", at, properties(object{"dataEndpointEnabled": false}))
		s.refused(400, "FeatureNotSupportedForSku", "the connected registry root1", "PATCH", at, object{"sku": object{"name": "Standard"}, "properties": object{"dataEndpointEnabled": false}})
		s.want(200, "DELETE", at+"/connectedRegistries/root1", nil)
		s.want(201, "PUT", at+"/replications/westus", object{"location": "westus"})
		s.refused(400, "FeatureNotSupportedForSku", "the replication westus", "PATCH", at, object{"sku": object{"name": "Basic"}, "properties": object{"dataEndpointEnabled": false}})
		s.want(200, "DELETE", at+"/replications/westus", nil)
		s.want(200, "PATCH", at+"/replications/eastus", object{"tags": object{"a": "b"}}) // home is no obstacle
		container := object{"uri": "https://account.blob.core.windows.net/c", "keyVaultUri": "https://v.vault.azure.net/secrets/s"}
		s.want(201, "PUT", at+"/exportPipelines/export1", properties(object{"target": container}))
		closed := object{"publicNetworkAccess": "Disabled", "policies": object{"exportPolicy": object{"status": "disabled"}}}
		s.refused(409, "ResourceInUse", "export pipeline 'export1'", "PATCH", at, properties(closed))
		s.want(200, "DELETE", at+"/exportPipelines/export1", nil)
		s.want(200, "PATCH", at, properties(closed))
		s.refused(409, "Conflict", "export policy", "PUT", at+"/exportPipelines/export1", properties(object{"target": container}))
		s.want(200, "PATCH", at, properties(object{"publicNetworkAccess": "Enabled", "policies": object{"exportPolicy": object{"status": "enabled"}}}))
		s.want(200, "PATCH", at, object{"sku": object{"name": "Basic"}, "properties": object{"dataEndpointEnabled": false}})
	})
}

// A connected registry moves from its token to a managed identity where roles count for repositories, and never back.
func TestConnectedIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := s.registry("MyReg")
		identity := scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/site"
		s.want(201, "PUT", identity, object{"location": "eastus"})
		sync := s.token(at, "synctoken", "repositories/app/content/read")
		s.want(201, "PUT", at+"/connectedRegistries/root1", connectedBody("", sync, nil))
		to := object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{identity: object{}}}, "properties": object{"syncProperties": object{"authType": "ManagedIdentity"}}}
		s.refused(400, "BadRequest", "AbacRepositoryPermissions", "PATCH", at+"/connectedRegistries/root1", to)
		s.want(200, "PATCH", at, properties(object{"roleAssignmentMode": "AbacRepositoryPermissions"}))
		s.want(200, "PATCH", at+"/connectedRegistries/root1", to)
		s.want(200, "DELETE", at+"/tokens/synctoken", nil)
		s.refused(409, "ResourceInUse", "roleAssignmentMode", "PATCH", at, properties(object{"roleAssignmentMode": "LegacyRegistryPermissions"}))
		other := s.token(at, "othertoken", "repositories/app/content/read")
		s.refused(400, "PropertyChangeNotAllowed", "cannot go back", "PUT", at+"/connectedRegistries/root1", connectedBody("", other, nil))
		s.refused(400, "BadRequest", "cannot be the parent", "PUT", at+"/connectedRegistries/child1", connectedBody(at+"/connectedRegistries/root1", other, nil))
	})
}

// Where a webhook calls is in no document, no list and no audit row, and is gone with it.
func TestWebhookSecret(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := s.registry("MyReg")
		s.want(201, "PUT", at+"/webhooks/hook1", webhookBody(object{"customHeaders": object{"X-Key": "hunter2"}}))
		for _, path := range []string{"/webhooks", "/webhooks/hook1", "/auditEvents"} {
			if a := s.do("GET", at+path, nil); a.status != 200 || strings.Contains(a.body, "hunter2") || strings.Contains(a.body, "hooks.example.com") {
				t.Errorf("%s tells where the webhook calls: %d %s", path, a.status, a.body)
			}
		}
		s.sealed("hooks.example.com", 1)
		s.want(200, "DELETE", at+"/webhooks/hook1", nil)
		s.sealed("hooks.example.com", 0)
		s.want(201, "PUT", at+"/webhooks/hook2", webhookBody(nil))
		s.do("DELETE", at, nil)
		s.work()
		s.sealed("hooks.example.com", 0)
	})
}

// sealed counts the secrets of webhooks that hold a word.
func (s *server) sealed(word string, want int) {
	s.Helper()
	n := 0
	s.ok(s.db.View(s.Context(), func(tx *meta.Tx) error {
		list, err := tx.Secrets("webhook/")
		for _, secret := range list {
			if strings.Contains(string(secret.Value), word) {
				n++
			}
		}
		return err
	}))
	if n != want {
		s.Errorf("%d secrets of webhooks, want %d", n, want)
	}
}

// A credential set has a service principal of its own, which roles can be assigned to, until it goes or gives it up.
func TestChildIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := s.registry("MyReg")
		set := object{"identity": object{"type": "SystemAssigned"}, "properties": object{"loginServer": "docker.io", "authCredentials": []object{{
			"name": "Credential1", "usernameSecretIdentifier": "https://v.vault.azure.net/secrets/u", "passwordSecretIdentifier": "https://v.vault.azure.net/secrets/p"}}}}
		made := s.want(201, "PUT", reg+"/credentialSets/hubset", set)
		principal, _ := at(made, "identity", "principalId").(string)
		s.ok(s.assign(principal, acr.ReaderRole, reg))
		again := s.want(200, "PATCH", reg+"/credentialSets/hubset", properties(object{"authCredentials": at(set, "properties", "authCredentials")}))
		if at(again, "identity", "principalId") != principal {
			t.Errorf("a change of the credentials makes another principal: %v, then %v", made, again)
		}
		gone := s.want(200, "PATCH", reg+"/credentialSets/hubset", object{"identity": object{"type": "None"}})
		if gone["identity"] != nil {
			t.Errorf("no identity is left: %v", gone)
		}
		if err := s.assign(principal, acr.ReaderRole, scopeG); err == nil {
			t.Error("a role was assigned to a principal that is gone")
		}
		made = s.want(200, "PUT", reg+"/credentialSets/hubset", set)
		principal, _ = at(made, "identity", "principalId").(string)
		s.do("DELETE", reg, nil)
		s.work()
		if err := s.assign(principal, acr.ReaderRole, scopeG); err == nil {
			t.Error("the principal of a credential set outlives its registry")
		}
	})
}

// Who may write a cache rule assigns no managed identity to it that is not theirs to assign.
func TestAssignNeedsRight(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := s.registry("MyReg")
		identity := scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
		made := s.want(201, "PUT", identity, object{"location": "eastus"})
		who, bearer := s.principal("cacher")
		s.ok(s.assign(who.ID, acr.ContributorRole, reg))
		body := object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{strings.ToUpper(identity): object{}}},
			"properties": object{"sourceRepository": "other.azurecr.io/app", "targetRepository": "app"}}
		s.refusedAs(bearer, 403, "LinkedAuthorizationFailed", "assign/action", "PUT", reg+"/cacheRules/first", body)
		s.ok(s.assign(who.ID, acr.ContributorRole, identity))
		rule := s.wantAs(bearer, 201, "PUT", reg+"/cacheRules/first", body)
		if got := at(rule, "identity", "userAssignedIdentities", identity, "principalId"); got != at(made, "properties", "principalId") {
			t.Errorf("%v is not the identity that was assigned: %v", rule, made)
		}
	})
}

// Rights: each action has its own, and readers see no callback.
func TestChildRights(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := s.registry("MyReg")
		s.want(201, "PUT", at+"/webhooks/hook1", webhookBody(nil))
		who, reader := s.principal("reader")
		s.ok(s.assign(who.ID, acr.ReaderRole, scopeS))
		s.wantAs(reader, 200, "GET", at+"/webhooks/hook1", nil)
		for _, ask := range []struct{ method, path, operation string }{
			{"POST", "/webhooks/hook1/getCallbackConfig", "webhooks/getCallbackConfig/action"}, {"POST", "/webhooks/hook1/listEvents", "webhooks/listEvents/action"},
			{"POST", "/webhooks/hook1/ping", "webhooks/ping/action"}, {"PATCH", "/webhooks/hook1", "webhooks/write"}, {"DELETE", "/webhooks/hook1", "webhooks/delete"},
			{"PUT", "/replications/westus", "replications/write"}, {"DELETE", "/replications/eastus", "replications/delete"}, {"PUT", "/cacheRules/first", "cacheRules/write"},
			{"DELETE", "/credentialSets/first", "credentialSets/delete"}, {"PUT", "/connectedRegistries/root1", "connectedRegistries/write"},
			{"POST", "/connectedRegistries/root1/deactivate", "connectedRegistries/deactivate/action"}, {"POST", "/connectedRegistries/root1/resync", "connectedRegistries/resync/action"},
			{"PUT", "/exportPipelines/first", "exportPipelines/write"}, {"PUT", "/importPipelines/first", "importPipelines/write"}, {"PUT", "/pipelineRuns/first", "pipelineRuns/write"},
			{"PUT", "/packages/maven/archives/first", "packages/archives/write"}, {"DELETE", "/packages/maven/archives/first/versions/v1000", "packages/archives/versions/delete"},
		} {
			s.refusedAs(reader, 403, "AuthorizationFailed", ask.operation, ask.method, at+ask.path, object{"location": "eastus"})
		}
	})
}

// What clients read of a child is what they may send again.
func TestChildRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := s.registry("MyReg")
		sync := s.token(reg, "synctoken", "repositories/app/content/read")
		for path, body := range map[string]any{
			"/webhooks/hook1": webhookBody(object{"scope": "app:v1", "customHeaders": object{"A": "b"}}), "/replications/westus": object{"location": "westus", "tags": object{"a": "b"}},
			"/cacheRules/first": properties(object{"sourceRepository": "ghcr.io/a/b", "targetRepository": "b"}), "/connectedRegistries/root1": connectedBody("", sync, object{"notificationsList": []string{"*:*"}}),
			"/credentialSets/hubset": object{"identity": object{"type": "SystemAssigned"}, "properties": object{"loginServer": "docker.io", "authCredentials": []object{{
				"name": "Credential1", "usernameSecretIdentifier": "https://v.vault.azure.net/secrets/u", "passwordSecretIdentifier": "https://v.vault.azure.net/secrets/p"}}}},
		} {
			s.want(201, "PUT", reg+path, body)
			first := s.want(200, "GET", reg+path, nil)
			for _, method := range []string{"PUT", "PATCH"} {
				again := s.want(200, method, reg+path, first)
				for _, name := range []string{"properties", "identity", "location", "tags"} {
					if a, b := mustJSON(first[name]), mustJSON(again[name]); a != b {
						t.Errorf("%s %s of what was read changes %s:\n%s\n%s", method, path, name, a, b)
					}
				}
			}
		}
		if got := s.want(200, "POST", reg+"/webhooks/hook1/getCallbackConfig", nil); at(got, "customHeaders", "A") != "b" {
			t.Errorf("sending what was read takes the callback away: %v", got)
		}
	})
}
