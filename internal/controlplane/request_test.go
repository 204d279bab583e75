package controlplane_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Every type of the provider answers nonsense as the management API does, however it came to be in the table.
func TestEveryTypeRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"myreg", premium(nil))
		types := s.want(200, "GET", scopeS+"/providers/Microsoft.ContainerRegistry", nil)["resourceTypes"].([]any)
		writable := 0
		for _, kind := range types {
			name := at(kind, "resourceType").(string)
			segments := strings.Split(name, "/")
			if segments[0] != "registries" {
				continue
			}
			path := func(registry string) string {
				p := scopeR + registry
				for i, seg := range segments[1:] {
					p += "/" + seg + "/" + fmt.Sprintf("thing%d", i)
				}
				return p
			}
			mine := path("thing9")
			if len(segments) > 1 {
				mine = path("myreg")
			}
			s.refused(405, "HttpMethodNotAllowed", "'PROPFIND'", "PROPFIND", mine, nil)
			if s.do("PUT", mine, "[1]").status != 400 {
				continue // it is read, or made by other means
			}
			writable++
			for body, words := range map[string]string{
				"{": "", `{"properties":`: "", `[]`: "an array", `"x"`: "a string", "null": "null", "17": "a number", "true": "a boolean", "{} {}": "",
				`{"properties":[]}`: "properties is an array where an object",
			} {
				s.refused(400, "InvalidRequestContent", words, "PUT", mine, body)
			}
			if got := s.do("PUT", mine, `{"properties":{"x":"`+strings.Repeat("x", 4<<20)+`"}}`); got.status != 413 || !strings.Contains(got.body, `"error"`) {
				t.Errorf("%s: an oversized body: %d %.200s", name, got.status, got.body)
			}
			if got := s.conditional("PUT", mine, object{}, "If-Match", `"1-1"`); got.status != 412 {
				t.Errorf("%s: If-Match on nothing: %d %s", name, got.status, got.body)
			}
			if len(segments) > 1 {
				s.refused(404, "ParentResourceNotFound", "'nowhere1'", "PUT", path("nowhere1"), "{}")
				s.refused(404, "ParentResourceNotFound", "'nowhere1'", "GET", path("nowhere1"), nil)
				s.refused(404, "ParentResourceNotFound", "'nowhere1'", "DELETE", path("nowhere1"), nil)
			}
			if got := s.do("GET", mine, nil); got.status != 404 {
				t.Errorf("%s: nonsense made something: %d %s", name, got.status, got.body)
			}
			if got := s.do("DELETE", strings.ToUpper(mine), nil); got.status != 204 {
				t.Errorf("%s: what is not there is deleted with %d %s", name, got.status, got.body)
			}
		}
		if writable < 8 {
			t.Errorf("only %d types can be written", writable)
		}
	})
}

// Requests that odd clients send are taken: doubled slashes, other letters, a valueless parameter, read-only members sent
// back, members that nobody knows. Of a wrong one the member is named.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(nil))
		for _, path := range []string{
			strings.ReplaceAll(reg, "/providers/", "//providers//"), "/" + reg + "/", strings.ToUpper(reg), strings.ToLower(reg),
			reg + "?disambiguation_dummy&api-version=" + version, reg + "?api-version=" + version + "&$expand=",
		} {
			if got := s.want(200, "GET", path, nil); got["id"] != reg {
				t.Errorf("%s is %v", path, got["id"])
			}
		}
		whole := s.want(200, "GET", reg, nil)
		again := s.want(200, "PUT", reg, whole)
		whole["id"], whole["type"], whole["systemData"] = "/elsewhere", "Other/things", object{"createdBy": "somebody"}
		whole["properties"].(map[string]any)["provisioningState"] = "Failed"
		whole["properties"].(map[string]any)["unheardOf"] = []any{1, object{"a": nil}}
		patched := s.want(200, "PATCH", reg, whole)
		for _, member := range [][]any{{"id"}, {"type"}, {"systemData", "createdBy"}, {"properties", "provisioningState"}, {"tags", "team"}, {"sku", "name"}} {
			if at(patched, member...) != at(again, member...) {
				t.Errorf("%v became %v of %v", member, at(patched, member...), at(again, member...))
			}
		}
		for body, words := range map[string]string{
			`{"properties":{"adminUserEnabled":"yes"}}`: "properties.adminUserEnabled is a string where a boolean is wanted",
			`{"tags":["a"]}`:    "tags is an array where an object is wanted",
			`{"tags":{"a":1}}`:  "a number where a string is wanted",
			`{"sku":"Premium"}`: "sku is a string where an object is wanted",
			`{"properties":{"networkRuleSet":{"ipRules":{"value":"1"}}}}`: "ipRules is an object where an array is wanted",
		} {
			s.refused(400, "InvalidRequestContent", words, "PATCH", reg, body)
		}
		s.want(200, "PATCH", reg, `{"tags":null}`)
		if tags := at(s.want(200, "GET", reg, nil), "tags"); len(tags.(map[string]any)) != 0 {
			t.Errorf("null leaves the tags %v", tags)
		}
	})
}

// What is far too many is refused as fast as it is read: nobody else can write meanwhile on SQLite.
func TestFarTooMany(t *testing.T) {
	t.Parallel()
	const many = 60_000 // each against each would take minutes
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"alpha", premium(object{"dataEndpointEnabled": true}))
		s.want(201, "PUT", scopeR+"alpha/scopeMaps/mine1", properties(object{"actions": []string{"repositories/app/content/read", "repositories/app/metadata/read", "gateway/edge1/config/read", "gateway/edge1/config/write", "gateway/edge1/message/read", "gateway/edge1/message/write"}}))
		s.want(201, "PUT", scopeR+"alpha/tokens/mine1", properties(object{"scopeMapId": scopeR + "alpha/scopeMaps/mine1"}))
		s.want(200, "PUT", scopeR+"alpha/tasks/build1", encodedTask(nil))
		identities, tags := object{}, object{}
		var timers, tokens []any
		for i := range many {
			name := fmt.Sprint(i)
			identities[name], tags[name] = object{}, "x"
			timers = append(timers, object{"name": name, "schedule": "* * * * *"})
			if i < many/4 { // more do not fit into a body
				tokens = append(tokens, scopeR+"alpha/tokens/"+name+"-far-too-many")
			}
		}
		synced := func(sync object) object {
			sync["tokenId"], sync["messageTtl"] = scopeR+"alpha/tokens/mine1", "P1D"
			return object{"mode": "ReadOnly", "parent": object{"syncProperties": sync}}
		}
		clients := synced(object{})
		clients["clientTokenIds"] = tokens
		for _, c := range []struct {
			method, path, words string
			body                any
		}{
			{"PATCH", "alpha", "managed identities: 60000 are too many: 20", object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": identities}}},
			{"PATCH", "alpha/tasks/build1", "managed identities: 60000 are too many: 20", object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": identities}}},
			{"PATCH", "alpha/providers/Microsoft.Resources/tags/default", "are too many: 50", object{"operation": "Merge", "properties": object{"tags": tags}}},
			{"PATCH", "alpha/tasks/build1", "timer triggers: 60000 are too many: 100", properties(object{"trigger": object{"timerTriggers": timers}})},
			{"PUT", "alpha/connectedRegistries/edge1", "client tokens: 15000 are too many: 50", properties(clients)},
			{"PUT", "alpha/connectedRegistries/edge1", "and 256 are allowed", properties(synced(object{"syncWindow": "PT1H", "schedule": strings.Repeat("1,", many) + "1 * * * *"}))},
		} {
			begin := time.Now()
			s.refused(400, "BadRequest", c.words, c.method, scopeR+c.path, c.body)
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s %s took %s", c.method, c.path, took)
			}
		}
	})
}
