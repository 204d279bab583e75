package serve

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/controlplane"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	own := newHosts(&Config{DefaultRegistry: "Acre", Suffixes: []string{"acre.localhost", "azurecr.io"}})
	dev := newHosts(&Config{DefaultRegistry: "acre", Suffixes: []string{"acre.localhost"}, Dev: true})
	for _, c := range []struct {
		of       *hosts
		host     string
		registry string
		to       face
	}{
		{own, "localhost:5000", "acre", byPath},
		{own, "127.0.0.1", "acre", byPath},
		{own, "[::1]:5000", "acre", byPath},
		{own, "[::1]", "acre", byPath},
		{own, "registry.example.com", "acre", byPath},
		{own, "acre.localhost", "acre", byPath},
		{own, "team1.acre.localhost:80", "team1", byPath},
		{own, "Team1.AzureCR.io.", "team1", byPath},
		{own, "a.team1.acre.localhost", "a.team1.acre.localhost", byPath}, // no registry has that name
		{own, "Team1.EastUS.geo.acre.localhost:5443", "team1", byPath},
		{own, "team1-0123456789abcdef.eastus.data.azurecr.io", "team1-0123456789abcdef", byPath},
		{own, "team1.eastus.other.acre.localhost", "team1.eastus.other.acre.localhost", byPath},
		{own, "team1..geo.azurecr.io", "acre", byPath},
		{own, "team1.other.localhost:99", "team1.other.localhost", byPath},
		{own, ".acre.localhost", ".acre.localhost", byPath},
		{own, "", "acre", byPath},
		{own, "login.acre.localhost:5443", "acre", identities},
		{own, "Graph.acre.localhost", "acre", identities},
		{own, "management.acre.localhost.", "acre", management},
		{own, "login.azurecr.io", "login", byPath}, // which the cloud may have given to somebody
		{own, "login.microsoftonline.com", "acre", byPath},
		{own, "management.azure.com", "acre", byPath},
		{dev, "login.microsoftonline.com", "acre", identities},
		{dev, "sts.windows.net", "acre", identities},
		{dev, "graph.microsoft.com:443", "acre", identities},
		{dev, "management.azure.com", "acre", management},
		{dev, "team1.azurecr.io", "team1", byPath},
		{dev, "a.team1.azurecr.io", "acre", byPath},
		{dev, "169.254.169.254", "acre", byPath},
	} {
		if registry, _, to := c.of.of(c.host); registry != c.registry || to != c.to {
			t.Errorf("%s leads to %s, %v; want %s, %v", c.host, registry, to, c.registry, c.to)
		}
	}
}

// A registry answers in its own region, by what its settings switch on.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	h := newHosts(&Config{DefaultRegistry: "acre", Suffixes: []string{"b.test"}})
	for _, c := range []struct {
		host string
		reg  acr.Registry
		want bool
	}{
		{"team1.b.test", acr.Registry{}, true},
		{"team1.eastus.geo.b.test", acr.Registry{RegionalEndpoints: true, Location: "eastus"}, true},
		{"team1.eastus.geo.b.test", acr.Registry{DataEndpoint: true, Location: "eastus"}, false},
		{"team1.eastus.data.b.test", acr.Registry{DataEndpoint: true, Location: "eastus"}, true},
		{"team1.westus.data.b.test", acr.Registry{DataEndpoint: true, Location: "eastus"}, false},
		{"team1.local.data.b.test", acr.Registry{DataEndpoint: true}, true},
		{"team1.local.data.b.test", acr.Registry{}, false},
	} {
		_, at, _ := h.of(c.host)
		if err := at.of(c.reg); (err == nil) != c.want {
			t.Errorf("%s of %+v: %v", c.host, c.reg, err)
		}
	}
}

// By which names a page in a browser cannot come.
func TestOwnHosts(t *testing.T) {
	t.Parallel()
	h := newHosts(&Config{DefaultRegistry: "acre", Suffixes: []string{"acre.localhost", "b.test"}, Dev: true})
	for host, want := range map[string]bool{
		"localhost:5000": true, "127.0.0.1:5000": true, "[::1]:5000": true, "[::1]": true, "169.254.169.254": true, "registry:5000": true,
		"acre.localhost": true, "team1.acre.localhost:80": true, "x.localhost": true, "team1.b.test": true, "b.test": true, "login.b.test": true,
		"login.microsoftonline.com": true, "management.azure.com:443": true, "team1.azurecr.io": true, "": true,
		"evil.example:5000": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "evil.example.": false,
		"a.team1.azurecr.io": false, "azurecr.io.evil.example": false, "127.0.0.1.": true,
	} {
		if got := h.own(host); got != want {
			t.Errorf("%s: %t, want %t", host, got, want)
		}
	}
}

func TestLoginServerFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dev        bool
		host, want string
	}{
		{false, "localhost:5443", "team1.acre.localhost:5443"},
		{false, "management.acre.localhost", "team1.acre.localhost"},
		{false, "management.azure.com", "team1.acre.localhost"},
		{false, "management.b.test:8443", "team1.b.test:8443"},
		{true, "management.azure.com", "team1.azurecr.io"},
		{true, "management.azure.com:443", "team1.azurecr.io"},
		{true, "[::1]:5443", "team1.acre.localhost:5443"},
	} {
		config := Config{Suffixes: []string{"acre.localhost", "b.test"}, Dev: c.dev}
		s := &Server{config: config, hosts: newHosts(&config)}
		if got := s.loginServerFor(c.host, "team1"); got != c.want {
			t.Errorf("by %s: %s, want %s", c.host, got, c.want)
		}
	}
}

func TestCloud(t *testing.T) {
	t.Parallel()
	config := Config{Suffixes: []string{"acre.localhost", "b.test"}, Dev: true}
	s := &Server{config: config, hosts: newHosts(&config)}
	for url, want := range map[string]controlplane.Cloud{
		"https://Localhost:5443": {Login: "https://localhost:5443", Management: "https://localhost:5443", Graph: "https://localhost:5443", Suffix: "acre.localhost"},
		"https://management.b.test": {
			Login: "https://login.b.test", Management: "https://management.b.test", Graph: "https://graph.b.test", Suffix: "b.test",
		},
		"http://login.acre.localhost:5000": {
			Login: "http://login.acre.localhost:5000", Management: "http://management.acre.localhost:5000", Graph: "http://graph.acre.localhost:5000",
			Suffix: "acre.localhost",
		},
		"https://management.azure.com": {
			Login: "https://login.microsoftonline.com", Management: "https://management.azure.com", Graph: "https://graph.microsoft.com", Suffix: "azurecr.io",
		},
	} {
		if d := cmp.Diff(want, s.cloud(httptest.NewRequest("GET", url, nil))); d != "" {
			t.Errorf("by %s:\n%s", url, d)
		}
	}
}

func BenchmarkHosts(b *testing.B) {
	h := newHosts(&Config{DefaultRegistry: "acre", Suffixes: []string{"acre.localhost"}, Dev: true})
	b.ReportAllocs()
	for range b.N {
		h.of("localhost:5000")
	}
}
