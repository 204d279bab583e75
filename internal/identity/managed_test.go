package identity_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/identity"
	"github.com/acre-registry/acre/internal/web"
)

// Each flavour of the metadata endpoints, in the words of each, and the presence probes of those who look for one.
func TestManaged(t *testing.T) {
	t.Parallel()
	s := open(t)
	const imds = "/metadata/identity/oauth2/token"
	meta := []string{"Metadata", "true"}
	resource := "resource=" + url.QueryEscape(arm+"/")
	first := s.send(s.plain, "GET", imds+"?api-version=2018-02-01&"+resource+"&msi_res_id="+url.QueryEscape(identityID), "", meta...).want(t, 200).json(t)
	client, object := first["client_id"].(string), claims(t, first["access_token"])["oid"].(string)
	if c := claims(t, first["access_token"]); c["tid"] != tenant || c["aud"] != arm+"/" || c["xms_mirid"] != identityID || c["idtyp"] != "app" {
		t.Errorf("%v", c)
	}
	for name, a := range map[string]answer{
		"managed_client":       s.send(s.plain, "GET", imds+"?client_id="+client+"&"+resource+"&api-version=2018-02-01", "", meta...),
		"managed_object":       s.send(s.plain, "GET", imds+"?resource="+arm+"&object_id="+object, "", "metadata", "True"),
		"managed_resource_id":  s.send(s.plain, "GET", imds+"?"+resource+"&mi_res_id="+url.QueryEscape(strings.ToUpper(identityID)), "", meta...),
		"managed_app_service":  s.send(s.plain, "GET", "/msi/token?api-version=2019-08-01&"+resource+"&principal_id="+object, "", "X-IDENTITY-HEADER", shellSecret),
		"managed_old":          s.send(s.plain, "GET", "/MSI/token?api-version=2017-09-01&"+resource+"&clientid="+client, "", "secret", shellSecret),
		"managed_shell":        s.send(s.plain, "POST", "/msi/token", encode("resource", arm, "msi_res_id", identityID), meta...),
		"managed_unknown":      s.send(s.plain, "GET", imds+"?"+resource+"&client_id="+tenant, "", meta...),
		"managed_no_header":    s.send(s.plain, "GET", imds+"?"+resource, ""),
		"managed_no_query":     s.send(s.plain, "GET", imds, "", meta...),
		"managed_bad_resource": s.send(s.plain, "GET", imds+"?resource=https://nowhere.example&client_id="+client, "", meta...),
		"managed_wrong_secret": s.send(s.plain, "GET", "/msi/token?"+resource, "", "X-IDENTITY-HEADER", "wrong"),
		"managed_proxied":      s.send(s.plain, "GET", imds+"?"+resource+"&client_id="+client, "", "Metadata", "true", "X-Forwarded-For", "127.0.0.1"),
		"managed_not_identity": s.send(s.plain, "POST", "/msi/token", encode("resource", arm)),
	} {
		s.golden(name, a)
	}
}

// Only who is on this machine is one of its identities, and nobody is where the endpoints are off.
func TestManagedIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := open(t)
	off := identity.New(identity.Options{Directory: s.dir})
	for name, tt := range map[string]struct {
		face   *identity.Face
		from   string
		status int
	}{
		"here":      {s.face, "127.0.0.1:999", 200},
		"here, v6":  {s.face, "[::1]:999", 200},
		"elsewhere": {s.face, "192.0.2.1:999", 403},
		"nowhere":   {s.face, "@", 403},
		"off":       {off, "127.0.0.1:999", 404},
	} {
		for _, method := range []string{"GET", "POST"} {
			path := "/metadata/identity/oauth2/token?resource=" + arm + "&msi_res_id=" + url.QueryEscape(identityID)
			if method == "POST" {
				path = "/msi/token"
			}
			r := httptest.NewRequest(method, path, strings.NewReader(encode("resource", arm, "msi_res_id", identityID)))
			r.RemoteAddr, r.Host = tt.from, "localhost:5000"
			r.Header.Set("Metadata", "true")
			w := httptest.NewRecorder()
			web.New(tt.face, web.Options{}).ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("%s by %s: %d, want %d: %s", name, method, w.Code, tt.status, w.Body)
			}
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/msi/token?resource="+arm, nil)
	web.New(off, web.Options{}).ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("an empty secret is taken for an absent one: %d %s", w.Code, w.Body)
	}
}

// A page in a browser here that has pointed a name of its own at this machine gets no token.
func TestManagedUnderAName(t *testing.T) {
	t.Parallel()
	s := open(t)
	path := "/metadata/identity/oauth2/token?resource=" + arm + "&msi_res_id=" + url.QueryEscape(identityID)
	for name, status := range map[string]int{
		"169.254.169.254": 200, "localhost:5000": 200, "[::1]:5000": 200, "login.acre.test": 200, "rebound.example": 403, "rebound.example:80": 403,
	} {
		if a := s.send(s.plain, "GET", path, "", "Metadata", "true", "Host", name); a.StatusCode != status {
			t.Errorf("under the name %s: %d, want %d: %s", name, a.StatusCode, status, a.body)
		}
	}
}
