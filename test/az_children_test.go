package test

import (
	"fmt"
	"strings"
	"testing"
)

// shown is a resource as az prints it, with what these journeys look at.
type shown struct {
	Name, Location, Scope, Mode, ConnectionState string
	Status                                       any
	Type, ProvisioningState                      string
	Actions, ClientTokenIDs, NotificationsList   []string
	RegionEndpointEnabled                        bool
	CredentialSetResourceID                      *string
	Identity                                     struct{ PrincipalID string }
}

// Webhooks as az makes them: where one leads is told by get-config alone.
func TestAzWebhook(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		var hook shown
		a.json(&hook, "acr", "webhook", "create", "-r", cloudName, "-n", "builds", "--uri", "https://ci.example.com/hook", "--actions", "push", "delete",
			"--headers", "Authorization=Bearer 123", "--scope", "app:*", "--tags", "team=a")
		if hook.Name != "builds" || hook.Status != "enabled" || hook.Scope != "app:*" || len(hook.Actions) != 2 || hook.ProvisioningState != "Succeeded" {
			t.Errorf("%+v", hook)
		}
		if all := a.do("acr", "webhook", "list", "-r", cloudName); strings.Contains(all, "ci.example.com") || strings.Contains(all, "Bearer") {
			t.Errorf("the list tells where the webhook leads: %s", all)
		}
		a.do("acr", "webhook", "update", "-r", cloudName, "-n", "builds", "--status", "disabled", "--uri", "http://10.0.0.7:8080/hook", "--actions", "push")
		var config struct {
			ServiceURI    string
			CustomHeaders map[string]string
		}
		a.json(&config, "acr", "webhook", "get-config", "-r", cloudName, "-n", "builds")
		if config.ServiceURI != "http://10.0.0.7:8080/hook" || config.CustomHeaders["Authorization"] != "Bearer 123" {
			t.Errorf("%+v", config)
		}
		a.do("acr", "webhook", "update", "-r", cloudName, "-n", "builds", "--headers", "")
		a.json(&config, "acr", "webhook", "get-config", "-r", cloudName, "-n", "builds")
		if table := a.do("acr", "webhook", "show", "-r", cloudName, "-n", "builds", "-o", "table"); !strings.Contains(table, "disabled") {
			t.Errorf("%s", table)
		}
		var events []any
		if a.json(&events, "acr", "webhook", "list-events", "-r", cloudName, "-n", "builds"); len(events) != 0 {
			t.Errorf("events of a webhook that was told nothing: %v", events)
		}
		if said := a.refused("acr", "webhook", "create", "-r", cloudName, "-n", "other", "--uri", "ftp://ci.example.com", "--actions", "push"); !strings.Contains(said, "https://") {
			t.Errorf("%s", said)
		}
		a.do("acr", "webhook", "delete", "-r", cloudName, "-n", "builds")
		a.refused("acr", "webhook", "show", "-r", cloudName, "-n", "builds")
	})
}

// Replications as az makes them: home stays, others say that nothing is replicated.
func TestAzReplication(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		var all []shown
		if a.json(&all, "acr", "replication", "list", "-r", cloudName); len(all) != 1 {
			t.Fatalf("a new registry has %v", all)
		}
		home, routing := all[0].Name, "--global-endpoint-routing"
		if a.oldest {
			routing = "--region-endpoint-enabled"
		}
		var made shown
		a.json(&made, "acr", "replication", "create", "-r", cloudName, "-l", "westeurope", routing, "false", "--tags", "a=b")
		if made.Name != "westeurope" || made.RegionEndpointEnabled {
			t.Errorf("%+v", made)
		}
		if a.json(&made, "acr", "replication", "update", "-r", cloudName, "-n", "westeurope", routing, "true"); !made.RegionEndpointEnabled {
			t.Errorf("%+v", made)
		}
		if table := a.do("acr", "replication", "list", "-r", cloudName, "-o", "table"); !strings.Contains(table, "Ready") || !strings.Contains(table, "NotAvailable") {
			t.Errorf("%s", table)
		}
		if said := a.refused("acr", "replication", "delete", "-r", cloudName, "-n", home); !strings.Contains(said, "it cannot be deleted") {
			t.Errorf("%s", said)
		}
		a.do("acr", "replication", "delete", "-r", cloudName, "-n", "westeurope")
		a.refused("acr", "replication", "show", "-r", cloudName, "-n", "westeurope")
	})
}

// Cache rules and credential sets as the newest az makes them; the oldest has no such verbs.
func TestAzCache(t *testing.T) {
	newestAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		var set shown
		a.json(&set, "acr", "credential-set", "create", "-r", cloudName, "-n", "hubset", "-l", "docker.io", "-u", "https://v.vault.azure.net/secrets/user", "-p", "https://v.vault.azure.net/secrets/pass")
		if len(set.Identity.PrincipalID) != 36 {
			t.Errorf("%+v", set)
		}
		a.do("acr", "credential-set", "update", "-r", cloudName, "-n", "hubset", "-p", "https://v.vault.azure.net/secrets/other")
		if got := a.do("acr", "credential-set", "show", "-r", cloudName, "-n", "hubset", "--query", "authCredentials[0].passwordSecretIdentifier", "-o", "tsv"); !strings.Contains(got, "/secrets/other") {
			t.Errorf("%s", got)
		}
		a.do("acr", "cache", "create", "-r", cloudName, "-n", "ubuntu", "-s", "docker.io/library/ubuntu", "-t", "ubuntu", "-c", "hubset")
		if said := a.refused("acr", "credential-set", "delete", "-r", cloudName, "-n", "hubset", "--yes"); !strings.Contains(said, "used by the cache rule") {
			t.Errorf("%s", said)
		}
		var rule shown
		if a.json(&rule, "acr", "cache", "update", "-r", cloudName, "-n", "ubuntu", "--remove-cred-set"); rule.CredentialSetResourceID != nil {
			t.Errorf("%+v", rule)
		}
		a.do("acr", "cache", "create", "-r", cloudName, "-n", "ms-all", "-s", "mcr.microsoft.com/*", "-t", "ms/*")
		if said := a.refused("acr", "cache", "create", "-r", cloudName, "-n", "ms-dotnet", "-s", "mcr.microsoft.com/dotnet/*", "-t", "ms/dotnet/*"); !strings.Contains(said, "wildcards cannot overlap") {
			t.Errorf("%s", said)
		}
		identity := a.do("identity", "create", "-g", "acre", "-n", "puller", "--query", "id", "-o", "tsv")
		a.do("acr", "cache", "create", "-r", cloudName, "-n", "far-one", "-s", "other.azurecr.io/app", "-t", "far", "--identity", identity)
		var rules []shown
		if a.json(&rules, "acr", "cache", "list", "-r", cloudName); len(rules) != 3 {
			t.Errorf("%v", rules)
		}
		a.do("acr", "cache", "delete", "-r", cloudName, "-n", "ubuntu", "--yes")
		a.refused("acr", "cache", "show", "-r", cloudName, "-n", "ubuntu")
		a.do("acr", "credential-set", "delete", "-r", cloudName, "-n", "hubset", "--yes")
	})
}

// A tree of connected registries as az makes it: names, modes, scope maps of ancestors, client tokens, schedules, clean-up.
func TestAzConnectedRegistry(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		of := func(verb string, args ...string) []string {
			return append([]string{"acr", "connected-registry", verb, "-r", cloudName}, args...)
		}
		a.do("acr", "update", "-n", cloudName, "--data-endpoint-enabled", "true")
		a.do(of("create", "-n", "root1", "--repository", "app", "--mode", "ReadWrite")...)
		for _, token := range []string{"reader1", "reader2"} {
			a.do("acr", "token", "create", "-r", cloudName, "-n", token, "--repository", "app", "content/read", "--no-passwords", "true")
		}
		a.do(of("create", "-n", "child1", "--parent", "root1", "--repository", "app", "--mode", "ReadOnly", "--client-tokens", "reader1", "-s", "0 0/10 * * *", "-w", "PT4H", "--notifications", "app:v1:push")...)
		var child struct {
			shown
			Parent struct {
				ID             string
				SyncProperties struct {
					Schedule, MessageTTL string
					SyncWindow           *string
				}
			}
		}
		a.json(&child, of("show", "-n", "child1")...)
		if sync := child.Parent.SyncProperties; child.Mode != "ReadOnly" || child.ConnectionState != "Offline" || !strings.HasSuffix(child.Parent.ID, "/connectedRegistries/root1") ||
			sync.Schedule != "0 0/10 * * *" || sync.SyncWindow == nil {
			t.Errorf("%+v", child)
		}
		a.do(of("update", "-n", "child1", "--add-client-tokens", "reader2", "--remove-client-tokens", "reader1", "--sync-schedule", "* * * * *",
			"--add-notifications", "*:*", "--remove-notifications", "app:v1:push")...)
		child.Parent.SyncProperties.SyncWindow = nil
		if a.json(&child, of("show", "-n", "child1")...); child.Parent.SyncProperties.SyncWindow != nil || len(child.ClientTokenIDs) != 1 ||
			!strings.HasSuffix(child.ClientTokenIDs[0], "/tokens/reader2") || fmt.Sprint(child.NotificationsList) != "[*:*]" {
			t.Errorf("%+v", child)
		}
		if tokens := a.do(of("list-client-tokens", "-n", "child1", "--query", "[].name", "-o", "tsv")...); tokens != "reader2" {
			t.Errorf("%s", tokens)
		}
		if names := a.do(of("list", "--query", "[].name", "-o", "tsv")...); names != "root1\nchild1" {
			t.Errorf("%q", names)
		}
		a.do(of("list", "-o", "table")...)
		permissions := func(name string) string {
			return a.do("acr", "connected-registry", "permissions", "show", "-r", cloudName, "-n", name, "--query", "actions", "-o", "tsv")
		}
		a.do("acr", "connected-registry", "permissions", "update", "-r", cloudName, "-n", "child1", "--add", "tools")
		if got := permissions("root1"); !strings.Contains(got, "repositories/tools/content/read") || !strings.Contains(got, "gateway/child1/message/write") {
			t.Errorf("the root holds %s", got)
		}
		settings := a.do(of("get-settings", "-n", "root1", "--parent-protocol", "https", "--generate-password", "1", "--yes", "--query", "ACR_REGISTRY_CONNECTION_STRING", "-o", "tsv")...)
		if !strings.Contains(settings, "ParentGatewayEndpoint="+cloudName+".") {
			t.Errorf("%s", settings)
		}
		if said := a.refused("acr", "token", "delete", "-r", cloudName, "-n", "root1", "--yes"); !strings.Contains(said, "sync token") {
			t.Errorf("%s", said)
		}
		if said := a.refused(of("delete", "-n", "root1", "--yes")...); !strings.Contains(said, "child1") {
			t.Errorf("%s", said)
		}
		a.do(of("deactivate", "-n", "root1", "--yes")...)
		if !a.oldest {
			if said := a.refused(of("resync", "-n", "root1")...); !strings.Contains(said, "Offline") {
				t.Errorf("%s", said)
			}
		}
		a.do(of("delete", "-n", "child1", "--cleanup", "--yes")...)
		if got := permissions("root1"); strings.Contains(got, "gateway/child1/") {
			t.Errorf("the root holds %s", got)
		}
		a.do(of("delete", "-n", "root1", "--cleanup", "--yes")...)
		a.refused("acr", "token", "show", "-r", cloudName, "-n", "root1")
	})
}
