package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func filtered(set, filter string) string { return "/" + set + "?$filter=" + url.QueryEscape(filter) }

// values are a member of all objects of a list.
func values(t *testing.T, a answer, member string) []string {
	t.Helper()
	var page struct{ Value []map[string]any }
	decode(t, a.want(t, 200).body, &page)
	out := []string{}
	for _, o := range page.Value {
		out = append(out, fmt.Sprint(o[member]))
	}
	slices.Sort(out)
	return out
}

func certificate(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// The calls of "az ad sp create-for-rbac", twice; the secret logs in, and the one before does not any more.
func TestCreateForRBAC(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.token(msGraph)
	login := func(appID, secret string) int {
		return s.form("/"+tenant+"/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", appID, "client_secret", secret, "scope", arm+"/.default").StatusCode
	}
	if got := values(t, s.graph(token, "GET", filtered("servicePrincipals", "displayName eq 'ci'"), ""), "id"); len(got) != 0 {
		t.Fatal(got)
	}
	created := s.graph(token, "POST", "/applications", `{"displayName":"ci","keyCredentials":[]}`).want(t, 201)
	s.golden("graph_application", created)
	app := created.json(t)
	object, client := app["id"].(string), app["appId"].(string)
	if created.Header.Get("Location") != s.secure.URL+"/v1.0/applications/"+object {
		t.Errorf("Location %s", created.Header.Get("Location"))
	}
	added := s.graph(token, "POST", "/applications/"+object+"/addPassword",
		`{"passwordCredential":{"displayName":"rbac","startDateTime":"2026-01-01T00:00:00Z","endDateTime":"2100-01-01T00:00:00Z"}}`)
	s.golden("graph_password", added)
	first := added.json(t)
	account := s.graph(token, "POST", "/servicePrincipals", `{"appId":"`+client+`","accountEnabled":true}`).want(t, 201)
	s.golden("graph_account", account)
	if status := login(client, first["secretText"].(string)); status != 200 {
		t.Errorf("login with the secret: %d", status)
	}
	for _, path := range []string{"/applications/" + object, "/servicePrincipals/" + account.json(t)["id"].(string), "/applications(appId='" + client + "')", filtered("servicePrincipals", "appId eq '"+client+"'")} {
		if shown := s.graph(token, "GET", path, "").want(t, 200); strings.Contains(shown.body, first["secretText"].(string)) || !strings.Contains(shown.body, first["keyId"].(string)) {
			t.Errorf("%s: %s", path, shown.body)
		}
	}
	again := s.graph(token, "POST", "/servicePrincipals", `{"appId":"`+client+`"}`)
	s.golden("graph_exists", again)

	sp := account.json(t)["id"].(string)
	s.graph(token, "POST", "/servicePrincipals/"+sp+"/removePassword", `{"keyId":"`+first["keyId"].(string)+`"}`).want(t, 204)
	second := s.graph(token, "POST", "/servicePrincipals/"+sp+"/addPassword", `{"passwordCredential":{"displayName":null}}`).want(t, 200).json(t)
	if old, now := login(client, first["secretText"].(string)), login(client, second["secretText"].(string)); old != 401 || now != 200 {
		t.Errorf("after a reset: the old secret %d, the new one %d", old, now)
	}
	s.graph(token, "PATCH", "/servicePrincipals/"+sp, `{"accountEnabled":false}`).want(t, 204)
	if status := login(client, second["secretText"].(string)); status != 400 {
		t.Errorf("login of who is disabled: %d", status)
	}
	s.graph(token, "DELETE", "/applications/"+object, "").want(t, 204)
	s.golden("graph_not_found", s.graph(token, "GET", "/servicePrincipals/"+sp, ""))
}

// Certificates are replaced as a whole; one that is there already may come back without its key, as clients read it.
func TestKeyCredentials(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.token(msGraph)
	app := s.graph(token, "POST", "/applications", `{"displayName":"signer","keyCredentials":[{"key":"`+certificate(t, "one")+`","type":"AsymmetricX509Cert","usage":"Verify","displayName":"one"}]}`).want(t, 201).json(t)
	path := "/applications/" + app["id"].(string)
	kept, err := json.Marshal(app["keyCredentials"].([]any)[0])
	if err != nil {
		t.Fatal(err)
	}
	s.graph(token, "PATCH", path, `{"keyCredentials":[`+string(kept)+`,{"key":"`+certificate(t, "two")+`","displayName":"two"}]}`).want(t, 204)
	shown := s.graph(token, "GET", path, "").want(t, 200).json(t)["keyCredentials"].([]any)
	if len(shown) != 2 || shown[0].(map[string]any)["customKeyIdentifier"] != app["keyCredentials"].([]any)[0].(map[string]any)["customKeyIdentifier"] {
		t.Errorf("%v", shown)
	}
	s.graph(token, "PATCH", path, `{"keyCredentials":[{"key":"AAAA"}]}`).want(t, 400)
	s.graph(token, "PATCH", path, `{"keyCredentials":[{"keyId":"0000ac4e-0000-4000-8000-000000000009"}]}`).want(t, 400)
	s.graph(token, "PATCH", path, `{"keyCredentials":[{"key":"AAAA","type":"Symmetric"}]}`).want(t, 400)
	s.graph(token, "POST", "/applications", `{"displayName":"broken","keyCredentials":[{"key":"AAAA"}]}`).want(t, 400)
	if left := values(t, s.graph(token, "GET", filtered("applications", "displayName eq 'broken'"), ""), "id"); len(left) != 0 {
		t.Errorf("a failed creation left %v", left)
	}
}

func TestFederatedCredentials(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.token(msGraph)
	path := "/applications/" + s.app.ID + "/federatedIdentityCredentials"
	body := `{"name":"gh","issuer":"https://token.actions.githubusercontent.com","subject":"repo:o/r:ref:refs/heads/main","audiences":["api://AzureADTokenExchange"]}`
	made := s.graph(token, "POST", path, body).want(t, 201)
	s.golden("graph_federated", made)
	s.graph(token, "POST", path, body).want(t, 400)
	s.graph(token, "PATCH", path+"/gh", `{"subject":"repo:o/r:pull_request"}`).want(t, 204)
	s.graph(token, "PATCH", path+"/gh", `{"name":"other"}`).want(t, 400)
	if got := values(t, s.graph(token, "GET", path+"?$filter=name%20eq%20'gh'", ""), "subject"); !slices.Equal(got, []string{"repo:o/r:pull_request"}) {
		t.Errorf("%v", got)
	}
	s.graph(token, "GET", path+"/"+made.json(t)["id"].(string), "").want(t, 200)
	s.graph(token, "DELETE", path+"/gh", "").want(t, 204)
	s.graph(token, "GET", path+"/gh", "").want(t, 404)
}

// Users by ID, name, and in OData's parentheses; what a user may be found by; what follows from a change.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.userToken(msGraph)
	made := s.graph(token, "POST", "/users", `{"accountEnabled":true,"displayName":"Ann Other","mailNickname":"ann","userPrincipalName":"ann@acre.localhost",
		"passwordProfile":{"forceChangePasswordNextSignIn":false,"password":"a long password"}}`).want(t, 201)
	s.golden("graph_user", made)
	id := made.json(t)["id"].(string)
	for _, path := range []string{"/users/" + id, "/users/ANN@acre.localhost", "/users('ann@acre.localhost')", "/users/" + id + "?$select=id"} {
		if got := s.graph(token, "GET", path, "").want(t, 200).json(t); got["id"] != id || strings.Contains(path, "select") && len(got) != 2 {
			t.Errorf("%s: %v", path, got)
		}
	}
	for filter, want := range map[string]int{
		"userPrincipalName eq 'ann@acre.localhost'":                              1,
		"userPrincipalName eq 'ann@acre.localhost' and displayName eq 'Bob'":     0,
		"startswith(displayName,'ann') or startswith(userPrincipalName,'owner')": 2,
		"id eq '" + id + "'":         1,
		"displayName eq 'ann other'": 1,
		"accountEnabled eq false":    0,
	} {
		if got := values(t, s.graph(token, "GET", filtered("users", filter), ""), "id"); len(got) != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
	if me := s.graph(token, "GET", "/me", "").want(t, 200).json(t); me["id"] != s.owner.ID {
		t.Errorf("me: %v", me)
	}
	s.graph(s.token(msGraph), "GET", "/me", "").want(t, 400)
	sign := func() int {
		return s.form("/common/oauth2/v2.0/token", "grant_type", "password", "client_id", azCLI, "username", "ann@acre.localhost", "password", "a long password", "scope", arm+"/.default").StatusCode
	}
	if got := sign(); got != 200 {
		t.Errorf("sign-in: %d", got)
	}
	s.graph(token, "POST", "/users/"+id+"/revokeSignInSessions", "").want(t, 200)
	s.graph(token, "PATCH", "/users/"+id, `{"displayName":"Ann","accountEnabled":false}`).want(t, 204)
	if got := sign(); got != 400 {
		t.Errorf("sign-in of who is disabled: %d", got)
	}
	s.graph(token, "DELETE", "/users/"+id, "").want(t, 204)
	s.graph(token, "GET", "/users/"+id, "").want(t, 404)
}

func TestGroups(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.userToken(msGraph)
	ref := func(id string) string {
		return `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/` + id + `"}`
	}
	made := s.graph(token, "POST", "/groups", `{"displayName":"ops","mailNickname":"ops","mailEnabled":false,"securityEnabled":true,"description":"who operates"}`).want(t, 201)
	s.golden("graph_group", made)
	ops := made.json(t)["id"].(string)
	all := s.graph(token, "POST", "/groups", `{"displayName":"all","members@odata.bind":["https://graph.microsoft.com/v1.0/groups/`+ops+`"]}`).want(t, 201).json(t)["id"].(string)
	s.graph(token, "POST", "/groups/"+ops+"/members/$ref", ref(s.owner.ID)).want(t, 204)
	s.graph(token, "POST", "/groups/"+ops+"/members/$ref", ref(s.sp.ID)).want(t, 204)
	s.graph(token, "POST", "/groups/"+ops+"/members/$ref", ref(s.sp.ID)).want(t, 400)
	s.graph(token, "POST", "/groups/"+ops+"/members/$ref", `{"@odata.id":"x"}`).want(t, 400)
	s.graph(token, "POST", "/groups/"+ops+"/owners/$ref", ref(s.owner.ID)).want(t, 204)
	if got := values(t, s.graph(token, "GET", "/groups/"+ops+"/members", ""), "@odata.type"); !slices.Equal(got, []string{"#microsoft.graph.servicePrincipal", "#microsoft.graph.user"}) {
		t.Errorf("members %v", got)
	}
	if got := values(t, s.graph(token, "GET", "/me/ownedObjects", ""), "id"); !slices.Equal(got, []string{ops}) {
		t.Errorf("owned %v", got)
	}
	var in struct{ Value []string }
	decode(t, s.graph(token, "POST", "/users/"+ownerUser+"/getMemberGroups", `{"securityEnabledOnly":false}`).want(t, 200).body, &in)
	if slices.Sort(in.Value); !slices.Equal(in.Value, sorted(ops, all)) {
		t.Errorf("groups %v", in.Value)
	}
	decode(t, s.graph(token, "POST", "/directoryObjects/"+s.owner.ID+"/checkMemberGroups", `{"groupIds":["`+strings.ToUpper(all)+`"]}`).want(t, 200).body, &in)
	if !slices.Equal(in.Value, []string{all}) {
		t.Errorf("checked %v", in.Value)
	}
	for _, who := range []string{"users/" + s.owner.ID, "me", "directoryObjects/" + s.owner.ID} {
		if got := values(t, s.graph(token, "GET", "/"+who+"/memberOf", ""), "id"); !slices.Equal(got, []string{ops}) {
			t.Errorf("%s directly in %v", who, got)
		}
	}
	if got := values(t, s.graph(token, "GET", "/users/"+s.owner.ID+"/transitiveMemberOf", ""), "id"); len(got) != 2 {
		t.Errorf("transitive %v", got)
	}
	objects := s.graph(token, "POST", "/directoryObjects/getByIds", `{"ids":["`+ops+`","`+s.owner.ID+`","`+s.sp.ID+`","`+tenant+`"],"types":["user","group","servicePrincipal","directoryObjectPartnerReference"]}`)
	if got := values(t, objects, "@odata.type"); !slices.Equal(got, []string{"#microsoft.graph.group", "#microsoft.graph.servicePrincipal", "#microsoft.graph.user"}) {
		t.Errorf("by IDs %v", got)
	}
	s.graph(token, "DELETE", "/groups/"+ops+"/members/"+s.sp.ID+"/$ref", "").want(t, 204)
	s.graph(token, "DELETE", "/groups/"+ops+"/members/"+s.sp.ID+"/$ref", "").want(t, 404)
	s.graph(token, "PATCH", "/groups/"+ops, `{"description":"x"}`).want(t, 204)
	s.graph(token, "DELETE", "/groups/"+ops, "").want(t, 204)
}

func sorted(s ...string) []string { slices.Sort(s); return s }

// A list goes page by page, by addresses that lead here; no object is there twice or missing.
func TestPaging(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.userToken(msGraph)
	for i := range 7 {
		s.graph(token, "POST", "/groups", fmt.Sprintf(`{"displayName":"g%d"}`, i)).want(t, 201)
	}
	for query, pages := range map[string]int{"$top=3": 3, "$top=7": 1, "$top=2&$filter=startswith(displayName,'g')&$select=displayName": 4, "$top=1&$filter=displayName%20eq%20'g3'": 1} {
		var seen []string
		next, n := s.secure.URL+"/v1.0/groups?"+query, 0
		for ; next != ""; n++ {
			path, found := strings.CutPrefix(next, s.secure.URL+"/v1.0")
			if !found || n > 10 {
				t.Fatalf("%s leads to %s", query, next)
			}
			a := s.graph(token, "GET", path, "")
			seen = append(seen, values(t, a, "displayName")...)
			next, _ = a.json(t)["@odata.nextLink"].(string)
		}
		want := 7
		if strings.Contains(query, "g3") {
			want = 1
		}
		if slices.Sort(seen); n != pages || len(slices.Compact(seen)) != want {
			t.Errorf("%s: %d pages of %v", query, n, seen)
		}
	}
	for _, query := range []string{"$top=0", "$top=1000", "$top=x", "$search=x", "$orderby=displayName", "$filter=x", "$expand=members"} {
		s.graph(token, "GET", "/groups?"+query, "").want(t, 400)
	}
}

// Who has no token for Graph, or no right, is told so in Graph's words.
func TestGraphRights(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.golden("graph_no_token", s.do("GET", "/v1.0/me", ""))
	s.golden("graph_wrong_audience", s.graph(s.token(arm), "GET", "/users", ""))
	if a := s.graph("x", "GET", "/users", ""); a.StatusCode != 401 || !strings.Contains(a.Header.Get("WWW-Authenticate"), "Bearer realm=") {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	owner := s.userToken(msGraph)
	s.graph(owner, "POST", "/users", `{"displayName":"Ann","userPrincipalName":"ann@acre.localhost","passwordProfile":{"password":"a long password"}}`).want(t, 201)
	a := s.form("/common/oauth2/v2.0/token", "grant_type", "password", "client_id", azCLI, "username", "ann@acre.localhost", "password", "a long password", "scope", msGraph+"/.default")
	ann := a.want(t, 200).json(t)["access_token"].(string)
	if got := values(t, s.graph(ann, "GET", "/users", ""), "id"); len(got) != 2 {
		t.Errorf("ann reads %v", got)
	}
	s.golden("graph_denied", s.graph(ann, "POST", "/applications", `{"displayName":"x"}`))
	for _, c := range [][3]string{
		{"POST", "/groups", `{"displayName":"x"}`}, {"PATCH", "/users/" + s.owner.ID, `{"displayName":"x"}`}, {"DELETE", "/users/" + s.owner.ID, ""},
		{"POST", "/applications/" + s.app.ID + "/addPassword", `{}`}, {"POST", "/servicePrincipals/" + s.sp.ID + "/addPassword", `{}`},
		{"PATCH", "/servicePrincipals/" + s.sp.ID, `{"accountEnabled":false}`}, {"DELETE", "/servicePrincipals/" + s.sp.ID, ""},
		{"PATCH", "/applications/" + s.app.ID, `{"displayName":"x"}`}, {"DELETE", "/applications/" + s.app.ID, ""},
		{"POST", "/applications/" + s.app.ID + "/federatedIdentityCredentials", `{"name":"x","issuer":"https://x.example","subject":"x","audiences":["x"]}`},
	} {
		s.graph(ann, c[0], c[1], c[2]).want(t, 403)
	}
	s.graph(owner, "GET", "/nothing", "").want(t, 404)
	s.graph(owner, "PUT", "/users", "{}").want(t, 405)
}

// What is not kept is refused by name, unless it says nothing.
func TestGraphBodies(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.userToken(msGraph)
	for body, want := range map[string]string{
		``:                  "JSON",
		`[]`:                "JSON",
		`{"displayName":7}`: "displayName",
		`{"displayName":"x","appRoles":[{"id":"x"}]}`:                   "appRoles",
		`{"displayName":"x","web":{"homePageUrl":"https://x.example"}}`: "homePageUrl",
		`{"displayName":"x","signInAudience":"AzureADMultipleOrgs"}`:    "signInAudience",
		`{"displayName":""}`: "display name",
		`{"displayName":"x","web":{"redirectUris":["http://evil.example/"]}}`: "redirect URI",
	} {
		a := s.graph(token, "POST", "/applications", body).want(t, 400)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	s.graph(token, "POST", "/applications", `{"displayName":"x","appRoles":[],"web":{"homePageUrl":null,"implicitGrantSettings":{"enableIdTokenIssuance":false}},"notes":""}`).want(t, 201)
	s.graph(token, "POST", "/users", `{"displayName":"x","userPrincipalName":"x@acre.localhost","passwordProfile":{"password":"a long password","forceChangePasswordNextSignIn":true}}`).want(t, 400)
	s.graph(token, "POST", "/applications", `{"displayName":"`+strings.Repeat("x", 1<<20)+`"}`).want(t, 413)
}

// A managed identity shows what it belongs to, and takes no secret.
func TestManagedAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	token := s.userToken(msGraph)
	list := s.graph(token, "GET", filtered("servicePrincipals", "servicePrincipalType eq 'ManagedIdentity'"), "")
	ids := values(t, list, "id")
	if len(ids) != 1 || !strings.Contains(list.body, identityID) {
		t.Fatalf("%s", list.body)
	}
	s.graph(token, "POST", "/servicePrincipals/"+ids[0]+"/addPassword", `{}`).want(t, 400)
	s.graph(token, "DELETE", "/servicePrincipals/"+ids[0], "").want(t, 409)
}
