package controlplane_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
)

const locks = "/providers/Microsoft.Authorization/locks"

// Locks hold at their scope and below, for every kind, until they are taken away.
func TestLocks(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		group := scopeS + "/resourceGroups/team"
		s.want(201, "PUT", group, object{"location": "eastus"})
		reg := group + "/providers/Microsoft.ContainerRegistry/registries/MyReg"
		s.want(201, "PUT", reg, premium(nil))
		token := reg + "/tokens/ci-one"
		s.want(201, "PUT", token, properties(object{"scopeMapId": reg + "/scopeMaps/_repositories_pull"}))
		level := func(l string) object { return properties(object{"level": l, "notes": "in use"}) }

		r.run("PUT", reg+locks+"/Keep", level("canNotDelete"))
		r.run("PUT", reg+locks+"/Keep", level("CanNotDelete"))
		r.run("GET", strings.ToLower(reg+locks)+"/keep", nil)
		r.run("GET", group+locks, nil)
		r.run("GET", group+locks+"?api-version=2016-09-01&$filter=atScope()", nil)
		r.run("GET", token+locks+"?api-version=2020-05-01&$filter=atScope()", nil)
		r.run("DELETE", reg, nil)
		r.run("DELETE", group, nil)
		r.run("DELETE", token, nil)
		r.run("PATCH", token, properties(object{"status": "disabled"})) // changed it may be
		r.run("PUT", group+locks+"/frozen", level("ReadOnly"))
		r.run("PATCH", token, properties(object{"status": "enabled"}))
		r.run("PUT", reg+"/scopeMaps/other-map", properties(object{"actions": []string{"repositories/a/content/read"}}))
		r.run("PATCH", group, object{"tags": object{"a": "b"}})
		r.run("PATCH", group+tags, object{"operation": "Merge", "properties": object{"tags": object{"a": "b"}}})
		r.run("POST", reg+"/generateCredentials", object{"tokenId": token})
		r.run("DELETE", group+locks+"/frozen", nil)
		r.run("DELETE", group+locks+"/frozen", nil)
		r.run("GET", group+locks+"/frozen", nil)
		r.run("DELETE", reg+locks+"/keep", nil)
		s.want(202, "DELETE", group, nil)
		s.work()
		s.refused(404, "ResourceGroupNotFound", "", "GET", group+locks, nil)
		r.compare("lock")

		// A lock that comes while a group is emptied stops it, and it says so.
		s.want(201, "PUT", group, object{"location": "eastus"})
		s.want(201, "PUT", reg, premium(nil))
		gone := s.do("DELETE", group, nil)
		s.want(201, "PUT", reg+locks+"/late", level("CanNotDelete"))
		s.work()
		s.refused(409, "ScopeLocked", "'late'", "GET", s.path(gone.header.Get("Location")), nil)
		if state := at(s.want(200, "GET", group, nil), "properties", "provisioningState"); state != "Failed" {
			t.Errorf("the group is %v", state)
		}
		s.want(200, "GET", reg, nil)
		s.want(200, "DELETE", reg+locks+"/late", nil)
		s.want(202, "DELETE", group, nil)
		s.work()
		s.want(204, "DELETE", group, nil)
	})
}

// What a lock is must be said, and who may do what to it.
func TestLockRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		level := properties(object{"level": "ReadOnly"})
		for _, tt := range []struct {
			status     int
			code, path string
			body       any
		}{
			{400, "BadRequest", scopeG + locks + "/keep", properties(object{"level": "Frozen"})},
			{400, "BadRequest", scopeG + locks + "/keep", object{}},
			{400, "BadRequest", scopeG + locks + "/" + url.PathEscape("what?"), level},
			{400, "BadRequest", scopeG + locks + "/keep", properties(object{"level": "ReadOnly", "notes": strings.Repeat("x", 513)})},
			{404, "ResourceNotFound", scopeR + "nowhere" + locks + "/keep", level},
			{404, "ResourceGroupNotFound", scopeS + "/resourceGroups/nowhere" + locks + "/keep", level},
		} {
			s.refused(tt.status, tt.code, "", "PUT", tt.path, tt.body)
		}
		someone, bearer := s.principal("contributor")
		s.ok(s.assign(someone.ID, acr.ContributorRole, scopeS))
		s.wantAs(bearer, 200, "GET", scopeG+locks, nil)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "Microsoft.Authorization/locks/write", "PUT", scopeG+locks+"/keep", level)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "Microsoft.Authorization/locks/delete", "DELETE", scopeG+locks+"/keep", nil)
		s.want(201, "PUT", scopeS+locks+"/all", level)
		s.refused(409, "ScopeLocked", "'all'", "PUT", scopeR+"myreg", premium(nil))
		s.refusedAs(bearer, 409, "ScopeLocked", scopeS, "PUT", scopeS+"/resourceGroups/team", object{"location": "eastus"})
		s.want(200, "DELETE", scopeS+locks+"/all", nil)
		s.want(201, "PUT", scopeR+"myreg", premium(nil))
	})
}

const tags = "/providers/Microsoft.Resources/tags/default"

// Tags are read and changed by themselves, of whatever has some; nothing else changes them unless it says so.
func TestTags(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(nil))
		edit := func(operation string, tags object) object {
			return object{"operation": operation, "properties": object{"tags": tags}}
		}
		r.run("GET", reg+tags, nil)
		r.run("PUT", reg+tags, properties(object{"tags": object{"Team": "a", "cost": "1"}}))
		r.run("PATCH", reg+tags, edit("Merge", object{"team": "b", "env": "prod"}))
		r.run("PATCH", reg+tags, edit("delete", object{"cost": "2", "env": "prod"}))
		s.want(200, "PATCH", reg, properties(object{"adminUserEnabled": true}))
		s.want(200, "PUT", reg, premium(object{"adminUserEnabled": false}))
		r.run("GET", reg+tags+"?api-version=2024-11-01", nil)
		r.run("PATCH", reg+tags, edit("Turn", object{}))
		r.run("PATCH", reg+tags, edit("Merge", object{"": "x"}))
		r.run("PUT", scopeG+tags, properties(object{"tags": object{"of": "group"}}))
		r.run("GET", scopeS+"/tagNames", nil)
		r.run("PUT", reg+"/scopeMaps/_repositories_pull"+tags, properties(object{"tags": object{}}))
		r.run("GET", scopeS+tags, nil)
		r.run("GET", scopeR+"nowhere"+tags, nil)
		r.run("DELETE", scopeG+tags, nil)
		r.run("GET", scopeG+tags, nil)
		r.compare("tags")
		reader, bearer := s.principal("reader")
		s.ok(s.assign(reader.ID, acr.ReaderRole, scopeS))
		s.wantAs(bearer, 200, "GET", reg+tags, nil)
		s.refusedAs(bearer, 403, "AuthorizationFailed", "Microsoft.Resources/tags/write", "PUT", reg+tags, properties(object{"tags": object{}}))
	})
}

const activity = "/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01"

// Who changed what is told to who may read it, also of what is gone.
func TestActivityLog(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		someone, bearer := s.principal("maker")
		s.ok(s.assign(someone.ID, acr.ContributorRole, scopeG))
		start := s.now()
		s.advance(60e9)
		reg := scopeR + "MyReg"
		s.wantAs(bearer, 201, "PUT", reg, premium(nil))
		s.want(201, "PUT", reg+"/scopeMaps/team-map", properties(object{"actions": []string{"repositories/a/content/read"}}))
		s.advance(60e9)
		s.want(201, "PUT", scopeS+"/resourceGroups/other", object{"location": "eastus"})
		s.want(201, "PUT", reg+locks+"/keep", properties(object{"level": "CanNotDelete"}))
		s.want(200, "DELETE", reg+locks+"/keep", nil)
		s.want(202, "DELETE", reg, nil)
		names := func(bearer, filter string) []string {
			t.Helper()
			var out []string
			for place := scopeS + activity + "&$filter=" + url.QueryEscape(filter); place != ""; {
				page := s.wantAs(bearer, 200, "GET", place, nil)
				for _, e := range page["value"].([]any) {
					out = append(out, at(e, "operationName", "value").(string))
					if at(e, "status", "value") != "Succeeded" || at(e, "correlationId") == "" || at(e, "caller") == "" || at(e, "resourceId") == "" {
						t.Fatalf("%v", e)
					}
				}
				next, _ := page["nextLink"].(string)
				place = strings.TrimPrefix(next, s.http.URL)
			}
			return out
		}
		since := "eventTimestamp ge " + start.Add(1e9).Format("2006-01-02T15:04:05.999999Z")
		const registries = "Microsoft.ContainerRegistry/registries"
		for filter, want := range map[string]string{
			since + " and resourceGroupName eq 'ACRE'":               registries + "/delete Microsoft.Authorization/locks/delete Microsoft.Authorization/locks/write " + registries + "/scopeMaps/write " + registries + "/write",
			since + " and resourceUri eq '" + reg + "'":              registries + "/delete " + registries + "/write",
			since + " and resourceProvider eq 'Microsoft.Resources'": "Microsoft.Resources/subscriptions/resourceGroups/write",
			since + " and caller eq 'nobody'":                        "",
			"eventTimestamp ge '" + start.Add(30e9).Format("2006-01-02T15:04:05.000000+00:00Z") + "' and eventTimestamp le '" + start.Add(90e9).Format("2006-01-02T15:04:05Z") + "'": registries + "/scopeMaps/write " + registries + "/write",
		} {
			got, want := names(s.owner, filter), strings.Fields(want)
			slices.Sort(got) // the clock stands still between some
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s:\n%s\nwant\n%s", filter, got, want)
			}
		}
		for _, n := range names(bearer, since) {
			if strings.HasPrefix(n, "Microsoft.Resources/") {
				t.Errorf("who has rights in one group sees %s in another", n)
			}
		}
		s.refused(400, "InvalidFilterInQueryString", "resourceGroupName", "GET", scopeS+activity+"&$filter="+url.QueryEscape("weather eq 'fine'"), nil)
		s.refused(400, "BadRequest", "nextLink", "GET", scopeS+activity+"&$skipToken=x", nil)
		_, nobody := s.principal("nobody")
		s.refusedAs(nobody, 403, "AuthorizationFailed", "", "GET", scopeS+activity, nil)

		// All of it comes in pages, each event once.
		for range 420 {
			s.want(200, "PUT", scopeS+"/resourceGroups/other", object{"location": "eastus"})
		}
		if n := len(names(s.owner, since+" and resourceProvider eq 'Microsoft.Resources'")); n != 421 {
			t.Errorf("%d events in pages", n)
		}
	})
}
