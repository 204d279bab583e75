package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// AuthMethod is how a connector authenticates to its cloud.
type AuthMethod string

// What connectors can authenticate with.
const (
	Implicit         AuthMethod = "implicit"          // as whom the environment says: the default chain of the Azure SDKs
	ServicePrincipal AuthMethod = "service-principal" // with a tenant, a client ID and a secret
	AccessToken      AuthMethod = "access-token"      // with a token that somebody else got
)

// AuthMethods are all of them.
var AuthMethods = []AuthMethod{Implicit, ServicePrincipal, AccessToken}

// DockerRegistry is the resource type that connectors give access to.
const DockerRegistry = "docker-registry"

// Connector holds one identity of a cloud and gives access to the registries that it can see.
type Connector struct {
	Method       AuthMethod `json:"method"`
	TenantID     string     `json:"tenant_id,omitempty"`
	ClientID     string     `json:"client_id,omitempty"`
	ClientSecret string     `json:"client_secret,omitempty"`
	Token        string     `json:"token,omitempty"` // an access token for the management API

	SubscriptionID string `json:"subscription_id,omitempty"` // "": the only one that the identity sees
	ResourceGroup  string `json:"resource_group,omitempty"`  // "": every group
}

// ErrExpired says that a connector's token has ended: register the connector again, with a new one.
var ErrExpired = errors.New("the connector's authentication credentials have expired")

// Validate tells what the method lacks, and what it has no use for.
func (c Connector) Validate() error {
	fields := []struct{ name, value string }{
		{"tenant_id", c.TenantID}, {"client_id", c.ClientID}, {"client_secret", c.ClientSecret}, {"token", c.Token},
	}
	var needs, may []string
	switch c.Method {
	case Implicit:
		may = []string{"tenant_id"}
	case ServicePrincipal:
		needs = []string{"tenant_id", "client_id", "client_secret"}
	case AccessToken:
		needs, may = []string{"token"}, []string{"tenant_id"}
	default:
		return fmt.Errorf("auth method %.40q is none of implicit, service-principal, access-token", c.Method)
	}
	for _, f := range fields {
		switch wanted := slices.Contains(needs, f.name); {
		case wanted && f.value == "":
			return fmt.Errorf("auth method %s needs %s", c.Method, f.name)
		case !wanted && f.value != "" && !slices.Contains(may, f.name):
			return fmt.Errorf("auth method %s has no use for %s", c.Method, f.name)
		}
	}
	return nil
}

// Expires is when the connector's token ends; zero where it has none, or where the token does not say.
func (c Connector) Expires() time.Time {
	parts := strings.Split(c.Token, ".")
	if c.Method != AccessToken || len(parts) != 3 {
		return time.Time{}
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Exp), 0).UTC()
}

// static is a token that was given.
type static struct {
	token   string
	expires time.Time
}

func (s static) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if !s.expires.IsZero() && time.Now().After(s.expires) {
		return azcore.AccessToken{}, ErrExpired
	}
	ends := s.expires
	if ends.IsZero() {
		ends = time.Now().Add(time.Hour)
	}
	return azcore.AccessToken{Token: s.token, ExpiresOn: ends}, nil
}

func (c Connector) identity(opt Options) (azcore.TokenCredential, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch {
	case c.Method == AccessToken:
		return static{c.Token, c.Expires()}, nil
	case c.Method == ServicePrincipal:
		return azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, c.ClientSecret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: opt.azure(), DisableInstanceDiscovery: opt.private(),
		})
	case opt.Identity != nil:
		return opt.Identity, nil
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: opt.azure(), DisableInstanceDiscovery: opt.private(), TenantID: c.TenantID,
	})
}

// Subscription is a subscription that an identity sees.
type Subscription struct {
	ID   string `json:"subscriptionId"`
	Name string `json:"displayName"`
}

// Subscription is the one that the connector works in: the one it names, else the only one that its identity sees.
func (c Connector) Subscription(ctx context.Context, opt Options) (Subscription, error) {
	who, err := c.identity(opt)
	if err != nil {
		return Subscription{}, err
	}
	return c.subscription(ctx, opt.management(who))
}

func (c Connector) subscription(ctx context.Context, m *management) (s Subscription, err error) {
	if c.SubscriptionID != "" {
		err = m.ask(ctx, "GET", "/subscriptions/"+c.SubscriptionID, subscriptionVersion, &s)
		return s, err
	}
	all, err := list[Subscription](ctx, m, "/subscriptions", subscriptionVersion)
	switch {
	case err != nil:
		return s, fmt.Errorf("list the subscriptions: %w", err)
	case len(all) == 0:
		return s, errors.New("no subscriptions found for the configured credentials")
	case len(all) > 1:
		names := make([]string, len(all))
		for i, s := range all {
			names[i] = s.Name
		}
		return s, fmt.Errorf("multiple subscriptions found for the configured credentials: %s; name one with subscription_id", strings.Join(names, ", "))
	}
	return all[0], nil
}

// RegistryInfo is a registry that an identity sees.
type RegistryInfo struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	ResourceGroup string `json:"resourceGroup"`
	LoginServer   string `json:"loginServer"`
}

// Registries lists the registries that the connector gives access to, by login server.
func (c Connector) Registries(ctx context.Context, opt Options) ([]RegistryInfo, error) {
	who, err := c.identity(opt)
	if err != nil {
		return nil, err
	}
	return c.registries(ctx, opt.management(who))
}

func (c Connector) registries(ctx context.Context, m *management) ([]RegistryInfo, error) {
	sub, err := c.subscription(ctx, m)
	if err != nil {
		return nil, err
	}
	scope := "/subscriptions/" + sub.ID
	if c.ResourceGroup != "" {
		scope += "/resourceGroups/" + c.ResourceGroup
	}
	all, err := list[registryResource](ctx, m, scope+"/providers/Microsoft.ContainerRegistry/registries", registryVersion)
	if err != nil {
		return nil, fmt.Errorf("list the registries: %w", err)
	}
	out := make([]RegistryInfo, len(all))
	for i, r := range all {
		out[i] = RegistryInfo{ID: r.ID, Name: r.Name, LoginServer: r.Properties.LoginServer}
		if parts := strings.Split(r.ID, "/"); len(parts) > 4 {
			out[i].ResourceGroup = parts[4]
		}
	}
	slices.SortFunc(out, func(a, b RegistryInfo) int { return strings.Compare(a.LoginServer, b.LoginServer) })
	return out, nil
}

// FindRegistry finds the registry that a resource ID means: a name, or a login server with or without a scheme and what follows it.
func FindRegistry(all []RegistryInfo, resource string) (RegistryInfo, error) {
	name := strings.ToLower(resource)
	if _, rest, found := strings.Cut(name, "://"); found {
		name = rest
	}
	name, _, _ = strings.Cut(name, "/")
	for _, r := range all {
		if strings.EqualFold(r.LoginServer, name) || strings.EqualFold(r.Name, name) {
			return r, nil
		}
	}
	return RegistryInfo{}, fmt.Errorf("the registry %.100q was not found or is not accessible with the configured credentials", resource)
}

// Credential is what a client of a registry that the connector gives access to logs in with: a service principal's client ID
// and secret, else a token of the registry's, else, where it gives none, its admin user. The resource is a registry's name or
// login server.
func (c Connector) Credential(ctx context.Context, resource string, opt Options) (Credential, error) {
	who, err := c.identity(opt)
	if err != nil {
		return Credential{}, err
	}
	m := opt.management(who)
	all, err := c.registries(ctx, m)
	if err != nil {
		return Credential{}, err
	}
	reg, err := FindRegistry(all, resource)
	if err != nil {
		return Credential{}, err
	}
	cred := Credential{Server: reg.LoginServer, Username: c.ClientID, Password: c.ClientSecret, Way: ByIdentity}
	if c.Method == ServicePrincipal {
		return cred, nil
	}
	cred.Username = NullUser
	if cred.Password, err = opt.exchange(ctx, reg.LoginServer, who, c.TenantID); err == nil {
		return cred, nil
	}
	cred.Admin = true
	var adminErr error
	if cred.Username, cred.Password, adminErr = m.admin(ctx, reg.ID); adminErr != nil {
		return Credential{}, errors.Join(err, fmt.Errorf("read the admin user's password: %w", adminErr))
	}
	return cred, nil
}
