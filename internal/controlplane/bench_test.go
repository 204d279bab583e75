package controlplane_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/controlplane"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/resource"
	"github.com/acre-registry/acre/internal/web"
)

// tokens is how many the registry of the benchmarks has.
const tokens = 10_000

// management is the face on a SQLite store in a directory, with an owner's bearer token, and a registry full of tokens.
func management(b *testing.B) (do func(method, path, body string) *httptest.ResponseRecorder) {
	b.Helper()
	ok := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx := auth.As(context.Background(), auth.System("bench"))
	db, err := meta.Open(ctx, "sqlite://"+filepath.Join(b.TempDir(), "meta.db"), meta.Options{SealKey: make([]byte, 32), Actor: auth.Actor})
	ok(err)
	b.Cleanup(func() { _ = db.Close() })
	registries, known := auth.NewRegistries(db), &principals{}
	s, err := resource.New(ctx, resource.Options{
		DB: db, Registries: registries, Installation: resource.Installation{Tenant: tenant, Subscription: subscription, Group: "acre"}, Principals: known, Identities: known,
	})
	ok(err)
	known.Service, err = directory.New(ctx, directory.Options{DB: db, Tenant: tenant, Subscription: subscription, Domains: []string{"acre.localhost"}})
	ok(err)
	a, err := auth.New(ctx, auth.Options{DB: db, Registries: registries, Principals: known.Service, Tenant: tenant, Scope: s.IDOf})
	ok(err)
	app, err := known.CreateApplication(ctx, directory.NewApplication{DisplayName: "owner"})
	ok(err)
	account, err := known.CreateServicePrincipal(ctx, directory.NewAccount{AppID: app.AppID})
	ok(err)
	_, secret, err := known.AddSecret(ctx, app.ID, directory.NewSecret{})
	ok(err)
	_, _, err = s.PutRoleAssignment(ctx, acr.RoleAssignment{Name: "00000000-0000-4000-8000-00000000000a", Scope: scopeS, RoleID: acr.OwnerRole, PrincipalID: account.ID})
	ok(err)
	bearer, err := known.Token(ctx, directory.Request{
		Tenant: tenant, Origin: "https://login.acre.localhost", Address: "192.0.2.7", Grant: directory.ClientCredentials,
		ClientID: app.AppID, Secret: secret, Scope: "https://management.azure.com/.default",
	})
	ok(err)
	_, err = s.CreateRegistry(ctx, "bench", resource.Settings{})
	ok(err)
	in := s.RegistryID("bench")
	ok(db.Update(ctx, func(tx *meta.Tx) error {
		for i := range tokens {
			t := acr.Token{Name: fmt.Sprintf("token-%05d", i), ScopeMap: "_repositories_pull", Status: acr.TokenEnabled, CreatedAt: time.Unix(1<<30, 0).UTC()}
			if err := meta.Put(tx, in.Child("tokens", t.Name), t, 0); err != nil {
				return err
			}
		}
		return nil
	}))
	handler := web.New(controlplane.New(controlplane.Options{
		Auth: a, Resources: s,
		Cloud:       func(r *http.Request) controlplane.Cloud { return controlplane.Cloud{Management: "http://" + r.Host} },
		LoginServer: func(_, registry string) string { return registry + ".acre.localhost" },
	}), web.Options{})
	return func(method, path, body string) *httptest.ResponseRecorder {
		b.Helper()
		if !strings.Contains(path, "?") {
			path += "?api-version=" + version
		}
		req := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+bearer.Access)
		out := httptest.NewRecorder()
		handler.ServeHTTP(out, req)
		if out.Code >= 300 {
			b.Fatalf("%s %s: %d %s", method, path, out.Code, out.Body)
		}
		return out
	}
}

// The management API's own speed, without the network: what a GET takes, a page of many, a create, a change.
func BenchmarkManagement(b *testing.B) {
	do := management(b)
	at := scopeR + "bench"
	for _, bench := range []struct {
		name string
		call func(i int)
	}{
		{"get", func(int) { do("GET", at, "") }},
		{"get-token", func(i int) { do("GET", fmt.Sprintf("%s/tokens/token-%05d", at, i%tokens), "") }},
		{"page", func(i int) {
			do("GET", fmt.Sprintf("%s/tokens?api-version=%s&$skipToken=%s/tokens/token-%05d", at, version, strings.ToLower(at), i*200%tokens), "")
		}},
		{"create", func(int) {
			do("PUT", fmt.Sprintf("%s/scopeMaps/map-%d", at, time.Now().UnixNano()), `{"properties":{"actions":["repositories/a/content/read"]}}`)
		}},
		{"patch", func(i int) { do("PATCH", at, fmt.Sprintf(`{"tags":{"n":"%d"}}`, i)) }},
		{"resources", func(int) {
			do("GET", scopeS+"/resources?api-version=2024-11-01&$filter=resourceType%20eq%20'Microsoft.ContainerRegistry/registries'", "")
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				bench.call(i)
			}
		})
	}
}
