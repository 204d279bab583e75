package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// query is one value of what az prints.
func (a az) query(what string, args ...string) string {
	a.t.Helper()
	return a.do(append(args, "--query", what, "-o", "tsv")...)
}

// equal holds one value of what az prints against what it should be.
func (a az) equal(want, what string, args ...string) {
	a.t.Helper()
	if got := a.query(what, args...); !strings.EqualFold(got, want) {
		a.t.Errorf("az %s: %s is %q, want %q", strings.Join(args, " "), what, got, want)
	}
}

// says holds what az is refused with against words.
func (a az) says(words string, args ...string) {
	a.t.Helper()
	if out := a.refused(args...); !strings.Contains(out, words) {
		a.t.Errorf("az %s says %s, want %q", strings.Join(args, " "), out, words)
	}
}

// A registry is made, shown, listed, changed and deleted with az, its names checked, its credentials renewed.
func TestAzRegistry(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		const name = "journey1"
		a.equal("true", "nameAvailable", "acr", "check-name", "-n", name)
		a.equal("Basic", "sku.tier", "acr", "create", "-g", "acre", "-n", name, "--sku", "Basic", "--admin-enabled", "true", "-l", "westeurope", "--tags", "a=b")
		a.equal("AlreadyExists", "reason", "acr", "check-name", "-n", name)
		if !a.oldest { // which refuses such a name itself
			a.equal("Invalid", "reason", "acr", "check-name", "-n", "four")
		}
		a.equal(name+".azurecr.io", "loginServer", "acr", "show", "-n", strings.ToUpper(name))
		a.equal(cloudName+"\n"+name, "[?name!='acre'].name | sort(@)", "acr", "list", "-g", "acre")
		a.equal(name, "username", "acr", "credential", "show", "-n", name)
		before := a.query("passwords[1].value", "acr", "credential", "show", "-n", name)
		if a.query("passwords[1].value", "acr", "credential", "renew", "-n", name, "--password-name", "password2") == before {
			t.Error("the renewed password is the old one")
		}
		a.equal("c", "tags.b", "acr", "update", "-n", name, "--tags", "b=c", "--admin-enabled", "false")
		a.says("--admin-enabled true", "acr", "credential", "show", "-n", name)

		// The tier goes up alone, and down once nothing stands in the way.
		a.equal("Premium", "sku.name", "acr", "update", "-n", name, "--sku", "Premium")
		a.equal("True", "dataEndpointEnabled", "acr", "update", "-n", name, "--data-endpoint-enabled", "true", "--allow-trusted-services", "false")
		a.equal(name+".westeurope.data.azurecr.io", "dataEndpoints[0].endpoint", "acr", "show-endpoints", "-n", name)
		a.says("dedicated data endpoints", "acr", "update", "-n", name, "--sku", "Standard")
		a.equal("Disabled", "publicNetworkAccess", "acr", "update", "-n", name, "--public-network-enabled", "false", "--allow-exports", "false")
		a.says("publicNetworkAccess", "acr", "update", "-n", name, "--public-network-enabled", "true")
		a.equal("Allow", "networkRuleSet.defaultAction", "acr", "update", "-n", name, "--public-network-enabled", "true", "--allow-exports", "true", "--default-action", "Allow")
		a.equal("Standard", "sku.name", "acr", "update", "-n", name, "--sku", "Standard", "--data-endpoint-enabled", "false")
		a.equal("True", "anonymousPullEnabled", "acr", "update", "-n", name, "--anonymous-pull-enabled", "true")
		a.do("acr", "delete", "-n", name, "--yes")
		a.refused("acr", "show", "-n", name)
		a.equal("true", "nameAvailable", "acr", "check-name", "-n", name)
	})
}

// Login servers with a label; and other settings that only the newest az knows.
func TestAzRegistryNewest(t *testing.T) {
	newestAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		free := a.query("availableLoginServerName", "acr", "check-name", "-n", "labelled", "--dnl-scope", "TenantReuse")
		a.equal(free, "loginServer", "acr", "create", "-g", "acre", "-n", "labelled", "--sku", "Premium", "--dnl-scope", "TenantReuse", "--admin-enabled", "true",
			"--regional-endpoints", "Enabled", "--data-endpoint-enabled", "true", "--endpoint-protocol", "IPv4AndIPv6", "--role-assignment-mode", "rbac",
			"--zone-redundancy", "Enabled")
		a.equal("False", "nameAvailable", "acr", "check-name", "-n", "labelled", "--dnl-scope", "TenantReuse")
		a.equal("True", "nameAvailable", "acr", "check-name", "-n", "labelled")
		a.equal("Enabled", "zoneRedundancy", "acr", "show", "-n", "labelled")

		// The labelled host is the registry's, and so is that of its region.
		password := a.query("passwords[0].value", "acr", "credential", "show", "-n", "labelled")
		cl := c.https().as(t, free)
		cl.user, cl.password = "labelled", password
		if _, _, err := cl.pushImage("team/app", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		region := c.https().as(t, a.query("regionalEndpoints[0].endpoint", "acr", "show-endpoints", "-n", "labelled"))
		region.user, region.password = "labelled", password
		region.must(t, http.StatusOK, "GET", "/v2/team/app/manifests/v1", nil, nil)
		if got := a.do("acr", "repository", "list", "-n", "labelled", "-o", "tsv"); got != "team/app" {
			t.Errorf("az acr repository list: %q", got)
		}
		a.do("acr", "update", "-n", "labelled", "--endpoint-protocol", "IPv4", "--regional-endpoints", "Disabled")
		region.must(t, http.StatusNotFound, "GET", "/v2/", nil, nil)
	})
}

// Policies of a registry, by az acr config.
func TestAzPolicies(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		config := func(verb ...string) []string {
			return append([]string{"acr", "config"}, append(verb, "-r", cloudName)...)
		}
		a.equal("disabled", "status", config("retention", "show")...)
		a.equal("3", "days", config("retention", "update", "--status", "enabled", "--days", "3", "--type", "UntaggedManifests")...)
		a.equal("enabled", "status", config("retention", "show")...)
		a.equal("12", "retentionDays", config("soft-delete", "update", "--status", "enabled", "--days", "12", "--yes")...)
		a.equal("enabled", "status", config("soft-delete", "show")...)
		a.equal("Notary", "type", config("content-trust", "show")...)
		a.equal("enabled", "status", config("authentication-as-arm", "show")...)
		a.equal("retentionPolicy\nsoftDeletePolicy", "properties.acre.notEnforced", "resource", "show", "--ids", cloudID, "--api-version", "2025-11-01")
	})
}

// From where a registry is reached: rules for addresses and for subnets, and private endpoints.
func TestAzNetwork(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		const subnet = "/subscriptions/" + devSubscription + "/resourceGroups/acre/providers/Microsoft.Network/virtualNetworks/net/subnets/one"
		a.do("acr", "network-rule", "add", "-n", cloudName, "--ip-address", "203.0.113.0/24")
		a.do("acr", "network-rule", "add", "-n", cloudName, "--subnet", subnet)
		a.equal("203.0.113.0/24", "ipRules[0].ipAddressOrRange", "acr", "network-rule", "list", "-n", cloudName)
		if out := a.do("acr", "network-rule", "list", "-n", cloudName, "-o", "json"); !a.oldest && !strings.Contains(out, subnet) {
			t.Errorf("the subnet is not listed: %s", out)
		}
		a.do("acr", "network-rule", "remove", "-n", cloudName, "--ip-address", "203.0.113.0/24")
		a.equal("0", "length(ipRules)", "acr", "network-rule", "list", "-n", cloudName)
		if !a.oldest {
			a.do("acr", "network-rule", "remove", "-n", cloudName, "--subnet", "one", "--vnet-name", "net", "-g", "acre")
			a.equal("0", "length(virtualNetworkRules)", "acr", "network-rule", "list", "-n", cloudName)
		}

		connection := func(verb ...string) []string {
			return append([]string{"acr", "private-endpoint-connection"}, append(verb, "-r", cloudName)...)
		}
		a.do("rest", "--method", "put", "--url", cloudID+"/privateEndpointConnections/office?api-version=2025-11-01", "--body",
			`{"properties":{"privateEndpoint":{"id":"/subscriptions/`+devSubscription+`/resourceGroups/acre/providers/Microsoft.Network/privateEndpoints/pe"}}}`)
		state := "privateLinkServiceConnectionState.status"
		a.equal("Pending", "[0]."+state, connection("list")...)
		a.equal("Approved", state, connection("approve", "-n", "office", "--description", "ours")...)
		a.equal("Rejected", state, connection("reject", "-n", "office")...)
		a.equal("office", "privateEndpointConnections[0].name", "acr", "show", "-n", cloudName)
		a.equal("registry\nregistry_data_local", "[0].requiredMembers", "acr", "private-link-resource", "list", "-n", cloudName)
		a.do(connection("delete", "-n", "office")...)
		a.refused(connection("show", "-n", "office")...)
	})
}

// What a registry acts as: an identity of its own, and managed identities.
func TestAzRegistryIdentity(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		user := a.query("id", "identity", "create", "-g", "acre", "-n", "puller")
		a.equal("SystemAssigned", "identity.type", "acr", "identity", "assign", "-n", cloudName, "--identities", "[system]")
		a.equal("SystemAssigned, UserAssigned", "identity.type", "acr", "identity", "assign", "-n", cloudName, "--identities", user)
		principal := a.query("principalId", "acr", "identity", "show", "-n", cloudName)
		assign := c.cli(t) // since Debian's az cannot
		assign.run(c.acre, "role", "assignment", "create", "--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal", "--role", "AcrPull", "--scope", cloudID)
		a.equal("SystemAssigned", "identity.type", "acr", "identity", "remove", "-n", cloudName, "--identities", user)
		a.do("acr", "identity", "remove", "-n", cloudName, "--identities", "[system]")
		assign.fails(c.acre, "role", "assignment", "create", "--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal", "--role", "AcrPush",
			"--scope", cloudID) // it is gone from the directory
		a.says("does not exist", "acr", "identity", "assign", "-n", cloudName, "--identities", strings.ReplaceAll(user, "puller", "nobody"))
	})
}

// Usage is that of all blobs, each once, to the byte, as soon as they are pushed.
func TestAzUsage(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		cl := c.admin(t)
		sizes := map[digest.Digest]int64{}
		for i, layer := range []string{"a layer", "a layer", "another, longer layer"} {
			m, _, err := cl.pushImage(fmt.Sprintf("team/app%d", i), "v1", []byte(layer))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range append(m.Layers, m.Config) {
				sizes[d.Digest] = d.Size
			}
		}
		var want int64
		for _, size := range sizes {
			want += size
		}
		var got struct {
			Value []struct {
				Name                string
				CurrentValue, Limit int64
				Unit                string
			}
		}
		a.json(&got, "acr", "show-usage", "-n", cloudName)
		names := []string{}
		for _, u := range got.Value {
			names = append(names, u.Name)
			if u.Name == "Size" && (u.CurrentValue != want || u.Limit != 500<<30 || u.Unit != "Bytes") {
				t.Errorf("%+v, want %d bytes", u, want)
			}
		}
		if all := "Size Webhooks Geo-replications IPRules VNetRules PrivateEndpointConnections ScopeMaps Tokens MaximumStorageCapacity"; strings.Join(names, " ") != all {
			t.Errorf("%v, want %s", names, all)
		}
	})
}

// The same with acre's own command line.
func TestAcreRegistry(t *testing.T) {
	needAcre(t)
	t.Parallel()
	c := startCloud(t)
	s := c.cli(t)
	equal := func(want, what string, args ...string) {
		t.Helper()
		if got := s.run(c.acre, append(args, "--query", what, "-o", "tsv")...); !strings.EqualFold(got, want) {
			t.Errorf("acre %s: %s is %q, want %q", strings.Join(args, " "), what, got, want)
		}
	}
	equal("true", "nameAvailable", "check-name", "-n", "teamreg")
	free := s.run(c.acre, "check-name", "-n", "teamreg", "--dnl-scope", "ResourceGroupReuse", "-g", "acre", "--query", "availableLoginServerName", "-o", "tsv")
	equal(free, "loginServer", "create", "-n", "teamreg", "-g", "acre", "--sku", "Premium", "--dnl-scope", "ResourceGroupReuse", "--admin-enabled",
		"--data-endpoint-enabled", "--tags", "a=b", "--regional-endpoints", "enabled")
	label, _, _ := strings.Cut(free, ".")
	equal("teamreg", "name", "show", "-n", label)
	equal("local", "dataEndpoints[0].region", "show-endpoints", "-n", "teamreg")
	equal("local", "regionalEndpoints[0].region", "show-endpoints", "-n", "teamreg")
	equal("14", "retentionDays", "config", "soft-delete", "update", "-r", "teamreg", "--status", "enabled", "--days", "14")
	equal("enabled", "status", "config", "soft-delete", "show", "-r", "teamreg")
	equal("disabled", "status", "config", "authentication-as-arm", "update", "-r", "teamreg", "--status", "disabled")
	equal("disabled", "status", "encryption", "show", "-n", "teamreg")
	equal("SystemAssigned", "type", "identity", "assign", "-n", "teamreg", "--identities", "[system]")
	s.run(c.acre, "identity", "remove", "-n", "teamreg", "--identities", "[system]")
	equal("1", "length(networkRuleSet.virtualNetworkRules)", "network-rule", "add", "-n", "teamreg", "--subnet", "one", "--vnet-name", "net")
	if out := s.fails(c.acre, "update", "-n", "teamreg", "--sku", "Basic"); !strings.Contains(out, "network rules") || !strings.Contains(out, "regional endpoints") {
		t.Errorf("a change of tier is refused with %s", out)
	}
	equal("0", "length(networkRuleSet.virtualNetworkRules)", "network-rule", "remove", "-n", "teamreg", "--subnet", "one", "--vnet-name", "net")
	if out := s.run(c.acre, "show-usage", "-n", "teamreg", "-o", "table"); !strings.Contains(out, "NAME") || !strings.Contains(out, "MaximumStorageCapacity") {
		t.Errorf("acre show-usage: %s", out)
	}
	equal("registry", "[0].name", "private-link-resource", "list", "-n", "teamreg")
	s.run(c.acre, "private-endpoint-connection", "list", "-r", "teamreg")
	s.fails(c.acre, "private-endpoint-connection", "approve", "-r", "teamreg", "-n", "nobody")
	s.fails(c.acre, "delete", "--yes")
	s.run(c.acre, "delete", "-n", "teamreg", "--yes")
	s.fails(c.acre, "show", "-n", "teamreg")
}
