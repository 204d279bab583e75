package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func newService(t *testing.T, db *meta.DB) *auth.Service {
	t.Helper()
	s, err := auth.New(t.Context(), auth.Options{DB: db, Registries: auth.NewRegistries(db)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An access token in the password's place gives what it holds for as long as it lives, and is no way to more of either.
func TestAccessTokenGrowsNeitherInRightsNorInLife(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		ctx, s := context.Background(), newService(t, db)
		reg := &auth.Registry{Registry: acr.Registry{Name: "acre", UID: "u", AdminUserEnabled: true}, Key: "acre"}
		admin := auth.Identity{Name: "acre", Registry: "acre", Grants: acr.Everything}
		narrow, err := s.Access(reg, "host", admin, acr.ParseScopes([]string{"repository:app:pull"}))
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.Password(ctx, reg, acr.NullUser, narrow.Value, "address")
		if err != nil {
			t.Fatal(err)
		}
		if refresh, err := s.Refresh(reg, "host", id); refresh.Value != "" || err != nil {
			t.Errorf("a token that may pull from one repository got a refresh token, which may do everything: %v", err)
		}
		again, err := s.Access(reg, "host", id, acr.ParseScopes([]string{"repository:app:pull,push registry:catalog:*"}))
		if err != nil {
			t.Fatal(err)
		}
		if want := narrow.Expires.Truncate(time.Second); !again.Expires.Equal(want) {
			t.Errorf("a token of one that ends at %s ends at %s", want, again.Expires)
		}
		got, err := s.Bearer(ctx, reg, again.Value)
		if err != nil || len(got.Grants) != 1 || got.Grants[0].String() != "repository:app:pull" {
			t.Errorf("it holds %v: %v", got.Grants, err)
		}

		refresh, err := s.Refresh(reg, "host", admin)
		if err != nil || refresh.Value == "" {
			t.Fatalf("a refresh token for who logged in: %q, %v", refresh.Value, err)
		}
		for _, way := range []func() (auth.Identity, error){
			func() (auth.Identity, error) { return s.RefreshToken(ctx, reg, refresh.Value) },
			func() (auth.Identity, error) { return s.Password(ctx, reg, acr.NullUser, refresh.Value, "address") },
		} {
			id, err := way()
			if err != nil {
				t.Fatal(err)
			}
			if next, err := s.Refresh(reg, "host", id); next.Value == "" || err != nil {
				t.Errorf("a refresh token for who came with one: %q, %v", next.Value, err)
			}
		}
		if refresh, err := s.Refresh(reg, "host", auth.Identity{Name: acr.AnonymousSubject}); refresh.Value != "" || err != nil {
			t.Errorf("anybody got a refresh token: %v", err)
		}
	})
}
