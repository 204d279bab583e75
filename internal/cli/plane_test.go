package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// serving is somebody signed in at a server that answers as told.
func serving(t *testing.T, answer http.HandlerFunc) *plane {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	b := newBench(t)
	a := &app{Options: Options{Getenv: func(k string) string { return b.env[k] }}}
	at, err := a.asURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	never := accessToken{"bearer", time.Now().Add(time.Hour)}
	who := &signIn{Tokens: map[string]accessToken{forManagement: never, forGraph: never}, Subscription: testSubscription}
	return &plane{app: a, at: at, http: s.Client(), profile: &profile{}, who: who}
}

// Every status that the table of errors has becomes its kind, with the server's text.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{
		400: fault.Invalid, 401: fault.Unauthenticated, 403: fault.Denied, 404: fault.NotFound, 405: fault.Invalid, 409: fault.Conflict,
		412: fault.Precondition, 413: fault.TooLarge, 429: fault.TooMany, 500: fault.Internal, 502: fault.Upstream, 503: fault.Unavailable, 507: fault.Full,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			p := serving(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(status)
				fmt.Fprint(w, `{"error":{"code":"SomeCode","message":"some text"}}`)
			})
			_, err := p.get(t.Context(), "/x", "1")
			if fault.KindOf(err) != want || err.Error() != "(SomeCode) some text" {
				t.Errorf("%v: %v", fault.KindOf(err), err)
			}
		})
	}
	p := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); fmt.Fprint(w, "<html>") })
	if _, err := p.get(t.Context(), "/x", "1"); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "404 Not Found to GET /x") {
		t.Errorf("no JSON: %v", err)
	}
	p = serving(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	if _, err := p.get(t.Context(), "/x", "1"); !strings.Contains(err.Error(), "is it an acre server?") {
		t.Errorf("no JSON: %v", err)
	}
}

// A server that is busy is asked again, pages are read to the end, and what takes time is waited for; always at the same
// host, whatever the links say.
func TestPatience(t *testing.T) {
	t.Parallel()
	var asked []string
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		if r.Header.Get("Authorization") != "Bearer bearer" {
			w.WriteHeader(401)
			return
		}
		w.Header().Set("Retry-After", "0")
		switch len(asked) {
		case 1:
			w.WriteHeader(503)
		case 2:
			fmt.Fprint(w, `{"value":[{"name":"a"}],"nextLink":"https://elsewhere.example.com/list?page=2"}`)
		case 3:
			fmt.Fprint(w, `{"value":[{"name":"b"}]}`)
		case 4:
			w.Header().Set("Location", "https://elsewhere.example.com/operation/1")
			w.WriteHeader(202)
		case 5:
			w.Header().Set("Location", "/operation/1")
			w.WriteHeader(202)
		case 6:
			w.WriteHeader(204)
		}
	})
	all, err := p.list(t.Context(), forManagement, "/list")
	if err != nil || len(all) != 2 {
		t.Errorf("the list is %v, %v", all, err)
	}
	if err := p.remove(t.Context(), "/thing", "1"); err != nil {
		t.Error(err)
	}
	want := "GET /list, GET /list, GET /list?page=2, DELETE /thing?api-version=1, GET /operation/1, GET /operation/1"
	if got := strings.Join(asked, ", "); got != want {
		t.Errorf("asked %s", got)
	}
}

// A redirect is not followed: it could lead a token elsewhere.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	b, o := newCloud(t)
	b.ok("login", "--service-principal", "-u", testClient, "-p", "secret")
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.URL) }))
	t.Cleanup(other.Close)
	o.set(func() { o.redirect = other.URL })
	b.fails(1, "307 Temporary Redirect", "token", "list")
}

// A token endpoint's refusal is about who asks, unless it is about the request.
func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		want   fault.Kind
	}{
		"invalid_client": {401, fault.Unauthenticated}, "invalid_grant": {400, fault.Unauthenticated}, "unauthorized_client": {400, fault.Unauthenticated},
		"invalid_scope": {400, fault.Invalid}, "temporarily_unavailable": {503, fault.Unavailable}, "slow_down": {429, fault.TooMany},
	} {
		p := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(test.status)
			fmt.Fprintf(w, `{"error":%q,"error_description":"AADSTS1: text\r\nTrace ID: x"}`, name)
		})
		if _, err := p.get(t.Context(), "/x", "1"); fault.KindOf(err) != test.want || err.Error() != "AADSTS1: text" {
			t.Errorf("%s: %v, %v", name, fault.KindOf(err), err)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	a := &app{Options: Options{Getenv: func(string) string { return "" }}}
	for at, want := range map[string]bool{
		"http://127.0.0.1:5000": true, "http://[::1]:5000": true, "http://localhost": true, "http://a.localhost:1": true,
		"http://192.0.2.1:5000": false, "http://example.com": false,
	} {
		if got := isLoopback(must(a.asURL(at))); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
}

// What was written and takes time is asked for until it has ended, and read again then; what failed says why.
func TestWrittenSettles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, status, want string
	}{
		{"succeeds", `{"status":"Succeeded"}`, ""},
		{"fails", `{"status":"Failed","error":{"code":"NoPower","message":"plug it in"}}`, "(NoPower) plug it in"},
		{"is canceled", `{"status":"Canceled"}`, "(Canceled) the operation has ended so"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			p := serving(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "0")
				switch {
				case r.Method == http.MethodPut:
					w.Header().Set(statusHeader, "https://management.example/operations/1?api-version=1")
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, `{"state":"Creating"}`)
				case r.URL.Path == "/operations/1":
					if asked++; asked < 3 {
						fmt.Fprint(w, `{"status":"Creating"}`)
					} else {
						fmt.Fprint(w, c.status)
					}
				case r.URL.Path == "/thing":
					fmt.Fprint(w, `{"state":"Succeeded"}`)
				}
			})
			var got object
			err := p.call(t.Context(), forManagement, http.MethodPut, "/thing", object{}, &got)
			switch {
			case asked != 3:
				t.Errorf("asked %d times", asked)
			case c.want == "":
				if err != nil || text(got, "state") != "Succeeded" {
					t.Errorf("%v, %v", got, err)
				}
			case err == nil || err.Error() != c.want || fault.KindOf(err) != fault.Conflict:
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
