package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// PrincipalType is what a role is assigned to.
type PrincipalType string

// Principal types. A managed identity is a service principal.
const (
	UserPrincipal    PrincipalType = "User"
	GroupPrincipal   PrincipalType = "Group"
	ServicePrincipal PrincipalType = "ServicePrincipal"
)

// DirectoryID is where an object of the directory is kept: kind is users, groups, applications or servicePrincipals.
func DirectoryID(kind, objectID string) arm.ID {
	return arm.Tenant(arm.Directory, kind, strings.ToLower(objectID))
}

// User is a person in the directory.
type User struct {
	ID          string    `json:"id"` // the object ID, a GUID in lower case
	Name        string    `json:"userPrincipalName"`
	DisplayName string    `json:"displayName"`
	Mail        string    `json:"mail,omitempty"`
	Enabled     bool      `json:"accountEnabled"`
	Password    string    `json:"password,omitempty"` // a verifier
	CreatedAt   time.Time `json:"createdAt"`
	// SignInsSince is from when on refresh tokens count: those given out before were revoked.
	SignInsSince time.Time `json:"signInsSince"`
}

func (User) ResourceType() string { return "Microsoft.Graph/users" }

// Keys finds a user by name.
func (u User) Keys() []string { return []string{"upn:" + strings.ToLower(u.Name)} }

// Group is a set of principals, which may be groups again.
type Group struct {
	ID          string    `json:"id"`
	DisplayName string    `json:"displayName"`
	Description string    `json:"description,omitempty"`
	Members     []string  `json:"members"` // object IDs
	Owners      []string  `json:"owners"`
	CreatedAt   time.Time `json:"createdAt"`
}

func (Group) ResourceType() string { return "Microsoft.Graph/groups" }

// Keys finds a group by name, and the groups that somebody is a member of.
func (g Group) Keys() []string {
	keys := []string{"name:" + strings.ToLower(g.DisplayName)}
	for _, m := range g.Members {
		keys = append(keys, "member:"+strings.ToLower(m))
	}
	return keys
}

// Application is what a service principal stands for: its client ID and how it proves itself.
type Application struct {
	ID             string                `json:"id"`    // the object ID
	AppID          string                `json:"appId"` // the client ID
	DisplayName    string                `json:"displayName"`
	IdentifierURIs []string              `json:"identifierUris"`
	RedirectURIs   []string              `json:"redirectUris"` // of public clients; http://localhost is any port there
	Public         bool                  `json:"public"`       // may sign users in without proving itself
	Secrets        []ClientSecret        `json:"secrets"`
	Certificates   []ClientCertificate   `json:"certificates"`
	Federated      []FederatedCredential `json:"federated"`
	Subjects       []CertificateSubject  `json:"subjects,omitempty"`
	CreatedAt      time.Time             `json:"createdAt"`
}

func (Application) ResourceType() string { return "Microsoft.Graph/applications" }

// Keys finds an application by client ID, by name, by URI and by its secrets.
func (a Application) Keys() []string {
	keys := []string{"appid:" + strings.ToLower(a.AppID), "name:" + strings.ToLower(a.DisplayName)}
	for _, u := range a.IdentifierURIs {
		keys = append(keys, "uri:"+strings.ToLower(u))
	}
	for _, s := range a.Secrets {
		if s.Hash != "" {
			keys = append(keys, secretKey(s.Hash))
		}
	}
	return keys
}

// ClientSecret is a generated password of an application.
type ClientSecret struct {
	KeyID       string    `json:"keyId"`
	DisplayName string    `json:"displayName"`
	Hint        string    `json:"hint"` // the first three characters
	Verifier    string    `json:"verifier"`
	Hash        string    `json:"hash,omitempty"` // of a generated one: see SecretHash
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
}

// ClientCertificate lets an application sign assertions.
type ClientCertificate struct {
	KeyID       string    `json:"keyId"`
	DisplayName string    `json:"displayName"`
	Certificate []byte    `json:"certificate"` // DER
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
}

// CertificateSubject lets an application sign assertions with any certificate of a name that an authority issued, so that
// certificates may be renewed without a word here.
type CertificateSubject struct {
	Name      string `json:"name"`      // a DNS name of the certificate, or its common name
	Authority []byte `json:"authority"` // the authority's certificate, DER
}

// FederatedCredential lets the tokens of another issuer stand for the application.
type FederatedCredential struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Audiences   []string `json:"audiences"`
	Description string   `json:"description,omitempty"`
}

// ServiceAccount is a service principal: an application, or a managed identity, as somebody who acts in the tenant.
type ServiceAccount struct {
	ID          string    `json:"id"` // the object ID
	AppID       string    `json:"appId"`
	DisplayName string    `json:"displayName"`
	Enabled     bool      `json:"accountEnabled"`
	ManagedID   string    `json:"managedId,omitempty"` // the resource ID of the managed identity, if it is one
	Names       []string  `json:"servicePrincipalNames"`
	CreatedAt   time.Time `json:"createdAt"`
	// Federated are a managed identity's; an application has its own.
	Federated []FederatedCredential `json:"federated,omitempty"`
}

func (ServiceAccount) ResourceType() string { return "Microsoft.Graph/servicePrincipals" }

// Keys finds a service principal by client ID, by name and by resource ID.
func (s ServiceAccount) Keys() []string {
	keys := []string{"appid:" + strings.ToLower(s.AppID), "name:" + strings.ToLower(s.DisplayName)}
	for _, n := range s.Names {
		keys = append(keys, "spn:"+strings.ToLower(n))
	}
	if s.ManagedID != "" {
		keys = append(keys, "managed:"+strings.ToLower(s.ManagedID))
	}
	return keys
}

// ManagedIdentity is the resource userAssignedIdentities; its service principal is in the directory.
type ManagedIdentity struct {
	Name        string            `json:"name"`
	Group       string            `json:"group,omitempty"` // the resource group that it lies in
	Location    string            `json:"location"`
	Tags        map[string]string `json:"tags,omitempty"`
	ClientID    string            `json:"clientId"`
	PrincipalID string            `json:"principalId"`
	CreatedAt   time.Time         `json:"createdAt"`

	System SystemData `json:"systemData,omitzero"`
}

func (ManagedIdentity) ResourceType() string {
	return "Microsoft.ManagedIdentity/userAssignedIdentities"
}

// Bounds of what the directory keeps.
const (
	maxMembers     = 10_000
	maxCredentials = 100
	maxURIs        = 256
)

// Validate checks the ID and the name.
func (u User) Validate() error {
	at := strings.IndexByte(u.Name, '@')
	if at < 1 || at == len(u.Name)-1 || len(u.Name) > 256 || strings.ContainsAny(u.Name, " \t\r\n/\\:\"<>") {
		return fault.New(fault.Invalid, "user name %.100q is not valid: it looks like owner@acre.localhost", u.Name)
	}
	return first(checkGUID("the user's ID", u.ID), checkText("user "+u.Name+": the display name", u.DisplayName),
		checkText("user "+u.Name+": mail", u.Mail))
}

// Validate checks the ID, the name and the members.
func (g Group) Validate() error {
	what := "group " + g.DisplayName
	if g.DisplayName == "" {
		return fault.New(fault.Invalid, "group %s: give it a display name", g.ID)
	}
	for _, m := range append(g.Members[:len(g.Members):len(g.Members)], g.Owners...) {
		if err := checkGUID(what+": the member's ID", m); err != nil {
			return err
		}
	}
	return first(checkGUID("the group's ID", g.ID), checkText("the group's name", g.DisplayName),
		checkText(what+": the description", g.Description), checkCount(what+": members", len(g.Members), maxMembers),
		checkCount(what+": owners", len(g.Owners), maxMembers))
}

// Validate checks the IDs, the name, and how many credentials there are.
func (a Application) Validate() error {
	what := "application " + a.DisplayName
	if a.DisplayName == "" {
		return fault.New(fault.Invalid, "application %s: give it a display name", a.AppID)
	}
	if err := checkFederated(what, a.Federated); err != nil {
		return err
	}
	for _, uri := range append(a.IdentifierURIs[:len(a.IdentifierURIs):len(a.IdentifierURIs)], a.RedirectURIs...) {
		if uri == "" || len(uri) > maxText || strings.ContainsAny(uri, " \t\r\n") {
			return fault.New(fault.Invalid, "%s: %.100q is not a URI", what, uri)
		}
	}
	return first(checkGUID("the application's ID", a.ID), checkGUID("the application's client ID", a.AppID),
		checkText("the application's name", a.DisplayName),
		checkCount(what+": secrets", len(a.Secrets), maxCredentials), checkCount(what+": certificates", len(a.Certificates), maxCredentials),
		checkCount(what+": certificate subjects", len(a.Subjects), maxCredentials),
		checkCount(what+": URIs", len(a.IdentifierURIs)+len(a.RedirectURIs), maxURIs))
}

// Validate checks the IDs and the name.
func (s ServiceAccount) Validate() error {
	what := "service principal " + s.DisplayName
	return first(checkGUID("the service principal's ID", s.ID), checkGUID("the service principal's client ID", s.AppID),
		checkText("the service principal's name", s.DisplayName), checkText(what+": the managed identity", s.ManagedID),
		checkCount(what+": names", len(s.Names), maxURIs), checkFederated(what, s.Federated))
}

func checkFederated(what string, list []FederatedCredential) error {
	for _, f := range list {
		if f.Name == "" || f.Issuer == "" || f.Subject == "" || len(f.Audiences) == 0 {
			return fault.New(fault.Invalid, "%s: federated credential %.60q needs a name, an issuer, a subject and an audience", what, f.Name)
		}
		if err := checkURL(what+": federated credential "+f.Name+": the issuer", f.Issuer); err != nil {
			return err
		}
	}
	return checkCount(what+": federated credentials", len(list), maxCredentials)
}

// Validate checks the name and the IDs.
func (m ManagedIdentity) Validate() error {
	return first(identityNames.check(m.Name), checkGUID("the managed identity's client ID", m.ClientID),
		checkGUID("the managed identity's principal ID", m.PrincipalID), checkTags("managed identity "+m.Name, m.Tags))
}

// checkTags holds a resource's tags against the management API's limits.
func checkTags(what string, tags map[string]string) error {
	for k, v := range tags {
		if k == "" || len(k) > 512 || len(v) > 256 {
			return fault.New(fault.Invalid, "%s: tag %.60q is not valid: names have 1 to 512 bytes, values up to 256", what, k)
		}
	}
	return checkCount(what+": tags", len(tags), 50)
}
