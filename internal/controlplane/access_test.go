package controlplane_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
)

// names are those of a list.
func names(list object) string {
	var out []string
	for _, v := range list["value"].([]any) {
		out = append(out, at(v, "name").(string))
	}
	return strings.Join(out, " ")
}

// Lists hold what the caller may read, and nobody learns of more.
func TestListsByRight(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		for _, name := range []string{"alpha", "bravo", "charlie"} {
			s.want(201, "PUT", scopeR+name, premium(nil))
		}
		all := scopeS + "/providers/Microsoft.ContainerRegistry/registries"
		nobody, nobodys := s.principal("nobody")
		one, ones := s.principal("one")
		s.ok(s.assign(one.ID, acr.ReaderRole, scopeR+"Bravo"))
		if got := names(s.want(200, "GET", all, nil)); got != "alpha bravo charlie" {
			t.Errorf("the owner sees %s", got)
		}
		for _, path := range []string{all, scopeG + "/providers/Microsoft.ContainerRegistry/registries", scopeS + "/resources"} {
			if got := names(s.wantAs(ones, 200, "GET", path, nil)); got != "bravo" {
				t.Errorf("in %s a reader of one sees %q", path, got)
			}
			s.refusedAs(nobodys, 403, "AuthorizationFailed", nobody.AppID, "GET", path, nil)
		}
		if got := s.wantAs(ones, 200, "GET", "/subscriptions", nil); len(got["value"].([]any)) != 1 {
			t.Errorf("a reader of one registry sees the subscriptions %v", got)
		}
		if got := s.wantAs(nobodys, 200, "GET", "/subscriptions", nil); len(got["value"].([]any)) != 0 {
			t.Errorf("nobody sees the subscriptions %v", got)
		}
		// Reading is all that it may.
		s.wantAs(ones, 200, "GET", scopeR+"bravo", nil)
		s.wantAs(ones, 200, "GET", scopeR+"bravo/scopeMaps", nil)
		for _, call := range [][2]string{
			{"PATCH", scopeR + "bravo"}, {"DELETE", scopeR + "bravo"}, {"POST", scopeR + "bravo/listCredentials"}, {"PUT", scopeR + "bravo/tokens/mytoken"},
			{"POST", scopeR + "bravo/generateCredentials"}, {"GET", scopeR + "alpha"}, {"GET", scopeR + "alpha/tokens"},
			{"PUT", scopeR + "bravo/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString()},
			{"DELETE", scopeR + "bravo/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString()},
			{"PUT", "/providers/Acre.Identity/trustedIssuers/mine"}, {"GET", "/providers/Acre.Identity/auditEvents"},
			{"PUT", scopeS + "/resourcegroups/mine"}, {"PUT", scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mine"},
		} {
			body := object{"location": "local", "properties": object{
				"roleDefinitionId": acr.OwnerRole, "principalId": one.ID, "assignableScopes": []string{scopeS}, "issuer": "https://x.example", "audiences": []string{"x"},
				"scopeMapId": scopeR + "bravo/scopeMaps/_repositories_admin",
			}, "tokenId": scopeR + "bravo/tokens/mytoken"}
			if call[0] == "GET" {
				s.refusedAs(ones, 403, "AuthorizationFailed", "", call[0], call[1], nil)
			} else {
				s.refusedAs(ones, 403, "AuthorizationFailed", "", call[0], call[1], body)
			}
		}
	})
}

// A role of the tenant's own gives what it says and no more, from the next request on, and so does its end.
func TestCustomRole(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(nil))
		who, bearer := s.principal("keeper")
		role := uuid.NewString()
		s.want(201, "PUT", scopeG+"/providers/Microsoft.Authorization/roleDefinitions/"+role, properties(object{
			"roleName": "Token keeper", "assignableScopes": []string{scopeG},
			"permissions": []object{{"actions": []string{"Microsoft.ContainerRegistry/registries/tokens/*", "*/read"}, "notActions": []string{"*/tokens/delete"}}},
		}))
		assignment := scopeG + "/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString()
		s.want(201, "PUT", assignment, properties(object{"roleDefinitionId": role, "principalId": who.ID}))
		token := scopeR + "alpha/tokens/mytoken"
		s.wantAs(bearer, 201, "PUT", token, properties(object{"scopeMapId": scopeR + "alpha/scopeMaps/_repositories_pull"}))
		s.refusedAs(bearer, 403, "AuthorizationFailed", "registries/tokens/delete", "DELETE", token, nil)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "registries/scopeMaps/write", "PUT", scopeR+"alpha/scopeMaps/mymap", properties(object{"actions": []string{}}))
		s.refused(400, "InvalidAssignableScope", "its assignable scopes are", "PUT",
			scopeS+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString(), properties(object{"roleDefinitionId": role, "principalId": who.ID}))
		s.want(200, "DELETE", assignment, nil)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "", "GET", token, nil)
	})
}

// What cannot be assigned is refused with the documented codes.
func TestAssignmentRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(nil))
		who, _ := s.principal("somebody")
		put := func(status int, code, words, scope string, p object) {
			s.Helper()
			s.refused(status, code, words, "PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString(), properties(p))
		}
		put(400, "PrincipalNotFound", "does not exist in the directory", scopeS, object{"roleDefinitionId": acr.ReaderRole, "principalId": uuid.NewString(), "principalType": "User"})
		put(400, "UnmatchedPrincipalType", "ServicePrincipal", scopeS, object{"roleDefinitionId": acr.ReaderRole, "principalId": who.ID, "principalType": "Group"})
		put(404, "RoleDefinitionDoesNotExist", "", scopeS, object{"roleDefinitionId": uuid.NewString(), "principalId": who.ID})
		put(404, "ResourceNotFound", "", scopeR+"nowhere", object{"roleDefinitionId": acr.ReaderRole, "principalId": who.ID})
		put(404, "ResourceGroupNotFound", "", scopeS+"/resourceGroups/nowhere", object{"roleDefinitionId": acr.ReaderRole, "principalId": who.ID})
		put(400, "InvalidCondition", "expected", scopeS, object{"roleDefinitionId": acr.RepositoryReaderRole, "principalId": who.ID, "condition": "@Request[", "conditionVersion": "2.0"})
		put(400, "InvalidCondition", "Catalog Lister", scopeS, object{"roleDefinitionId": acr.CatalogListerRole, "principalId": who.ID,
			"condition": "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'a'", "conditionVersion": "2.0"})
		where := scopeR + "alpha/providers/Microsoft.Authorization/roleAssignments/" + uuid.NewString()
		s.want(201, "PUT", where, properties(object{"roleDefinitionId": acr.ReaderRole, "principalId": who.ID}))
		s.refused(400, "RoleAssignmentUpdateNotPermitted", "", "PUT", where, properties(object{"roleDefinitionId": acr.OwnerRole, "principalId": who.ID}))
		got := s.want(200, "PUT", where, properties(object{"roleDefinitionId": acr.ReaderRole, "principalId": who.ID, "description": "why"}))
		if at(got, "properties", "description") != "why" {
			t.Errorf("%v", got)
		}
		// A built-in role is nobody's to change.
		s.refused(403, "RoleDefinitionUpdateNotPermitted", "", "DELETE", scopeS+"/providers/Microsoft.Authorization/roleDefinitions/"+acr.ReaderRole, nil)
	})
}

// Of assignments made at once that give the same, one is made.
func TestAssignmentRace(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		who, _ := s.principal("somebody")
		statuses := make([]int, 8)
		var wg sync.WaitGroup
		for i := range statuses {
			wg.Go(func() {
				statuses[i] = s.do("PUT", scopeG+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString(),
					properties(object{"roleDefinitionId": acr.ReaderRole, "principalId": who.ID})).status
			})
		}
		wg.Wait()
		made := 0
		for _, status := range statuses {
			switch status {
			case 201:
				made++
			case 409:
			default:
				t.Errorf("status %d", status)
			}
		}
		if made != 1 {
			t.Errorf("%d of %v made it", made, statuses)
		}
	})
}

// Limits are the tier's, and the four wrong forms of a wildcard are told apart.
func TestTokenLimits(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "basic1"
		s.want(201, "PUT", reg, object{"location": "local", "sku": object{"name": "Basic"}})
		full := acr.DefaultTiers()["Basic"].Tokens
		s.ok(s.db.Update(t.Context(), func(tx *meta.Tx) error {
			id := s.resources.RegistryID("basic1")
			for i := range full - 1 {
				name := fmt.Sprintf("number-%03d", i)
				m := acr.ScopeMap{Name: name, Actions: []string{"repositories/a/content/read"}, CreatedAt: s.now()}
				tok := acr.Token{Name: name, ScopeMap: "_repositories_pull", Status: acr.TokenEnabled, CreatedAt: s.now()}
				if err := errors.Join(meta.Put(tx, id.Child("scopeMaps", name), m, 0), meta.Put(tx, id.Child("tokens", name), tok, 0)); err != nil {
					return err
				}
			}
			return nil
		}))
		for _, tt := range []struct {
			kind, what string
			body       object
		}{
			{"scopeMaps", "scope maps", properties(object{"actions": []string{"repositories/a/content/read"}})},
			{"tokens", "tokens", properties(object{"scopeMapId": reg + "/scopeMaps/_repositories_pull"})},
		} {
			s.want(201, "PUT", reg+"/"+tt.kind+"/the-last", tt.body)
			s.refused(409, "QuotaExceeded", "limit of 100 "+tt.what+" for the SKU Basic", "PUT", reg+"/"+tt.kind+"/one-more", tt.body)
			s.want(200, "PUT", reg+"/"+tt.kind+"/the-last", tt.body) // who is there may stay
		}
		for action, words := range map[string]string{
			"repositories/a/*/b/content/read": "middle", "repositories/a*/content/read": "does not follow a /", "repositories/a/*/b/*/content/read": "more than one",
			"repositories/*a/content/read": "begins with", "repositories/a/content/list": "not valid", "repositories/A/content/read": "",
		} {
			s.refused(400, "BadRequest", words, "PATCH", reg+"/scopeMaps/number-001", properties(object{"actions": []string{action}}))
		}
		many := make([]string, 501)
		for i := range many {
			many[i] = fmt.Sprintf("repositories/r%d/content/read", i)
		}
		s.want(200, "PATCH", reg+"/scopeMaps/number-001", properties(object{"actions": many[:500]}))
		s.refused(400, "BadRequest", "501 actions: 500 are allowed", "PATCH", reg+"/scopeMaps/number-001", properties(object{"actions": many}))
	})
}

// Pages lead one to the next by absolute links, and hold everything once.
func TestPages(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(nil))
		const n = 450
		s.ok(s.db.Update(t.Context(), func(tx *meta.Tx) error {
			id := s.resources.RegistryID("alpha")
			for i := range n {
				name := fmt.Sprintf("Token-%03d", i)
				tok := acr.Token{Name: name, ScopeMap: "_repositories_pull", Status: acr.TokenEnabled, CreatedAt: s.now()}
				if err := meta.Put(tx, id.Child("tokens", name), tok, 0); err != nil {
					return err
				}
			}
			return nil
		}))
		next, pages, seen := scopeR+"alpha/tokens", 0, map[string]bool{}
		for next != "" {
			page := s.want(200, "GET", next, nil)
			pages++
			for _, name := range strings.Fields(names(page)) {
				seen[name] = true
			}
			link, _ := page["nextLink"].(string)
			if next = ""; link != "" {
				u, err := url.Parse(link)
				s.ok(err)
				if !u.IsAbs() || u.Query().Get("api-version") == "" {
					t.Errorf("the link is %s", link)
				}
				next = u.RequestURI()
			}
		}
		if pages != 3 || len(seen) != n {
			t.Errorf("%d pages hold %d", pages, len(seen))
		}
	})
}

// A registry goes with all that hangs on it, and its name is free again.
func TestDeleteRegistry(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		who, bearer := s.principal("somebody")
		body := premium(object{"adminUserEnabled": true})
		s.want(201, "PUT", scopeR+"alpha", body)
		s.want(201, "PUT", scopeR+"alpha/tokens/mytoken", properties(object{"scopeMapId": scopeR + "alpha/scopeMaps/_repositories_pull"}))
		s.ok(s.assign(who.ID, acr.ReaderRole, scopeR+"Alpha"))
		before := s.want(200, "POST", scopeR+"alpha/listCredentials", nil)
		s.wantAs(bearer, 200, "GET", scopeR+"alpha", nil)
		s.want(202, "DELETE", scopeR+"alpha", nil)
		s.refused(404, "ResourceNotFound", "", "GET", scopeR+"alpha", nil)
		s.want(201, "PUT", scopeR+"alpha", body)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "", "GET", scopeR+"alpha", nil)
		if got := names(s.want(200, "GET", scopeR+"alpha/tokens", nil)); got != "" {
			t.Errorf("tokens are left: %s", got)
		}
		if after := s.want(200, "POST", scopeR+"alpha/listCredentials", nil); at(after, "passwords", 0, "value") == at(before, "passwords", 0, "value") {
			t.Error("the new registry has the old one's password")
		}
		s.refused(409, "OperationNotAllowed", "the installation's own", "DELETE", scopeG, nil)
	})
}

// Why somebody may push is told, and who did what.
func TestExplainAndAudit(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(nil))
		who, _ := s.principal("pusher")
		s.ok(s.assign(who.ID, acr.AcrPushRole, scopeG))
		got := s.want(200, "POST", scopeR+"alpha/explainAccess", object{"principal": who.AppID, "action": "push", "repository": "team/app"})
		if got["allowed"] != true || at(got, "by", 0, "role") != "AcrPush" || at(got, "by", 0, "scope") != scopeG {
			t.Errorf("%v", got)
		}
		got = s.want(200, "POST", scopeR+"alpha/explainAccess", object{"principal": who.AppID, "action": "delete", "repository": "team/app", "sourceAddress": "192.0.2.1"})
		if got["allowed"] != false || got["because"] == "" {
			t.Errorf("%v", got)
		}
		s.refused(400, "BadRequest", "not an address", "POST", scopeR+"alpha/explainAccess", object{"principal": who.AppID, "action": "pull", "repository": "a", "sourceAddress": "x"})
		s.want(204, "POST", scopeR+"alpha/revokeTokens", object{"subject": "principal:" + who.ID})
		s.refused(400, "BadRequest", "", "POST", scopeR+"alpha/revokeTokens", object{"subject": "nobody"})
		s.refused(404, "ResourceNotFound", "", "POST", scopeR+"absent/revokeTokens", object{"subject": "*"})
		s.want(200, "GET", scopeR+"alpha/auditEvents?api-version="+version+"&$top=5", nil)
		s.refused(400, "BadRequest", "not a time", "GET", scopeR+"alpha/auditEvents?api-version="+version+"&from=x", nil)
		s.want(200, "GET", "/providers/Acre.Identity/auditEvents", nil)
		report := s.want(200, "POST", "/providers/Acre.Identity/verifyAudit", nil)
		if report["ok"] != true {
			t.Errorf("%v", report)
		}
	})
}

// Whatever is sent as a body, the answer is none of the server's faults.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(nil))
		for _, path := range []string{
			scopeR + "alpha", scopeR + "alpha/tokens/mytoken", scopeR + "alpha/scopeMaps/mymap", scopeS + "/resourcegroups/other",
			scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mine", "/providers/Acre.Identity/trustedIssuers/mine",
			scopeS + "/providers/Microsoft.Authorization/roleAssignments/x", scopeS + "/providers/Microsoft.Authorization/roleDefinitions/x",
		} {
			for _, body := range []string{
				"", "null", "{", "[]", "5", `"x"`, `{"properties":null}`, `{"properties":[]}`, `{"properties":{"actions":[5]}}`, `{"tags":{"a":5}}`, `{"location":5}`,
				`{"location":null,"sku":null,"tags":null,"properties":{"networkRuleSet":null,"policies":null,"acre":null,"credentials":null,"scopeMapId":null,"actions":null}}`,
				`{"properties":{"acre":{"accessTokenSeconds":9223372036854775807}}}`, `{"properties":` + strings.Repeat(`{"properties":`, 5000) + `1` + strings.Repeat("}", 5001),
			} {
				for _, method := range []string{"PUT", "PATCH"} {
					a := s.do(method, path, body)
					var e struct{ Error struct{ Code string } }
					if a.status >= 500 || a.status >= 400 && (json.Unmarshal([]byte(a.body), &e) != nil || e.Error.Code == "") {
						t.Errorf("%s %s %.80s: %d %s", method, path, body, a.status, a.body)
					}
				}
			}
		}
		if a := s.do("PATCH", scopeR+"alpha", strings.Repeat(" ", 5<<20)); a.status != 413 {
			t.Errorf("a large body: %d %s", a.status, a.body)
		}
	})
}

// Who holds a token renews its own password, by that password, and no other's.
func TestRotatePassword(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(nil))
		passwords := map[string]string{}
		for _, name := range []string{"mine1", "other"} {
			s.want(201, "PUT", scopeR+"alpha/tokens/"+name, properties(object{"scopeMapId": scopeR + "alpha/scopeMaps/_repositories_pull"}))
			got := s.want(200, "POST", scopeR+"alpha/generateCredentials", object{"tokenId": scopeR + "alpha/tokens/" + name})
			passwords[name] = at(got, "passwords", 0, "value").(string)
		}
		rotate := func(user, password, token string, body string) answer {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.http.URL+scopeR+"Alpha/tokens/"+token+"/rotatePassword?api-version="+version, strings.NewReader(body))
			s.ok(err)
			req.SetBasicAuth(user, password)
			res, err := s.http.Client().Do(req)
			s.ok(err)
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			s.ok(err)
			return answer{res.StatusCode, res.Header, string(text)}
		}
		got := rotate("mine1", passwords["mine1"], "MINE1", `{"name":"password2"}`)
		var made object
		s.ok(json.Unmarshal([]byte(got.body), &made))
		second, _ := at(made, "passwords", 1, "value").(string)
		if got.status != 200 || len(second) != 52 || at(made, "passwords", 0, "value") != nil {
			t.Fatalf("%d %s", got.status, got.body)
		}
		for _, tt := range []struct {
			user, password, token, body string
			want                        int
		}{
			{"mine1", second, "mine1", `{"name":"password1"}`, 200},             // the new one works at once
			{"mine1", passwords["mine1"], "mine1", `{"name":"password1"}`, 401}, // and the old one does no more
			{"mine1", second, "other", `{"name":"password1"}`, 403},
			{"mine1", second, "mine1", `{}`, 400},
			{"other", second, "other", `{"name":"password1"}`, 401},
			{"nobody", "x", "nobody", `{"name":"password1"}`, 401},
		} {
			if got := rotate(tt.user, tt.password, tt.token, tt.body); got.status != tt.want {
				t.Errorf("%s rotates %s: %d %s, want %d", tt.user, tt.token, got.status, got.body, tt.want)
			}
		}
		// A token that was got with the password is not the password: it may hold less, and ends.
		reg, err := s.resources.Known(t.Context(), s.resources.RegistryID("alpha"))
		s.ok(err)
		id, err := s.auth.Password(t.Context(), reg, "mine1", second, "127.0.0.1")
		s.ok(err)
		access, err := s.auth.Access(reg, "host", id, acr.ParseScopes([]string{"repository:app:pull"}))
		s.ok(err)
		refresh, err := s.auth.Refresh(reg, "host", id)
		s.ok(err)
		for _, token := range []auth.Token{access, refresh} {
			if got := rotate(acr.NullUser, token.Value, "mine1", `{"name":"password1"}`); got.status != 403 {
				t.Errorf("a token of mine1 rotates its password: %d %s", got.status, got.body)
			}
		}
		// The owner's way is another, and a password opens nothing else.
		s.refused(403, "AuthorizationFailed", "generateCredentials", "POST", scopeR+"alpha/tokens/mine1/rotatePassword", object{"name": "password1"})
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.http.URL+scopeR+"alpha/tokens/mine1?api-version="+version, nil)
		s.ok(err)
		req.SetBasicAuth("mine1", second)
		res, err := s.http.Client().Do(req)
		s.ok(err)
		res.Body.Close()
		if res.StatusCode != 401 {
			t.Errorf("a token's password reads the management API: %d", res.StatusCode)
		}
	})
}
