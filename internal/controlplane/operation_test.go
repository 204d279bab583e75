package controlplane_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// work goes on with all operations that have not ended, as the queue does.
func (s *server) work() {
	s.Helper()
	var list []acr.Operation
	s.ok(s.db.Look(s.Context(), func(tx *meta.Tx) (err error) {
		list, err = meta.List[acr.Operation](tx, "", 1000)
		return err
	}))
	for _, o := range list {
		s.ok(s.resources.RunOperation(s.Context(), []byte(`{"name":"`+o.Name+`"}`)))
	}
}

// path is what a URL of the server names behind its host.
func (s *server) path(url string) string {
	s.Helper()
	path, ok := strings.CutPrefix(url, s.http.URL)
	if !ok || path == "" {
		s.Fatalf("%q is not an absolute URL of the server", url)
	}
	return path
}

// A registry is gone at once; a group when what lies in it is. Both say where to ask.
func TestDeleteIsPolled(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		group := scopeS + "/resourceGroups/Team"
		s.want(201, "PUT", group, object{"location": "eastus"})
		in := group + "/providers/Microsoft.ContainerRegistry/registries/"
		for _, name := range []string{"first", "other"} {
			s.want(201, "PUT", in+name, premium(nil))
		}
		s.want(201, "PUT", group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/runner", object{"location": "eastus"})

		gone := s.do("DELETE", in+"first", nil)
		if gone.status != http.StatusAccepted || gone.body != "null" || gone.header.Get("Retry-After") == "" {
			t.Errorf("the registry: %+v", gone)
		}
		s.refused(404, "ResourceNotFound", "", "GET", in+"first", nil)
		poll := s.path(gone.header.Get("Location"))
		if !strings.Contains(poll, "/providers/Microsoft.ContainerRegistry/locations/") || !strings.HasSuffix(poll, "?api-version="+version) {
			t.Errorf("it is polled at %s", poll)
		}
		if a := s.do("GET", poll, nil); a.status != http.StatusAccepted || a.body != "null" || s.path(a.header.Get("Location")) != poll {
			t.Errorf("while it runs: %+v", a)
		}
		s.work()
		if got := s.want(200, "GET", poll, nil); got["status"] != "Succeeded" {
			t.Errorf("at its end: %v", got)
		}
		s.want(204, "DELETE", in+"first", nil)

		gone = s.do("DELETE", strings.ToLower(group), nil)
		poll = s.path(gone.header.Get("Location"))
		if gone.status != http.StatusAccepted || !strings.HasPrefix(poll, scopeS+"/operationresults/resourcegroups-") {
			t.Errorf("the group: %+v", gone)
		}
		if state := at(s.want(200, "GET", group, nil), "properties", "provisioningState"); state != "Deleting" {
			t.Errorf("the group is %v", state)
		}
		if again := s.do("DELETE", group, nil); s.path(again.header.Get("Location")) != poll {
			t.Errorf("asked again: %+v", again)
		}
		s.refused(409, "ResourceGroupBeingDeleted", "deprovisioning", "PUT", in+"third", premium(nil))
		s.want(202, "GET", poll, nil)
		s.work()
		s.want(200, "GET", poll, nil)
		s.refused(404, "ResourceGroupNotFound", "'Team'", "GET", group, nil)
		s.refused(404, "ResourceGroupNotFound", "", "GET", in+"other", nil)
		s.want(204, "DELETE", group, nil)
		if list := s.want(200, "GET", scopeS+"/resources", nil)["value"].([]any); len(list) != 0 {
			t.Errorf("left behind: %v", list)
		}
	})
}

// Only who may read the resource, or began the operation, is told of it.
func TestOperationIsTold(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"myreg", premium(nil))
		poll := s.path(s.do("DELETE", scopeR+"myreg", nil).header.Get("Location"))
		_, nobody := s.principal("nobody")
		s.refusedAs(nobody, 403, "AuthorizationFailed", "Microsoft.ContainerRegistry/registries/read", "GET", poll, nil)
		reader, bearer := s.principal("reader")
		s.ok(s.assign(reader.ID, acr.ReaderRole, scopeG))
		s.wantAs(bearer, 202, "GET", poll, nil)
		s.refusedAs(bearer, 405, "HttpMethodNotAllowed", "", "DELETE", poll, nil)
		s.refused(404, "OperationNotFound", "'registries-none'", "GET", scopeR+"myreg/operationStatuses/registries-none", nil)
		s.work()

		// All forms of the URL lead to it, spelled however; a day later it is forgotten.
		name := strings.Split(poll[strings.LastIndexByte(poll, '/')+1:], "?")[0]
		for _, at := range []string{
			scopeR + "myreg/operationStatuses/" + name, strings.ToUpper(scopeR+"myreg/operationStatuses/"+name) + "?api-version=" + version,
			scopeG + "/providers/Microsoft.ContainerRegistry/locations/eastus/operationResults/operationStatuses/" + name,
			scopeS + "/providers/Microsoft.ContainerRegistry/locations/EASTUS/operationResults/" + name,
		} {
			if got := s.want(200, "GET", at, nil); got["status"] != "Succeeded" || got["name"] != name {
				t.Errorf("%s: %v", at, got)
			}
		}
		s.advance(25 * time.Hour)
		s.ok(s.resources.SweepOperations(s.system))
		again, bearer := s.principal("later") // the owner's token has ended
		s.ok(s.assign(again.ID, acr.OwnerRole, scopeS))
		s.owner = bearer
		s.refused(404, "OperationNotFound", "", "GET", poll, nil)
	})
}

// Changes are conditional on what was read, where the client says so.
func TestETag(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		at := scopeR + "myreg"
		made := s.conditional("PUT", at, premium(nil), "If-None-Match", "*")
		first := made.header.Get("ETag")
		if made.status != 201 || first == "" || first != s.do("GET", at, nil).header.Get("ETag") {
			t.Fatalf("%+v", made)
		}
		for _, tt := range []struct {
			name, header, value, method string
			want                        int
		}{
			{"made again", "If-None-Match", "*", "PUT", 412},
			{"another state", "If-Match", `"7-0123456789abcdef"`, "PATCH", 412},
			{"another state", "If-Match", `"7-0123456789abcdef"`, "DELETE", 412},
			{"this state excluded", "If-None-Match", first, "PATCH", 412},
			{"any state", "If-Match", "*", "PATCH", 200},
			{"the state before", "If-Match", first, "PATCH", 412},
			{"one of two", "If-Match", `"none", W/` + s.do("GET", at, nil).header.Get("ETag"), "GET", 200},
		} {
			body := any(object{"tags": object{"a": "b"}})
			if tt.method == "PUT" {
				body = premium(nil)
			}
			if got := s.conditional(tt.method, at, body, tt.header, tt.value); got.status != tt.want || got.status == 412 && !strings.Contains(got.body, `"PreconditionFailed"`) {
				t.Errorf("%s: %s with %s %s: %d %s", tt.name, tt.method, tt.header, tt.value, got.status, got.body)
			}
		}
		now := s.do("GET", at, nil).header.Get("ETag")
		if got := s.conditional("GET", at, nil, "If-None-Match", now); got.status != 304 || got.body != "" {
			t.Errorf("unchanged: %+v", got)
		}
		if got := s.conditional("DELETE", at, nil, "If-Match", now); got.status != 202 {
			t.Errorf("%+v", got)
		}
		if got := s.conditional("PUT", at, premium(nil), "If-Match", "*"); got.status != 412 {
			t.Errorf("of nothing: %+v", got)
		}
		// A registry made anew under the name has other states, though it has as many.
		s.want(201, "PUT", at, premium(nil))
		if again := s.do("GET", at, nil).header.Get("ETag"); again == first {
			t.Errorf("the ETag %s names two states", again)
		}
	})
}

// conditional is do with a header.
func (s *server) conditional(method, path string, body any, header, value string) answer {
	s.Helper()
	text, err := json.Marshal(body)
	s.ok(err)
	req, err := http.NewRequestWithContext(s.Context(), method, s.http.URL+path+"?api-version="+version, bytes.NewReader(text))
	s.ok(err)
	req.Header.Set("Authorization", "Bearer "+s.owner)
	req.Header.Set(header, value)
	res, err := s.http.Client().Do(req)
	s.ok(err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	s.ok(err)
	return answer{res.StatusCode, res.Header, string(got)}
}

// Of many who write at once with the same ETag one wins; without one, nothing that anybody wrote is lost.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(nil))
		tag := s.do("GET", reg, nil).header.Get("ETag")
		const writers = 8
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				got := s.conditional("PATCH", reg, properties(object{"adminUserEnabled": i%2 == 0}), "If-Match", tag)
				switch got.status {
				case 200:
					won.Add(1)
				case 412:
				default:
					t.Errorf("%+v", got)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of %d won", won.Load(), writers)
		}
		for i := range writers { // all make the same resource, and each of them one of its own
			wg.Go(func() {
				if got := s.do("PUT", reg+"/scopeMaps/shared", properties(object{"actions": []string{"repositories/a/content/read"}})); got.status != 200 && got.status != 201 {
					t.Errorf("%+v", got)
				}
				mine := fmt.Sprintf("%s/scopeMaps/team-%02d", reg, i)
				if got := s.do("PUT", mine, properties(object{"actions": []string{"repositories/a/content/read"}})); got.status != 201 {
					t.Errorf("%+v", got)
				}
				if got := s.do("PATCH", reg, []object{{"tags": object{"kept": "yes"}}, properties(object{"adminUserEnabled": true})}[i%2]); got.status != 200 {
					t.Errorf("%+v", got)
				}
			})
		}
		wg.Wait()
		if n := len(s.want(200, "GET", reg+"/scopeMaps", nil)["value"].([]any)); n < writers+1 {
			t.Errorf("%d scope maps are left", n)
		}
		got := s.want(200, "GET", reg, nil)
		if at(got, "tags", "kept") != "yes" || at(got, "properties", "adminUserEnabled") != true {
			t.Errorf("lost: %v", got)
		}
	})
}
