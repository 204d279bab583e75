package serve

import "testing"

func TestRegistryOfHost(t *testing.T) {
	t.Parallel()
	c := &Config{DefaultRegistry: "Acre", Suffixes: []string{"acre.localhost", "azurecr.io"}}
	for host, want := range map[string]string{
		"localhost:5000":           "acre",
		"127.0.0.1":                "acre",
		"[::1]:5000":               "acre",
		"registry.example.com":     "acre",
		"acre.localhost":           "acre",
		"team1.acre.localhost:80":  "team1",
		"Team1.AzureCR.io.":        "team1",
		"a.team1.acre.localhost":   "a.team1.acre.localhost", // no registry has that name
		"team1.other.localhost:99": "team1.other.localhost",
		"":                         "acre",
	} {
		if got := c.registryOf(host); got != want {
			t.Errorf("%s leads to %s, want %s", host, got, want)
		}
	}
}
