package auth

import (
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// BenchmarkRequest is what every request with an access token pays: the registry, the token, the decision.
func BenchmarkRequest(b *testing.B) {
	db := metatest.Open(b, metatest.Stores(b)["sqlite"](b), meta.Options{})
	s, err := New(b.Context(), Options{DB: db, Registries: NewRegistries(db)})
	if err != nil {
		b.Fatal(err)
	}
	put(b, db, registry("acre"), "p1", "p2")
	reg := get(b, s, "acre")
	token, err := s.Access(reg, "host", adminIdentity(reg), acr.ParseScopes([]string{"repository:app:pull"}))
	if err != nil {
		b.Fatal(err)
	}
	on := acr.Repository("app")
	b.ReportAllocs()
	for b.Loop() {
		reg, err := s.opt.Registries.Get(b.Context(), "acre")
		if err != nil {
			b.Fatal(err)
		}
		id, err := s.Bearer(b.Context(), reg, token.Value)
		if err != nil {
			b.Fatal(err)
		}
		if err := (Policy{}).Allow(ForRequest(b.Context(), id, "id"), "acre", on, acr.Pull); err != nil {
			b.Fatal(err)
		}
	}
}
