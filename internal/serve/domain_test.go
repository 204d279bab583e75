package serve

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/resource"
)

// Every host that clients of the cloud have built in is in the certificate that it is presented with: a registry's data
// endpoint too, once it has one; and no other name is.
func TestDevNames(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Dev, c.Data, c.HTTP, c.HTTPS, c.Log.Level = true, t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", "error"
	s, err := Open(t.Context(), c, "test", testWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	id := s.resources.RegistryID("clouds")
	if _, _, err := s.resources.Registries.Put(auth.As(t.Context(), auth.System("test")), id, resource.CreateOnly, func(r *acr.Registry, _ bool) error {
		r.SKU, r.Location, r.DataEndpoint = "Premium", "eastus", true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	present := s.certificateFor(s.authority.Certificate)
	for host, ok := range map[string]bool{
		"login.microsoftonline.com": true, "login.microsoft.com": true, "login.windows.net": true, "sts.windows.net": true,
		"management.azure.com": true, "management.core.windows.net": true, "graph.microsoft.com": true, "graph.windows.net": true,
		"acre.azurecr.io": true, "clouds.azurecr.io": true, "clouds.eastus.data.azurecr.io": true, "login.acre.localhost": true, "localhost": true,
		"acre.eastus.data.azurecr.io": false, "clouds.westus.data.azurecr.io": false, "nobody.azurecr.io": false, "example.com": false,
	} {
		leaf, err := present(&tls.ClientHelloInfo{ServerName: host})
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if err := leaf.Leaf.VerifyHostname(host); (err == nil) != ok {
			t.Errorf("%s: %v, named %v", host, err, leaf.Leaf.DNSNames)
		}
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(text []byte) (int, error) {
	w.t.Logf("%s", text)
	return len(text), nil
}

// The banner names a listener in a way that docker takes, and that leads there.
func TestDockerName(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		name, note := dockerName(l.Addr().String(), "acre.acre.localhost")
		host, _, err := net.SplitHostPort(name)
		if err != nil || host != "localhost" && (note == "" || !strings.HasSuffix(strings.Fields(note)[2], "'")) {
			t.Errorf("%s is called %s, %q: %v", addr, name, note, err)
		}
		if note == "" && !leads(name, l.Addr().String()) {
			t.Errorf("%s does not lead to %s", name, addr)
		}
	}
	for addr, want := range map[string]string{"192.0.2.1:5000": "192.0.2.1:5000", "[2001:db8::1]:5000": "acre.acre.localhost:5000", "registry.example.com:443": "registry.example.com:443"} {
		if name, note := dockerName(addr, "acre.acre.localhost"); name != want || (note != "") != strings.HasPrefix(addr, "[") {
			t.Errorf("%s is called %s, %q", addr, name, note)
		}
	}
}
