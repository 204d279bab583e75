package controlplane_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// property is a setting of a registry with a value that is not the default.
type property struct {
	path  string // below properties
	value any
	unset any // what it is by default
	with  object
}

var registryProperties = []property{
	{path: "adminUserEnabled", value: true, unset: false},
	{path: "anonymousPullEnabled", value: true, unset: false},
	{path: "dataEndpointEnabled", value: true, unset: false},
	{path: "regionalEndpoints", value: "Enabled", unset: "Disabled"},
	{path: "endpointProtocol", value: "IPv4AndIPv6", unset: "IPv4", with: object{"dataEndpointEnabled": true}},
	{path: "publicNetworkAccess", value: "Disabled", unset: "Enabled"},
	{path: "networkRuleBypassOptions", value: "None", unset: "AzureServices"},
	{path: "networkRuleBypassAllowedForTasks", value: true, unset: false},
	{path: "metadataSearch", value: "Enabled", unset: "Disabled"},
	{path: "roleAssignmentMode", value: "AbacRepositoryPermissions", unset: "LegacyRegistryPermissions"},
	{path: "writableCacheRepos", value: "Enabled", unset: "Disabled"},
	{path: "policies.quarantinePolicy.status", value: "enabled", unset: "disabled"},
	{path: "policies.trustPolicy.status", value: "enabled", unset: "disabled"},
	{path: "policies.retentionPolicy.status", value: "enabled", unset: "disabled"},
	{path: "policies.retentionPolicy.days", value: 0.0, unset: 7.0},
	{path: "policies.exportPolicy.status", value: "disabled", unset: "enabled", with: object{"publicNetworkAccess": "Disabled"}},
	{path: "policies.azureADAuthenticationAsArmPolicy.status", value: "disabled", unset: "enabled"},
	{path: "policies.softDeletePolicy.status", value: "enabled", unset: "disabled"},
	{path: "policies.softDeletePolicy.retentionDays", value: 90.0, unset: 7.0},
	{path: "networkRuleSet.defaultAction", value: "Deny", unset: "Allow"},
}

// nest is an object with a value at a path.
func nest(path string, value any) object {
	name, rest, more := strings.Cut(path, ".")
	if more {
		value = nest(rest, value)
	}
	return object{name: value}
}

func look(doc any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		doc = at(doc, name)
	}
	return doc
}

// Every property is kept, shown, left alone by what does not name it, cleared by null, and sent back unharmed.
func TestRegistryProperties(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		for i, p := range registryProperties {
			id := fmt.Sprintf("%sprop%02d", scopeR, i)
			fresh := s.want(201, "PUT", id, premium(nil))
			if got := look(fresh["properties"], p.path); got != p.unset {
				s.Errorf("%s is %v by default, want %v", p.path, got, p.unset)
			}
			if p.with != nil {
				s.want(200, "PATCH", id, properties(p.with))
			}
			s.want(200, "PATCH", id, properties(nest(p.path, p.value)))
			s.want(200, "PATCH", id, object{"tags": object{"only": "tags"}})
			s.want(200, "PUT", id, premium(object{}))
			got := s.want(200, "GET", id, nil)
			if v := look(got["properties"], p.path); v != p.value {
				s.Errorf("%s is %v, want %v", p.path, v, p.value)
			}
			if diff := cmp.Diff(got["properties"], s.want(200, "PUT", id, got)["properties"]); diff != "" {
				s.Errorf("%s changed as it was sent back:\n%s", p.path, diff)
			}
			if p.path == "networkRuleSet.defaultAction" {
				continue // it is required with its object, whose null clears
			}
			if v := look(s.want(200, "PATCH", id, properties(nest(p.path, nil)))["properties"], p.path); v != p.unset {
				s.Errorf("%s is %v after null, want %v", p.path, v, p.unset)
			}
		}
	})
}

// What a registry's tier does not have is refused, and the default of it is not.
func TestRegistryTiers(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		basic := func(p object) object {
			return object{"location": "eastus", "sku": object{"name": "Basic", "tier": "Basic"}, "properties": p}
		}
		id := scopeR + "basic"
		s.want(201, "PUT", id, basic(object{
			"zoneRedundancy": "Disabled", "dataEndpointEnabled": false, "publicNetworkAccess": "Enabled", "networkRuleSet": nil,
			"encryption": object{"status": "disabled"}, "policies": object{"quarantinePolicy": object{"status": "disabled"},
				"retentionPolicy": object{}, "trustPolicy": object{"status": "disabled", "type": "Notary"}, "exportPolicy": object{"status": "enabled"}},
		}))
		for _, tt := range []struct {
			code, words string
			set         object
		}{
			{"FeatureNotSupportedForSku", "dedicated data endpoints", object{"dataEndpointEnabled": true}},
			{"FeatureNotSupportedForSku", "regional endpoints", object{"regionalEndpoints": "Enabled"}},
			{"FeatureNotSupportedForSku", "quarantine policy", nest("policies.quarantinePolicy.status", "enabled")},
			{"FeatureNotSupportedForSku", "content trust", nest("policies.trustPolicy.status", "enabled")},
			{"FeatureNotSupportedForSku", "retention policy", nest("policies.retentionPolicy.status", "enabled")},
			{"FeatureNotSupportedForSku", "network rules", object{"networkRuleSet": object{"defaultAction": "Deny"}}},
			{"DisablingPublicNetworkAccessNotSupported", "aka.ms/acr/private-link", object{"publicNetworkAccess": "Disabled"}},
			{"BadRequest", "anonymous pull", object{"anonymousPullEnabled": true}},
		} {
			s.refused(400, tt.code, tt.words, "PATCH", id, properties(tt.set))
		}
		s.want(200, "PATCH", id, properties(nest("policies.softDeletePolicy.status", "enabled")))
		s.refused(400, "FeatureNotSupportedForSku", "Private endpoints", "PUT", id+"/privateEndpointConnections/one", properties(object{}))

		// Up goes alone; down names everything that stands in the way.
		s.want(200, "PATCH", id, object{"sku": object{"name": "premium"}})
		s.want(200, "PATCH", id, properties(object{"dataEndpointEnabled": true, "anonymousPullEnabled": true}))
		s.want(201, "PUT", id+"/privateEndpointConnections/one", properties(object{}))
		s.want(201, "PUT", id+"/replications/westeurope", object{"location": "westeurope"})
		for _, word := range []string{"replication westeurope", "private endpoint connection one", "dedicated data endpoints", "anonymous pull"} {
			s.refused(400, "FeatureNotSupportedForSku", word, "PATCH", id, object{"sku": object{"name": "Basic"}})
		}
		s.do("DELETE", id+"/privateEndpointConnections/one", nil)
		s.do("DELETE", id+"/replications/westeurope", nil)
		s.want(200, "PATCH", id, object{"sku": object{"name": "Basic"}, "properties": object{"dataEndpointEnabled": false, "anonymousPullEnabled": false}})
	})
}

// What is not valid is refused with words that say what is.
func TestRegistryRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		id := scopeR + "refusals"
		s.want(201, "PUT", id, premium(nil))
		for _, tt := range []struct {
			status      int
			code, words string
			set         object
		}{
			{400, "BadRequest", "must be Disabled or Enabled", object{"regionalEndpoints": "on"}},
			{400, "BadRequest", "0 to 365", nest("policies.retentionPolicy.days", 366)},
			{400, "BadRequest", "1 to 90", nest("policies.softDeletePolicy.retentionDays", 0)},
			{400, "BadRequest", "must be Notary", nest("policies.trustPolicy.type", "Cosign")},
			{400, "InvalidRequestContent", "", nest("policies.retentionPolicy.days", "seven")},
			{400, "BadRequest", "publicNetworkAccess", nest("policies.exportPolicy.status", "disabled")},
			{400, "BadRequest", "data endpoints", object{"endpointProtocol": "IPv4AndIPv6"}},
			{400, "BadRequest", "exclude each other", object{"regionalEndpoints": "Enabled", "policies": nest("trustPolicy.status", "enabled")}},
			{400, "PropertyChangeNotAllowed", "zoneRedundancy", object{"zoneRedundancy": "Enabled"}},
			{400, "PropertyChangeNotAllowed", "autoGeneratedDomainNameLabelScope", object{"autoGeneratedDomainNameLabelScope": "NoReuse"}},
			{400, "BadRequest", "is not the ID of a subnet", object{"networkRuleSet": object{"virtualNetworkRules": []object{{"id": "/subscriptions/x"}}}}},
			{400, "EncryptionCannotBeChanged", "when a registry is created", object{"encryption": object{"status": "enabled", "keyVaultProperties": object{"keyIdentifier": "https://v/keys/k"}}}},
		} {
			s.refused(tt.status, tt.code, tt.words, "PATCH", id, properties(tt.set))
		}
		s.want(200, "PATCH", id, properties(object{"zoneRedundancy": nil, "autoGeneratedDomainNameLabelScope": "unsecure", "encryption": object{"status": "disabled"}}))
	})
}

// Lists of rules are replaced where they are named, and stay where they are not.
func TestNetworkRuleSet(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		id := scopeR + "network"
		subnet := scopeG + "/providers/Microsoft.Network/virtualNetworks/net/subnets/"
		s.want(201, "PUT", id, premium(object{"networkRuleSet": object{
			"defaultAction": "Deny", "ipRules": []object{{"value": "192.0.2.1"}},
			"virtualNetworkRules": []object{{"id": subnet + "old"}, {"virtualNetworkSubnetResourceId": subnet + "new", "action": "Allow"}},
		}}))
		rules := func(doc object) (ips, subnets int) {
			set := at(doc, "properties", "networkRuleSet")
			ip, _ := at(set, "ipRules").([]any)
			sub, _ := at(set, "virtualNetworkRules").([]any)
			return len(ip), len(sub)
		}
		got := s.want(200, "PATCH", id, properties(object{"publicNetworkAccess": "Disabled", "networkRuleSet": object{"defaultAction": "Deny"}}))
		if ips, subnets := rules(got); ips != 1 || subnets != 2 {
			s.Errorf("lists that were not named: %d and %d rules are left", ips, subnets)
		}
		for i, name := range []string{"old", "new"} {
			rule := at(got, "properties", "networkRuleSet", "virtualNetworkRules", i)
			if at(rule, "id") != subnet+name || at(rule, "virtualNetworkSubnetResourceId") != subnet+name || at(rule, "action") != "Allow" {
				s.Errorf("rule %d is %v", i, rule)
			}
		}
		if enforced := at(got, "properties", "acre", "notEnforced"); !cmp.Equal(enforced, []any{"virtualNetworkRules"}) {
			s.Errorf("not enforced: %v", enforced)
		}
		if ips, subnets := rules(s.want(200, "PATCH", id, properties(object{"networkRuleSet": object{"virtualNetworkRules": []object{}}}))); ips != 1 || subnets != 0 {
			s.Errorf("an empty list: %d and %d rules are left", ips, subnets)
		}
		if ips, _ := rules(s.want(200, "PATCH", id, properties(object{"networkRuleSet": nil}))); ips != 0 {
			s.Errorf("null: %d rules are left", ips)
		}
	})
}

// A policy that acts by age tells when it was changed, and only then.
func TestPolicyTimes(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		id := scopeR + "policies"
		changed := func(doc object) any { return look(doc["properties"], "policies.retentionPolicy.lastUpdatedTime") }
		first := changed(s.want(201, "PUT", id, premium(nil)))
		s.advance(time.Minute)
		if same := changed(s.want(200, "PATCH", id, properties(nest("policies.quarantinePolicy.status", "enabled")))); same != first {
			s.Errorf("another policy moved it from %v to %v", first, same)
		}
		second := changed(s.want(200, "PATCH", id, properties(nest("policies.retentionPolicy.days", 9))))
		if second == first {
			s.Error("a change left it")
		}
	})
}

// Login servers with a label: the same name has the same again within its scope, and NoReuse never.
func TestDomainNameLabels(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeS+"/resourcegroups/other", object{"location": "eastus"})
		other := strings.Replace(scopeR, "/acre/", "/other/", 1)
		login := func(status int, at, scope string) string {
			doc := s.want(status, "PUT", at+"labelled", premium(object{"autoGeneratedDomainNameLabelScope": scope}))
			server, _ := look(doc["properties"], "loginServer").(string)
			if a := s.do("DELETE", at+"labelled", nil); a.status/100 != 2 {
				s.Fatalf("delete: %d %s", a.status, a.body)
			}
			return server
		}
		seen := map[string]bool{}
		for _, scope := range []string{"TenantReuse", "SubscriptionReuse", "ResourceGroupReuse"} {
			first, again := login(201, scopeR, scope), login(201, scopeR, scope)
			label := strings.TrimSuffix(strings.TrimPrefix(first, "labelled-"), ".acre.localhost")
			if first != again || len(label) != 16 || strings.Trim(label, "0123456789abcdef") != "" || seen[first] {
				s.Errorf("%s: %s, then %s", scope, first, again)
			}
			seen[first] = true
			if same := login(201, other, scope) == first; same != (scope != "ResourceGroupReuse") {
				s.Errorf("%s: the same in another group: %t", scope, same)
			}
		}
		if login(201, scopeR, "NoReuse") == login(201, scopeR, "NoReuse") {
			s.Error("NoReuse came again")
		}
		// The login server is unique, the name is not.
		s.want(201, "PUT", scopeR+"labelled", premium(object{"autoGeneratedDomainNameLabelScope": "TenantReuse"}))
		s.refused(409, "RegistryNameAlreadyInUse", "already in use", "PUT", other+"labelled", premium(object{"autoGeneratedDomainNameLabelScope": "TenantReuse"}))
		s.want(201, "PUT", other+"labelled", premium(object{"autoGeneratedDomainNameLabelScope": "ResourceGroupReuse"}))
		s.want(200, "GET", scopeR+"labelled/auditEvents", nil)
		s.want(200, "PATCH", scopeR+"labelled", properties(object{"adminUserEnabled": true}))
		answer := s.want(200, "POST", scopeR+"labelled/explainAccess", object{"principal": "labelled", "action": "pull", "repository": "app"})
		if answer["allowed"] != true {
			s.Errorf("the admin user of a registry with a label: %v", answer)
		}
		s.refused(400, "BadRequest", "at most 46", "PUT", scopeR+strings.Repeat("a", 47), premium(object{"autoGeneratedDomainNameLabelScope": "NoReuse"}))
	})
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		const path = scopeS + "/providers/Microsoft.ContainerRegistry/checkNameAvailability"
		ask := func(more object) object {
			body := object{"name": "checked", "type": "Microsoft.ContainerRegistry/registries"}
			for name, v := range more {
				body[name] = v
			}
			return s.want(200, "POST", path, body)
		}
		tenant := ask(object{"autoGeneratedDomainNameLabelScope": "TenantReuse"})
		made := s.want(201, "PUT", scopeR+"checked", premium(object{"autoGeneratedDomainNameLabelScope": "tenantreuse"}))
		if tenant["nameAvailable"] != true || tenant["availableLoginServerName"] != look(made["properties"], "loginServer") {
			s.Errorf("%v, then %v", tenant, made)
		}
		for _, tt := range []struct {
			more      object
			available bool
			reason    any
		}{
			{object{"autoGeneratedDomainNameLabelScope": "TenantReuse"}, false, "AlreadyExists"},
			{nil, true, nil},
			{object{"autoGeneratedDomainNameLabelScope": "NoReuse"}, true, nil},
			{object{"autoGeneratedDomainNameLabelScope": "ResourceGroupReuse", "resourceGroupName": "acre"}, true, nil},
			{object{"name": "four"}, false, "Invalid"},
			{object{"name": "with-dash"}, false, "Invalid"},
		} {
			if got := ask(tt.more); got["nameAvailable"] != tt.available || got["reason"] != tt.reason {
				s.Errorf("%v: %v", tt.more, got)
			}
		}
		s.refused(400, "BadRequest", "resourceGroupName", "POST", path, object{"name": "checked", "autoGeneratedDomainNameLabelScope": "ResourceGroupReuse"})
		s.refused(400, "BadRequest", "NoReuse", "POST", path, object{"name": "checked", "autoGeneratedDomainNameLabelScope": "Mine"})
	})
}

// What a registry acts as: a service principal that comes and goes with it, and managed identities that exist.
func TestRegistryIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		id, managed := scopeR+"identity", scopeG+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
		for _, name := range []string{"one", "two"} {
			s.want(201, "PUT", managed+name, object{"location": "eastus"})
		}
		if _, there := s.want(201, "PUT", id, premium(nil))["identity"]; there {
			s.Error("a registry without an identity shows one")
		}
		got := s.want(200, "PATCH", id, object{"identity": object{"type": "systemassigned"}})
		principal, _ := at(got, "identity", "principalId").(string)
		if at(got, "identity", "type") != "SystemAssigned" || at(got, "identity", "tenantId") != tenant || principal == "" {
			s.Errorf("%v", got["identity"])
		}
		s.ok(s.assign(principal, "acdd72a7-3385-48ef-bd42-f606fba81ae7", scopeS)) // the directory knows it
		got = s.want(200, "PATCH", id, object{"identity": object{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": object{managed + "ONE": object{}}}})
		got = s.want(200, "PATCH", id, object{"identity": object{"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": object{managed + "two": object{}}}})
		users, _ := at(got, "identity", "userAssignedIdentities").(map[string]any)
		if len(users) != 2 || at(users, managed+"one", "clientId") == nil || at(got, "identity", "principalId") != principal {
			s.Errorf("%v", got["identity"])
		}
		got = s.want(200, "PATCH", id, object{"identity": object{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": object{managed + "one": nil}}})
		if users, _ := at(got, "identity", "userAssignedIdentities").(map[string]any); len(users) != 1 {
			s.Errorf("after null: %v", got["identity"])
		}
		s.refused(400, "BadRequest", "does not exist", "PATCH", id, object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{managed + "three": object{}}}})
		got = s.want(200, "PUT", id, object{"location": "eastus", "sku": object{"name": "Premium"}, "identity": object{"type": "None"}})
		if _, there := got["identity"]; there {
			s.Errorf("after None: %v", got["identity"])
		}
		if err := s.assign(principal, "8311e382-0749-4cb8-b61a-304f252e45ec", scopeS); err == nil {
			s.Error("the service principal outlived the registry's identity")
		}
	})
}

// A connection is asked for, approved, rejected and ended, and stands in the registry's body.
func TestPrivateEndpoints(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		id := scopeR + "private"
		s.want(201, "PUT", id, premium(nil))
		one := id + "/privateEndpointConnections/one.0123"
		endpoint := scopeG + "/providers/Microsoft.Network/privateEndpoints/pe"
		status := func(doc any) any { return at(doc, "properties", "privateLinkServiceConnectionState", "status") }
		got := s.want(201, "PUT", one, properties(object{"privateEndpoint": object{"id": endpoint}}))
		if status(got) != "Pending" || at(got, "properties", "privateEndpoint", "id") != endpoint || at(got, "properties", "provisioningState") != "Succeeded" {
			s.Errorf("%v", got)
		}
		for _, state := range []string{"Approved", "Rejected", "Approved", "Disconnected"} {
			got["properties"].(object)["privateLinkServiceConnectionState"] = object{"status": strings.ToLower(state), "description": "as " + state}
			if got = s.want(200, "PUT", one, got); status(got) != state {
				s.Errorf("%v, want %s", got, state)
			}
		}
		s.refused(409, "PrivateEndpointConnectionDisconnected", "delete it", "PUT", one, properties(object{"privateLinkServiceConnectionState": object{"status": "Approved"}}))
		s.refused(400, "BadRequest", "is not Pending, Approved", "PUT", id+"/privateEndpointConnections/two", properties(object{"privateLinkServiceConnectionState": object{"status": "Maybe"}}))
		s.refused(400, "BadRequest", "is not the ID of a private endpoint", "PUT", id+"/privateEndpointConnections/two", properties(object{"privateEndpoint": object{"id": "/x"}}))
		if in := at(s.want(200, "GET", id, nil), "properties", "privateEndpointConnections", 0); status(in) != "Disconnected" {
			s.Errorf("the registry's body has %v", in)
		}
		if list, _ := s.want(200, "GET", id+"/privateEndpointConnections", nil)["value"].([]any); len(list) != 1 {
			s.Errorf("%v", list)
		}
		link := s.want(200, "GET", id+"/privateLinkResources/REGISTRY", nil)
		if want := []any{"registry", "registry_data_eastus"}; !cmp.Equal(at(link, "properties", "requiredMembers"), any(want)) {
			s.Errorf("%v", link)
		}
		s.want(200, "GET", id+"/privateLinkResources", nil)
		s.refused(404, "ResourceNotFound", "private link resource", "GET", id+"/privateLinkResources/other", nil)
		if a := s.do("DELETE", one, nil); a.status/100 != 2 {
			s.Errorf("delete: %d %s", a.status, a.body)
		}
		s.want(204, "DELETE", one, nil)
	})
}

// Who may write connections and not approve them lets nobody in, neither by a state nor by joining what is approved.
func TestPrivateEndpointApproval(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		id := scopeR + "private"
		s.want(201, "PUT", id, premium(nil))
		who, bearer := s.principal("writer")
		role := uuid.NewString()
		s.want(201, "PUT", scopeG+"/providers/Microsoft.Authorization/roleDefinitions/"+role, properties(object{
			"roleName": "Connection writer", "assignableScopes": []string{scopeG},
			"permissions": []object{{"actions": []string{"Microsoft.ContainerRegistry/registries/privateEndpointConnections/*", "*/read"}}},
		}))
		s.ok(s.assign(who.ID, role, scopeG))
		one := id + "/privateEndpointConnections/one.0123"
		endpoint := object{"id": scopeG + "/providers/Microsoft.Network/privateEndpoints/pe"}
		approved := object{"status": "Approved"}
		s.wantAs(bearer, 201, "PUT", one, properties(object{}))
		s.refusedAs(bearer, 403, "AuthorizationFailed", "privateEndpointConnectionsApproval", "PUT", one, properties(object{"privateLinkServiceConnectionState": approved}))
		s.want(200, "PUT", one, properties(object{"privateLinkServiceConnectionState": approved}))
		joined := properties(object{"privateEndpoint": endpoint, "privateLinkServiceConnectionState": approved})
		s.refusedAs(bearer, 403, "AuthorizationFailed", "privateEndpointConnectionsApproval", "PUT", one, joined)
		s.want(200, "PUT", one, joined)
		s.wantAs(bearer, 200, "PUT", one, joined)
	})
}
