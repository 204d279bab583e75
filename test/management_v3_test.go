package test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerregistry/armcontainerregistry/v3"
)

// The newest Go client of the management API goes through the life of a registry and of all that lies in one.
func TestGoManagement(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	cred, opt := c.manager(t)
	f := must(armcontainerregistry.NewClientFactory(devSubscription, cred, opt))(t)
	registries := f.NewRegistriesClient()
	ctx, g := context.Background(), "acre"
	const name = "gosdk1"

	free := must(registries.CheckNameAvailability(ctx, armcontainerregistry.RegistryNameCheckRequest{
		Name: to.Ptr(name), Type: to.Ptr("Microsoft.ContainerRegistry/registries"),
	}, nil))(t)
	if !*free.NameAvailable {
		t.Errorf("%s is taken", name)
	}
	reg := finished[armcontainerregistry.RegistriesClientCreateResponse](t)(registries.BeginCreate(ctx, g, name, armcontainerregistry.Registry{
		Location: to.Ptr("eastus"), SKU: &armcontainerregistry.SKU{Name: to.Ptr(armcontainerregistry.SKUNamePremium)},
		Properties: &armcontainerregistry.RegistryProperties{AdminUserEnabled: to.Ptr(true), DataEndpointEnabled: to.Ptr(true)},
	}, nil))
	if *reg.Properties.ProvisioningState != armcontainerregistry.ProvisioningStateSucceeded || *reg.Properties.LoginServer != name+".azurecr.io" {
		t.Errorf("%+v", *reg.Properties)
	}
	c.content(t, *reg.Properties.LoginServer)
	finished[armcontainerregistry.RegistriesClientUpdateResponse](t)(registries.BeginUpdate(ctx, g, name, armcontainerregistry.RegistryUpdateParameters{Tags: map[string]*string{"a": to.Ptr("b")}}, nil))
	if got := must(registries.Get(ctx, g, name, nil))(t); *got.Tags["a"] != "b" || !*got.Properties.AdminUserEnabled {
		t.Errorf("%+v", got.Registry)
	}
	if logins := must(registries.ListCredentials(ctx, g, name, nil))(t); len(logins.Passwords) != 2 || *logins.Username != name {
		t.Errorf("%+v", logins)
	}
	if usages := must(registries.ListUsages(ctx, g, name, nil))(t); len(usages.Value) == 0 {
		t.Error("no usages")
	}
	if all := pages(t, registries.NewListPager(nil)); len(all) == 0 || len(all[0].Value) < 2 {
		t.Errorf("registries: %+v", all)
	}

	goTokens(t, c, f, *reg.ID, name)
	goHooks(t, f, name)
	goUpstreams(t, f, name)
	goConnected(t, f, *reg.ID, name)

	finished[armcontainerregistry.RegistriesClientDeleteResponse](t)(registries.BeginDelete(ctx, g, name, nil))
	_, err := registries.Get(ctx, g, name, nil)
	says(t, "ResourceNotFound", err)
}

func goTokens(t *testing.T, c *cloud, f *armcontainerregistry.ClientFactory, id, name string) {
	t.Helper()
	ctx, g, maps, tokens := context.Background(), "acre", f.NewScopeMapsClient(), f.NewTokensClient()
	finished[armcontainerregistry.ScopeMapsClientCreateResponse](t)(maps.BeginCreate(ctx, g, name, "pushers", armcontainerregistry.ScopeMap{
		Properties: &armcontainerregistry.ScopeMapProperties{Actions: []*string{to.Ptr("repositories/app/content/read"), to.Ptr("repositories/app/content/write")}},
	}, nil))
	tok := finished[armcontainerregistry.TokensClientCreateResponse](t)(tokens.BeginCreate(ctx, g, name, "pusher", armcontainerregistry.Token{
		Properties: &armcontainerregistry.TokenProperties{ScopeMapID: to.Ptr(id + "/scopeMaps/pushers"), Status: to.Ptr(armcontainerregistry.TokenStatusEnabled)},
	}, nil))
	login := finished[armcontainerregistry.RegistriesClientGenerateCredentialsResponse](t)(f.NewRegistriesClient().BeginGenerateCredentials(ctx, g, name,
		armcontainerregistry.GenerateCredentialsParameters{TokenID: tok.ID, Expiry: to.Ptr(time.Now().Add(time.Hour))}, nil))
	cl := c.https().as(t, name+".azurecr.io")
	cl.user, cl.password = *login.Username, *login.Passwords[0].Value
	if _, _, err := cl.pushImage("app", "v1", []byte("pushed by a token")); err != nil {
		t.Error(err)
	}
	cl.must(t, http.StatusOK, "GET", "/v2/app/manifests/v1", nil, nil)
	finished[armcontainerregistry.TokensClientUpdateResponse](t)(tokens.BeginUpdate(ctx, g, name, "pusher", armcontainerregistry.TokenUpdateParameters{
		Properties: &armcontainerregistry.TokenUpdateProperties{Status: to.Ptr(armcontainerregistry.TokenStatusDisabled)},
	}, nil))
	if all := pages(t, tokens.NewListPager(g, name, nil)); len(all) != 1 || len(all[0].Value) != 1 {
		t.Errorf("tokens: %+v", all)
	}
	if all := pages(t, maps.NewListPager(g, name, nil)); len(all) != 1 || len(all[0].Value) != 6 { // five are the system's
		t.Errorf("scope maps: %+v", all)
	}
	_, err := maps.BeginDelete(ctx, g, name, "pushers", nil)
	says(t, "ResourceInUse", err)
	finished[armcontainerregistry.TokensClientDeleteResponse](t)(tokens.BeginDelete(ctx, g, name, "pusher", nil))
	finished[armcontainerregistry.ScopeMapsClientDeleteResponse](t)(maps.BeginDelete(ctx, g, name, "pushers", nil))
}

func goHooks(t *testing.T, f *armcontainerregistry.ClientFactory, name string) {
	t.Helper()
	ctx, g, hooks, places := context.Background(), "acre", f.NewWebhooksClient(), f.NewReplicationsClient()
	finished[armcontainerregistry.ReplicationsClientCreateResponse](t)(places.BeginCreate(ctx, g, name, "westeurope", armcontainerregistry.Replication{Location: to.Ptr("westeurope")}, nil))
	finished[armcontainerregistry.ReplicationsClientUpdateResponse](t)(places.BeginUpdate(ctx, g, name, "westeurope", armcontainerregistry.ReplicationUpdateParameters{Tags: map[string]*string{"a": to.Ptr("b")}}, nil))
	if all := pages(t, places.NewListPager(g, name, nil)); len(all) != 1 || len(all[0].Value) != 2 {
		t.Errorf("replications: %+v", all)
	}
	finished[armcontainerregistry.WebhooksClientCreateResponse](t)(hooks.BeginCreate(ctx, g, name, "builds", armcontainerregistry.WebhookCreateParameters{
		Location: to.Ptr("westeurope"), Properties: &armcontainerregistry.WebhookPropertiesCreateParameters{
			ServiceURI: to.Ptr("https://ci.example.com/hook"), Actions: []*armcontainerregistry.WebhookAction{to.Ptr(armcontainerregistry.WebhookActionPush)},
		},
	}, nil))
	if config := must(hooks.GetCallbackConfig(ctx, g, name, "builds", nil))(t); *config.ServiceURI != "https://ci.example.com/hook" {
		t.Errorf("%+v", config)
	}
	if events := pages(t, hooks.NewListEventsPager(g, name, "builds", nil)); len(events) != 1 || len(events[0].Value) != 0 {
		t.Errorf("events: %+v", events)
	}
	finished[armcontainerregistry.WebhooksClientUpdateResponse](t)(hooks.BeginUpdate(ctx, g, name, "builds", armcontainerregistry.WebhookUpdateParameters{
		Properties: &armcontainerregistry.WebhookPropertiesUpdateParameters{Status: to.Ptr(armcontainerregistry.WebhookStatusDisabled)},
	}, nil))
	_, err := places.BeginDelete(ctx, g, name, "westeurope", nil)
	says(t, "builds", err)
	finished[armcontainerregistry.WebhooksClientDeleteResponse](t)(hooks.BeginDelete(ctx, g, name, "builds", nil))
	finished[armcontainerregistry.ReplicationsClientDeleteResponse](t)(places.BeginDelete(ctx, g, name, "westeurope", nil))
}

func goUpstreams(t *testing.T, f *armcontainerregistry.ClientFactory, name string) {
	t.Helper()
	ctx, g, sets, rules := context.Background(), "acre", f.NewCredentialSetsClient(), f.NewCacheRulesClient()
	set := finished[armcontainerregistry.CredentialSetsClientCreateResponse](t)(sets.BeginCreate(ctx, g, name, "hubset", armcontainerregistry.CredentialSet{
		Identity: &armcontainerregistry.IdentityProperties{Type: to.Ptr(armcontainerregistry.ResourceIdentityTypeSystemAssigned)},
		Properties: &armcontainerregistry.CredentialSetProperties{LoginServer: to.Ptr("docker.io"), AuthCredentials: []*armcontainerregistry.AuthCredential{{
			Name:                     to.Ptr(armcontainerregistry.CredentialNameCredential1),
			UsernameSecretIdentifier: to.Ptr("https://v.vault.azure.net/secrets/user"), PasswordSecretIdentifier: to.Ptr("https://v.vault.azure.net/secrets/pass"),
		}}},
	}, nil))
	if *set.Identity.PrincipalID == "" {
		t.Errorf("%+v", set)
	}
	finished[armcontainerregistry.CacheRulesClientCreateResponse](t)(rules.BeginCreate(ctx, g, name, "ubuntu", armcontainerregistry.CacheRule{
		Properties: &armcontainerregistry.CacheRuleProperties{SourceRepository: to.Ptr("docker.io/library/ubuntu"), TargetRepository: to.Ptr("ubuntu"), CredentialSetResourceID: set.ID},
	}, nil))
	if got := must(rules.Get(ctx, g, name, "ubuntu", nil))(t); *got.Properties.CredentialSetResourceID != *set.ID {
		t.Errorf("%+v", *got.Properties)
	}
	finished[armcontainerregistry.CacheRulesClientDeleteResponse](t)(rules.BeginDelete(ctx, g, name, "ubuntu", nil))
	finished[armcontainerregistry.CredentialSetsClientDeleteResponse](t)(sets.BeginDelete(ctx, g, name, "hubset", nil))
	finished[armcontainerregistry.CacheRulesClientDeleteResponse](t)(rules.BeginDelete(ctx, g, name, "ubuntu", nil)) // it is gone
}

func goConnected(t *testing.T, f *armcontainerregistry.ClientFactory, id, name string) {
	t.Helper()
	ctx, g, connected := context.Background(), "acre", f.NewConnectedRegistriesClient()
	finished[armcontainerregistry.ScopeMapsClientCreateResponse](t)(f.NewScopeMapsClient().BeginCreate(ctx, g, name, "syncmap", armcontainerregistry.ScopeMap{
		Properties: &armcontainerregistry.ScopeMapProperties{Actions: []*string{to.Ptr("repositories/app/content/read"), to.Ptr("repositories/app/metadata/read"), to.Ptr("gateway/factory1/config/read")}},
	}, nil))
	finished[armcontainerregistry.TokensClientCreateResponse](t)(f.NewTokensClient().BeginCreate(ctx, g, name, "synctoken", armcontainerregistry.Token{
		Properties: &armcontainerregistry.TokenProperties{ScopeMapID: to.Ptr(id + "/scopeMaps/syncmap")},
	}, nil))
	finished[armcontainerregistry.ConnectedRegistriesClientCreateResponse](t)(connected.BeginCreate(ctx, g, name, "factory1", armcontainerregistry.ConnectedRegistry{
		Properties: &armcontainerregistry.ConnectedRegistryProperties{
			Mode: to.Ptr(armcontainerregistry.ConnectedRegistryModeReadOnly),
			Parent: &armcontainerregistry.ParentProperties{SyncProperties: &armcontainerregistry.SyncProperties{
				TokenID: to.Ptr(id + "/tokens/synctoken"), MessageTTL: to.Ptr("P2D"),
			}},
		},
	}, nil))
	if all := pages(t, connected.NewListPager(g, name, nil)); len(all) != 1 || len(all[0].Value) != 1 {
		t.Errorf("connected registries: %+v", all)
	}
	finished[armcontainerregistry.ConnectedRegistriesClientDeactivateResponse](t)(connected.BeginDeactivate(ctx, g, name, "factory1", nil))
	finished[armcontainerregistry.ConnectedRegistriesClientDeleteResponse](t)(connected.BeginDelete(ctx, g, name, "factory1", nil))
}
