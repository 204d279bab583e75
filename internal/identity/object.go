package identity

import (
	"crypto/sha1" //nolint:gosec // a thumbprint, by which certificates are named
	"encoding/hex"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
)

// object is a thing of the directory as Graph shows it.
type object = map[string]any

func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// orNull is null for "".
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// list is never null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func userObject(u acr.User) object {
	first, last := u.DisplayName, ""
	if i := strings.LastIndexByte(u.DisplayName, ' '); i > 0 {
		first, last = u.DisplayName[:i], u.DisplayName[i+1:]
	}
	local, _, _ := strings.Cut(u.Name, "@")
	return object{
		"id": u.ID, "userPrincipalName": u.Name, "displayName": u.DisplayName, "mail": orNull(u.Mail), "accountEnabled": u.Enabled,
		"givenName": orNull(first), "surname": orNull(last), "mailNickname": local, "userType": "Member",
		"createdDateTime": timestamp(u.CreatedAt), "businessPhones": []string{},
		"jobTitle": nil, "mobilePhone": nil, "officeLocation": nil, "preferredLanguage": nil,
	}
}

func groupObject(g acr.Group) object {
	return object{
		"id": g.ID, "displayName": g.DisplayName, "description": orNull(g.Description), "createdDateTime": timestamp(g.CreatedAt),
		"mailNickname": nickname(g.DisplayName), "mailEnabled": false, "mail": nil, "securityEnabled": true, "groupTypes": []string{},
		"deletedDateTime": nil, "visibility": nil, "proxyAddresses": []string{}, "isAssignableToRole": nil,
	}
}

// nickname is a name without what an address cannot hold.
func nickname(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`@()\[]";:<>,`, r) {
			return -1
		}
		return r
	}, name)
}

func applicationObject(a acr.Application) object {
	public, web := list(a.RedirectURIs), []string{}
	if !a.Public {
		public, web = web, public
	}
	return object{
		"id": a.ID, "appId": a.AppID, "displayName": a.DisplayName, "createdDateTime": timestamp(a.CreatedAt), "deletedDateTime": nil,
		"identifierUris": list(a.IdentifierURIs), "isFallbackPublicClient": a.Public, "signInAudience": "AzureADMyOrg",
		"publicClient":        object{"redirectUris": public},
		"web":                 object{"redirectUris": web, "homePageUrl": nil, "logoutUrl": nil, "implicitGrantSettings": object{"enableAccessTokenIssuance": false, "enableIdTokenIssuance": false}},
		"spa":                 object{"redirectUris": []string{}},
		"passwordCredentials": passwords(a.Secrets), "keyCredentials": certificates(a.Certificates),
		"api":      object{"acceptMappedClaims": nil, "knownClientApplications": []string{}, "oauth2PermissionScopes": []object{}, "preAuthorizedApplications": []object{}, "requestedAccessTokenVersion": nil},
		"appRoles": []object{}, "requiredResourceAccess": []object{}, "addIns": []object{}, "tags": []string{}, "info": object{}, "optionalClaims": nil,
		"description": nil, "notes": nil, "groupMembershipClaims": nil, "publisherDomain": nil, "serviceManagementReference": nil,
	}
}

func passwords(secrets []acr.ClientSecret) []object {
	out := make([]object, len(secrets))
	for i, s := range secrets {
		out[i] = passwordObject(s)
	}
	return out
}

// passwordObject shows a secret without it.
func passwordObject(s acr.ClientSecret) object {
	return object{
		"keyId": s.KeyID, "displayName": orNull(s.DisplayName), "hint": orNull(s.Hint), "secretText": nil, "customKeyIdentifier": nil,
		"startDateTime": timestamp(s.Start), "endDateTime": timestamp(s.End),
	}
}

func certificates(certs []acr.ClientCertificate) []object {
	out := make([]object, len(certs))
	for i, c := range certs {
		sum := sha1.Sum(c.Certificate) //nolint:gosec // as above
		out[i] = object{
			"keyId": c.KeyID, "displayName": orNull(c.DisplayName), "key": nil, "type": "AsymmetricX509Cert", "usage": "Verify",
			"customKeyIdentifier": strings.ToUpper(hex.EncodeToString(sum[:])),
			"startDateTime":       timestamp(c.Start), "endDateTime": timestamp(c.End),
		}
	}
	return out
}

func federatedObject(c acr.FederatedCredential) object {
	return object{
		"id": c.ID, "name": c.Name, "issuer": c.Issuer, "subject": c.Subject, "audiences": list(c.Audiences), "description": orNull(c.Description),
	}
}

// serviceObject shows a service principal; its credentials are those of its application, which is nil for managed identities.
func serviceObject(s acr.ServiceAccount, app *acr.Application, tenant string) object {
	o := object{
		"id": s.ID, "appId": s.AppID, "displayName": s.DisplayName, "appDisplayName": orNull(s.DisplayName), "accountEnabled": s.Enabled,
		"createdDateTime": timestamp(s.CreatedAt), "deletedDateTime": nil, "servicePrincipalNames": names(s),
		"servicePrincipalType": "Application", "alternativeNames": []string{}, "appOwnerOrganizationId": tenant,
		"passwordCredentials": []object{}, "keyCredentials": []object{}, "appRoles": []object{}, "oauth2PermissionScopes": []object{},
		"addIns": []object{}, "tags": []string{}, "replyUrls": []string{}, "info": object{}, "notificationEmailAddresses": []string{},
		"appRoleAssignmentRequired": false, "signInAudience": "AzureADMyOrg", "homepage": nil, "loginUrl": nil, "logoutUrl": nil,
		"description": nil, "notes": nil, "preferredSingleSignOnMode": nil, "verifiedPublisher": object{},
	}
	if s.ManagedID != "" {
		o["servicePrincipalType"], o["appDisplayName"], o["appOwnerOrganizationId"], o["signInAudience"] = "ManagedIdentity", nil, nil, nil
		o["alternativeNames"] = []string{"isExplicit=True", s.ManagedID}
	}
	if app != nil {
		o["passwordCredentials"], o["keyCredentials"], o["replyUrls"] = passwords(app.Secrets), certificates(app.Certificates), list(app.RedirectURIs)
	}
	return o
}

// names are those by which a service principal is found; its client ID is one.
func names(s acr.ServiceAccount) []string {
	out := []string{s.AppID}
	for _, n := range s.Names {
		if !strings.EqualFold(n, s.AppID) {
			out = append(out, n)
		}
	}
	return out
}
