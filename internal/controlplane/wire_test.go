package controlplane_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

type object = map[string]any

// properties is a body of properties alone.
func properties(p object) object { return object{"properties": p} }

// premium is the body of a new registry.
func premium(p object) object {
	return object{"location": "East US", "sku": object{"name": "premium"}, "tags": object{"team": "a"}, "properties": p}
}

// The shape of what clients ask before anything else.
func TestWireTenant(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		for _, v := range []string{"2015-01-01", "2018-01-01", "2019-05-01", "2022-09-01"} {
			r.send("", "GET", "//metadata/endpoints?api-version="+v, nil)
		}
		r.run("GET", "/tenants", nil)
		r.run("GET", "/subscriptions", nil)
		r.run("GET", "/subscriptions?api-version=2016-06-01", nil)
		r.run("GET", "/SUBSCRIPTIONS/"+subscription, nil)
		r.run("PUT", scopeS+"/resourcegroups/Other", object{"location": "West Europe", "tags": object{"a": "b"}})
		r.run("PUT", scopeS+"/resourcegroups/other", object{"location": "westeurope"})
		r.run("PATCH", scopeS+"/resourcegroups/other", object{"tags": object{"c": "d"}})
		r.run("HEAD", scopeS+"/resourcegroups/OTHER", nil)
		r.run("GET", scopeS+"/resourcegroups", nil)
		r.run("GET", scopeS+"/providers/microsoft.containerregistry", nil)
		r.run("POST", scopeS+"/providers/Microsoft.Storage/register", nil)
		r.run("DELETE", scopeS+"/resourcegroups/other", nil)
		s.work()
		r.run("HEAD", scopeS+"/resourcegroups/other", nil)
		r.compare("tenant")
	})
}

// The shape of registries, and of what is refused.
func TestWireRegistry(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := scopeR + "MyReg"
		r.run("POST", scopeS+"/providers/Microsoft.ContainerRegistry/checkNameAvailability", object{"name": "MyReg", "type": "Microsoft.ContainerRegistry/registries"})
		r.run("GET", at, nil)
		r.run("PUT", at, premium(object{"adminUserEnabled": true}))
		r.run("POST", scopeS+"/providers/Microsoft.ContainerRegistry/checkNameAvailability", object{"name": "myreg", "type": "Microsoft.ContainerRegistry/registries"})
		r.run("POST", scopeS+"/providers/Microsoft.ContainerRegistry/checkNameAvailability", object{"name": "my-reg"})
		s.advance(10 * time.Minute)
		r.run("PATCH", strings.ToLower(at), properties(object{
			"networkRuleSet":       object{"defaultAction": "Deny", "ipRules": []object{{"action": "Allow", "value": "203.0.113.7/24"}, {"value": "2001:db8::/32"}}},
			"anonymousPullEnabled": true, "roleAssignmentMode": "AbacRepositoryPermissions", "networkRuleBypassOptions": "None",
			"policies": object{"azureADAuthenticationAsArmPolicy": object{"status": "disabled"}},
		}))
		r.run("GET", at, nil)
		r.run("POST", at+"/listCredentials", nil)
		r.run("POST", at+"/regenerateCredential", object{"name": "password2"})
		r.run("GET", at+"/listUsages", nil)
		r.run("GET", scopeS+"/providers/Microsoft.ContainerRegistry/registries", nil)
		r.run("GET", scopeS+"/resources?api-version=2024-11-01&$filter=resourceType%20eq%20'microsoft.containerregistry/Registries'", nil)
		r.run("PATCH", at, properties(object{"adminUserEnabled": nil}))
		r.run("POST", at+"/listCredentials", nil)
		r.run("PATCH", at, object{"sku": object{"name": "Basic"}})
		r.run("PATCH", at, properties(object{"dataEndpointEnabled": true}))
		r.run("PUT", at, object{"location": "westus", "sku": object{"name": "Premium"}})
		r.run("PUT", scopeR+"no", premium(nil))
		r.run("DELETE", at, nil)
		r.run("DELETE", at, nil)
		r.compare("registry")
	})
}

// The shape of scope maps, tokens and their passwords.
func TestWireToken(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := scopeR + "MyReg"
		s.want(201, "PUT", at, premium(nil))
		r.run("GET", at+"/scopeMaps", nil)
		r.run("PUT", at+"/scopeMaps/Team-Map", properties(object{"description": "what the team may", "actions": []string{"repositories/team/*/content/read"}}))
		r.run("PATCH", at+"/scopeMaps/team-map", properties(object{"actions": []string{"repositories/team/*/content/read", "repositories/team/*/metadata/read"}}))
		r.run("GET", at+"/scopeMaps/_REPOSITORIES_pull", nil)
		r.run("PUT", at+"/tokens/CI-one", properties(object{"scopeMapId": strings.ToLower(at) + "/scopeMaps/team-map", "status": "enabled"}))
		r.run("POST", at+"/generateCredentials", object{"tokenId": at + "/tokens/ci-one"})
		s.advance(10 * time.Minute)
		r.run("POST", at+"/generateCredentials", object{"tokenId": at + "/tokens/ci-one", "name": "password2", "expiry": "2027-01-01T00:00:00Z"})
		r.run("GET", at+"/tokens/ci-one", nil)
		r.run("PATCH", at+"/tokens/ci-one", properties(object{"status": "disabled", "credentials": object{"passwords": []object{{"name": "password2"}}}}))
		r.run("GET", at+"/tokens", nil)
		r.run("DELETE", at+"/scopeMaps/team-map", nil)
		r.run("DELETE", at+"/tokens/ci-one", nil)
		r.run("DELETE", at+"/scopeMaps/team-map", nil)
		r.run("DELETE", at+"/scopeMaps/_repositories_pull", nil)
		r.run("GET", at+"/tokens/ci-one", nil)
		r.run("GET", scopeR+"nowhere/tokens", nil)
		r.compare("token")
	})
}

// The shape of roles and assignments.
func TestWireRole(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		who, _ := s.principal("reader")
		const guid = "12345678-1234-4234-8234-123456789012"
		const roles, assignments = "/providers/Microsoft.Authorization/roleDefinitions", "/providers/Microsoft.Authorization/roleAssignments"
		filter := "?api-version=2022-04-01&$filter="
		r.run("GET", scopeS+roles+filter+"roleName%20eq%20'acrpull'", nil)
		r.run("GET", "/providers/Microsoft.Authorization/roleDefinitions/"+acr.RepositoryReaderRole+"?disambiguation_dummy&api-version=2022-04-01", nil)
		r.run("PUT", scopeS+roles+"/"+guid, properties(object{
			"roleName": "Webhooks only", "type": "CustomRole", "description": "manages webhooks", "assignableScopes": []string{scopeS},
			"permissions": []object{{"actions": []string{"Microsoft.ContainerRegistry/registries/webhooks/*"}, "notActions": []string{}}},
		}))
		r.run("PUT", scopeS+roles+"/"+guid, properties(object{
			"roleName": "Webhooks only", "assignableScopes": []string{scopeS}, "permissions": []object{{"actions": []string{"*/webhooks/*"}}},
		}))
		r.run("GET", scopeS+roles+filter+"type%20eq%20'CustomRole'", nil)
		body := properties(object{"roleDefinitionId": scopeS + roles + "/" + guid, "principalId": who.ID, "principalType": "ServicePrincipal"})
		r.run("PUT", scopeG+assignments+"/00000000-0000-4000-8000-00000000000a", body)
		r.run("PUT", scopeG+assignments+"/00000000-0000-4000-8000-00000000000a", body)
		r.run("PUT", scopeG+assignments+"/00000000-0000-4000-8000-00000000000b", body)
		r.run("PUT", scopeS+assignments+"/00000000-0000-4000-8000-00000000000c", properties(object{
			"roleDefinitionId": acr.RepositoryReaderRole, "principalId": who.ID, "conditionVersion": "2.0",
			"condition": "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/'",
		}))
		r.run("GET", scopeS+assignments+filter+"principalId%20eq%20'"+who.ID+"'", nil)
		r.run("GET", scopeS+assignments+filter+"atScope()%20and%20assignedTo('"+who.ID+"')", nil)
		r.run("DELETE", scopeS+roles+"/"+guid, nil)
		r.run("DELETE", scopeG+assignments+"/00000000-0000-4000-8000-00000000000a", nil)
		r.run("DELETE", scopeG+assignments+"/00000000-0000-4000-8000-00000000000a", nil)
		r.run("DELETE", scopeS+roles+"/"+guid, nil)
		r.compare("role")
	})
}

// The shape of managed identities and of what is acre's own.
func TestWireIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		at := scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
		r.run("PUT", at+"Runner", object{"location": "local", "tags": object{"a": "b"}})
		r.run("GET", strings.ToLower(at+"Runner"), nil)
		r.run("GET", scopeS+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities", nil)
		federated := at + "runner/federatedIdentityCredentials"
		r.run("PUT", federated+"/pod", properties(object{"issuer": "https://cluster.example", "subject": "system:serviceaccount:a:b", "audiences": []string{"api://AzureADTokenExchange"}}))
		r.run("PUT", federated+"/other", properties(object{"issuer": "https://cluster.example", "subject": "system:serviceaccount:a:b", "audiences": []string{"api://AzureADTokenExchange"}}))
		r.run("GET", federated, nil)
		r.run("GET", federated+"/POD", nil)
		r.run("DELETE", federated+"/pod", nil)
		r.run("DELETE", federated+"/pod", nil)
		r.run("GET", federated+"/pod", nil)
		r.run("DELETE", at+"runner", nil)
		issuers := "/providers/Acre.Identity/trustedIssuers"
		r.run("PUT", issuers+"/github", properties(object{
			"issuer": "https://token.actions.example", "audiences": []string{"acre"},
			"rules": []object{{"name": "main", "registry": "myreg", "claims": object{"sub": "repo:octo/app:ref:refs/heads/main"}, "actions": []string{"repositories/octo/app/content/write"}}},
		}))
		r.run("GET", issuers, nil)
		r.run("DELETE", issuers+"/github", nil)
		r.compare("identity")
	})
}

// What is not there, not allowed or not understood has the documented code.
func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := scopeR + "myreg"
		s.want(201, "PUT", at, premium(nil))
		s.refusedAs("", 401, "AuthenticationFailed", "'Authorization' header is missing", "GET", at, nil)
		s.refusedAs("not.a.token", 401, "InvalidAuthenticationToken", "access token", "GET", at, nil)
		if got := s.as("", "GET", at, nil).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer authorization_uri="https://login.acre.localhost/`+tenant+`", error="invalid_token", error_description="`) {
			t.Errorf("the challenge is %s", got)
		}
		_, nobody := s.principal("nobody")
		s.refusedAs(nobody, 403, "AuthorizationFailed", "does not have authorization to perform action 'Microsoft.ContainerRegistry/registries/read'", "GET", at, nil)
		s.refusedAs(nobody, 403, "AuthorizationFailed", "", "GET", scopeR+"nowhere", nil) // no telling whether it exists
		for _, tt := range []struct {
			status             int
			code, words        string
			method, path, body string
		}{
			{400, "MissingApiVersionParameter", "api-version query parameter", "GET", at + "?x=y", ""},
			{400, "InvalidApiVersionParameter", "'latest'", "GET", at + "?api-version=latest", ""},
			{404, "SubscriptionNotFound", "could not be found", "GET", "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups", ""},
			{404, "ResourceGroupNotFound", "'nowhere'", "GET", strings.Replace(at, "/acre/", "/nowhere/", 1), ""},
			{404, "ResourceGroupNotFound", "'nowhere'", "GET", scopeS + "/resourceGroups/nowhere/providers/Microsoft.ContainerRegistry/registries", ""},
			{404, "ResourceNotFound", "'Microsoft.ContainerRegistry/registries/none1' under resource group 'acre'", "GET", scopeR + "none1", ""},
			{404, "ResourceNotFound", "", "PATCH", scopeR + "none1", "{}"},
			{404, "ParentResourceNotFound", "'none1'", "PUT", scopeR + "none1/scopeMaps/mymap", `{"properties":{"actions":[]}}`},
			{404, "ParentResourceNotFound", "'none1'", "GET", scopeR + "none1/scopeMaps", ""},
			{404, "InvalidResourceType", "registries/nonsense", "GET", at + "/nonsense", ""},
			{404, "InvalidResourceType", "", "POST", at + "/nonsense", ""},
			{404, "InvalidResourceNamespace", "Microsoft.Compute", "GET", scopeG + "/providers/Microsoft.Compute/virtualMachines", ""},
			{405, "HttpMethodNotAllowed", "DELETE", "DELETE", "/tenants", ""},
			{400, "InvalidRequestContent", "could not be deserialized", "PATCH", at, `{"properties":{"adminUserEnabled":"yes"}}`},
			{400, "InvalidRequestContent", "could not be deserialized", "PATCH", at, `{`},
			{400, "LocationRequired", "location", "PUT", at, `{"sku":{"name":"Premium"}}`},
			{400, "LocationNotAvailableForResourceType", "", "PUT", scopeR + "other1", `{"location":"the moon!","sku":{"name":"Premium"}}`},
			{409, "InvalidResourceLocation", "'eastus'", "PUT", at, `{"location":"westus","sku":{"name":"Premium"}}`},
			{400, "BadRequest", "Basic, Standard or Premium", "PUT", scopeR + "other1", `{"location":"eastus","sku":{"name":"Gold"}}`},
			{400, "DisablingPublicNetworkAccessNotSupported", "Premium", "PUT", scopeR + "other1", `{"location":"eastus","sku":{"name":"Basic"},"properties":{"publicNetworkAccess":"Disabled"}}`},
			{400, "FeatureNotSupportedForSku", "Premium", "PUT", scopeR + "other1", `{"location":"eastus","sku":{"name":"Basic"},"properties":{"networkRuleSet":{"defaultAction":"Deny"}}}`},
			{400, "BadRequest", "keyIdentifier", "PATCH", at, `{"properties":{"encryption":{"status":"enabled"}}}`},
			{400, "BadRequest", "", "PATCH", at, `{"properties":{"networkRuleSet":{"defaultAction":"Deny","ipRules":[{"value":"300.1.2.3"}]}}}`},
			{400, "BadRequest", "token", "PUT", at + "/tokens/mytoken", `{"properties":{}}`},
			{400, "BadRequest", "does not exist in registry", "PUT", at + "/tokens/mytoken", `{"properties":{"scopeMapId":"` + at + `/scopeMaps/nowhere"}}`},
			{400, "BadRequest", "not the ID of a scope map of registry", "PUT", at + "/tokens/mytoken", `{"properties":{"scopeMapId":"` + scopeR + `other1/scopeMaps/_repositories_pull"}}`},
			{400, "BadRequest", "5 to 50", "PUT", at + "/tokens/x", `{"properties":{"scopeMapId":"` + at + `/scopeMaps/_repositories_pull"}}`},
			{400, "BadRequest", "names that begin with _", "PUT", at + "/scopeMaps/_mine", `{"properties":{"actions":[]}}`},
			{400, "InvalidFilterInQueryString", "", "GET", scopeS + "/resources?api-version=2021-04-01&$filter=nonsense", ""},
			{404, "RoleDefinitionDoesNotExist", "", "GET", scopeS + "/providers/Microsoft.Authorization/roleDefinitions/nonsense", ""},
			{404, "RoleAssignmentNotFound", "", "GET", scopeS + "/providers/Microsoft.Authorization/roleAssignments/nonsense", ""},
		} {
			var body any
			if tt.body != "" {
				body = tt.body
			}
			s.refused(tt.status, tt.code, tt.words, tt.method, tt.path, body)
		}
		s.want(201, "PUT", scopeS+"/resourcegroups/other", object{"location": "local"})
		s.refused(409, "RegistryNameAlreadyInUse", "The registry name MYREG is already in use", "PUT",
			scopeS+"/resourceGroups/other/providers/Microsoft.ContainerRegistry/registries/MYREG", premium(nil))
	})
}

// What clients read back is what they may send again: Terraform does, az when it assigns an identity.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(object{"anonymousPullEnabled": true, "acre": object{
			"anonymousRepositories": []string{"public/*"}, "accessTokenSeconds": 600, "networkLogOnly": true,
			"accessRules": []object{{"name": "ci", "action": "Deny", "operations": []string{"push"}, "sources": []string{"192.0.2.0/24"}}},
		}}))
		first := s.want(200, "GET", reg, nil)
		for _, method := range []string{"PUT", "PATCH"} {
			again := s.want(200, method, reg, first)
			for _, name := range []string{"properties", "sku", "location", "tags"} {
				if a, b := mustJSON(first[name]), mustJSON(again[name]); a != b {
					t.Errorf("%s of what was read changes %s:\n%s\n%s", method, name, a, b)
				}
			}
		}
		// Members that are absent stay, lists that are there replace, null clears.
		s.want(200, "PATCH", reg, properties(object{"networkRuleSet": object{"defaultAction": "Allow", "ipRules": []object{{"value": "192.0.2.1"}}}}))
		s.want(200, "PATCH", reg, properties(object{"networkRuleSet": object{"defaultAction": "Deny"}}))
		got := s.want(200, "PATCH", reg, object{"tags": nil})
		if at(got, "properties", "networkRuleSet", "ipRules", 0, "value") != "192.0.2.1" || len(got["tags"].(object)) != 0 ||
			at(got, "properties", "acre", "accessTokenSeconds") != 600.0 {
			t.Errorf("%v", got)
		}
		got = s.want(200, "PATCH", reg, properties(object{"networkRuleSet": nil}))
		if at(got, "properties", "networkRuleSet", "defaultAction") != "Allow" {
			t.Errorf("%v", got)
		}
	})
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
