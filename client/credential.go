package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Way is how a connection authenticated.
type Way string

// Ways to authenticate, in the order in which a connection takes them.
const (
	ByLogin    Way = "login"    // with the login and the password that it has
	ByIdentity Way = "identity" // as the managed or workload identity that it names
	ByDefault  Way = "default"  // as whom the default chain of the Azure SDKs finds
)

// NullUser is the user name that goes with a token in place of a password.
const NullUser = "00000000-0000-0000-0000-000000000000"

// Credential is what a client of a registry logs in with.
type Credential struct {
	Server   string `json:"server"` // login server, as the connection spells it
	Username string `json:"username"`
	Password string `json:"password"`

	Way Way `json:"way"`
	// Admin tells that it is the registry's admin user's; else, where Way is not ByLogin, the password is a refresh token of
	// whoever was found.
	Admin bool `json:"admin"`
}

// Credential authenticates: with the connection's own login where it has a password; else as the managed or workload identity
// it names, if it names both a client ID and a tenant; else by the default chain. An identity reads the password of the
// registry's admin user from the management API, where the connection says which subscription and group the registry is in.
// Where that is not said, or the admin user is disabled, or the identity may not read its password, its own token is
// exchanged for one of the registry's.
//
// A login asks nobody; whether it is right shows when it is used.
func (c Connection) Credential(ctx context.Context, opt Options) (Credential, error) {
	server := c.Server
	if server == "" && c.Login != "" && c.Password == "" {
		server = strings.ToLower(c.Login) + "." + opt.cloud().Suffix
	}
	switch {
	case c.Password != "":
		return Credential{Server: server, Username: c.Login, Password: c.Password, Way: ByLogin}, nil
	case c.Login == "" && c.Server == "":
		return Credential{}, errors.New("connection must have a login, which names the registry, or a server")
	}
	who, way, err := c.identity(opt)
	if err != nil {
		return Credential{}, err
	}
	cred := Credential{Server: server, Way: way}
	if c.Login != "" && c.SubscriptionID != "" && c.ResourceGroup != "" {
		id := registryID(c.SubscriptionID, c.ResourceGroup, c.Login)
		cred.Username, cred.Password, err = opt.management(who).admin(ctx, id)
		if err == nil {
			cred.Admin = true
			return cred, nil
		}
		if !mayExchange(err) {
			return Credential{}, fmt.Errorf("read the admin user's password of registry %s: %w", c.Login, err)
		}
	}
	cred.Username = NullUser
	refresh, exchangeErr := opt.exchange(ctx, server, who, c.WorkloadIdentityTenantID)
	if exchangeErr != nil {
		return Credential{}, errors.Join(err, exchangeErr)
	}
	cred.Password = refresh
	return cred, nil
}

// mayExchange tells whether an identity that could not read the admin user's password may try with its own token: it is known,
// and the admin user is disabled, or nothing of the identity's.
func mayExchange(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	return refused.Status == http.StatusForbidden || refused.Status == http.StatusBadRequest && strings.EqualFold(refused.Code, "UnauthorizedForCredentialOperations")
}

func registryID(subscription, group, name string) string {
	return "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/Microsoft.ContainerRegistry/registries/" + name
}

// identity is whom the connection names, or whom the options or the default chain give.
func (c Connection) identity(opt Options) (azcore.TokenCredential, Way, error) {
	if c.ManagedIdentityClientID != "" && c.WorkloadIdentityTenantID != "" {
		who, err := c.named(opt)
		return who, ByIdentity, err
	}
	if opt.Identity != nil {
		return opt.Identity, ByDefault, nil
	}
	who, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: opt.azure(), DisableInstanceDiscovery: opt.private(), TenantID: c.WorkloadIdentityTenantID,
	})
	return who, ByDefault, err
}

// named is the chain for an identity that is named: the environment's, then a workload identity's token of that tenant, then
// the managed identity of that client ID, then az. Only those are in it that can be tried here.
func (c Connection) named(opt Options) (azcore.TokenCredential, error) {
	var chain []azcore.TokenCredential
	if who, err := azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{
		ClientOptions: opt.azure(), DisableInstanceDiscovery: opt.private(),
	}); err == nil {
		chain = append(chain, who)
	}
	if os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "" {
		who, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: opt.azure(), DisableInstanceDiscovery: opt.private(),
			ClientID: c.ManagedIdentityClientID, TenantID: c.WorkloadIdentityTenantID,
		})
		if err != nil {
			return nil, err
		}
		chain = append(chain, who)
	}
	managed, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
		ClientOptions: opt.azure(), ID: azidentity.ClientID(c.ManagedIdentityClientID),
	})
	if err != nil {
		return nil, err
	}
	az, err := azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: c.WorkloadIdentityTenantID})
	if err != nil {
		return nil, err
	}
	return azidentity.NewChainedTokenCredential(append(chain, managed, az), nil)
}
