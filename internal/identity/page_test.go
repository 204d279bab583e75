package identity

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// Every page escapes what it shows, hashes the style and script that it holds, and can be framed by nobody.
func TestPages(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script>`
	v := view{Title: "Sign in", App: evil, Action: "/t/x?y=" + evil, Target: evil, User: evil, Code: evil, Wrong: evil, Text: evil, Fields: []field{{evil, evil}}}
	for _, name := range []string{"signin", "code", "confirm", "message", "post"} {
		w := httptest.NewRecorder()
		if err := show(w, http.StatusOK, name, v, "http://localhost:8400/x", "msal1234://auth", "no url", "https://e;vil/"); err != nil {
			t.Fatal(err)
		}
		body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		if strings.Contains(body, "alert(1)</script>") {
			t.Errorf("%s is not escaped:\n%s", name, body)
		}
		if !strings.Contains(body, "<h1>Sign in</h1>") || !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
			t.Errorf("%s is not whole:\n%s", name, body)
		}
		if !strings.Contains(policy, "; form-action 'self' http://localhost:8400 msal1234://auth") || strings.Contains(policy, "vil") {
			t.Errorf("%s: %s", name, policy)
		}
		if !strings.Contains(policy, "frame-ancestors 'none'") || w.Header().Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s can be framed", name)
		}
		for _, part := range regexp.MustCompile(`(?s)<(?:style|script)>(.*?)</(?:style|script)>`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(policy, hashed(part[1])) {
				t.Errorf("%s: the policy forbids its own\n%s", name, part[0])
			}
		}
		if strings.Contains(body, "<script") != (name == "post") || strings.Contains(body, " style=") || strings.Contains(body, "onclick") {
			t.Errorf("%s holds what its policy forbids", name)
		}
	}
}
