package auth

import (
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// An access token in the password's place gives what it holds for as long as it lives, and is no way to more of either.
func TestAccessTokenGrowsNeitherInRightsNorInLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		ctx, s := t.Context(), node(t, db)
		put(t, db, registry("acre"), "p1", "p2")
		reg := get(t, s, "acre")
		admin, err := s.Password(ctx, reg, "acre", "p1", "address")
		if err != nil {
			t.Fatal(err)
		}
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
		c.advance(time.Minute)
		for _, way := range []func() (Identity, error){
			func() (Identity, error) { return s.RefreshToken(ctx, reg, refresh.Value) },
			func() (Identity, error) { return s.Password(ctx, reg, acr.NullUser, refresh.Value, "address") },
		} {
			id, err := way()
			if err != nil {
				t.Fatal(err)
			}
			if next, err := s.Refresh(reg, "host", id); next.Value == "" || err != nil {
				t.Errorf("a refresh token for who came with one: %q, %v", next.Value, err)
			} else if next.Expires.After(refresh.Expires) {
				t.Errorf("by a refresh token that ends at %v one was got that ends at %v", refresh.Expires, next.Expires)
			}
		}
		if refresh, err := s.Refresh(reg, "host", Identity{Name: acr.AnonymousSubject, claim: &claim{Kind: anonymousSubject}}); refresh.Value != "" || err != nil {
			t.Errorf("anybody got a refresh token: %v", err)
		}
	})
}
