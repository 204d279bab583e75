package auth

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// kids are the IDs of the keys in the store, oldest first.
func kids(t *testing.T, s *Service) []string {
	t.Helper()
	keys, err := s.keys.stored(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range keys {
		out = append(out, k.id)
	}
	return out
}

// Nodes that start at once on a new store end up with the same one key.
func TestFirstKeyRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, _ *clock) {
		var nodes [4]*Service
		var errs [len(nodes)]error
		var wg sync.WaitGroup
		for i := range nodes {
			wg.Go(func() { nodes[i], errs[i] = New(t.Context(), Options{DB: db, Registries: NewRegistries(db)}) })
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		put(t, db, registry("acre"), "p1", "p2")
		reg := get(t, nodes[0], "acre")
		for i, n := range nodes {
			token, err := n.Access(reg, "host", adminIdentity(reg), nil)
			if err != nil {
				t.Fatal(err)
			}
			for j, other := range nodes {
				if _, err := other.Bearer(t.Context(), reg, token.Value); err != nil {
					t.Errorf("node %d refuses node %d's token: %v", j, i, err)
				}
			}
		}
		if got := kids(t, nodes[0]); len(got) != 1 {
			t.Errorf("keys %v, want one", got)
		}
	})
}

// A rotation gives the newest key, wherever the clock stands, and keeps those that a token may still need.
func TestRotate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		s := node(t, db)
		want := kids(t, s)
		for _, step := range []struct {
			name string
			by   time.Duration
			drop int // keys that are gone afterwards
		}{
			{"at once", 0, 0},
			{"at the same moment", 0, 0},
			{"on a clock set back", -time.Hour, 0},
			{"on a clock set back again", -time.Hour, 0},
			{"a day later", 26 * time.Hour, 0},
			{"when the first five are long replaced", 49 * time.Hour, 5},
			{"right after", time.Second, 0},
		} {
			c.advance(step.by)
			kid, err := s.RotateKeys(operator(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, kid)[step.drop:]
			if got := kids(t, s); !slices.Equal(got, want) {
				t.Errorf("%s: keys %v, want %v", step.name, got, want)
			}
			if got := s.keys.signer().id; got != kid {
				t.Errorf("%s: tokens are signed with %s, want %s", step.name, got, kid)
			}
		}
	})
}

func TestRotateKeysOlder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		s := node(t, db)
		for _, step := range []struct {
			by   time.Duration
			want int
		}{{0, 1}, {23 * time.Hour, 1}, {time.Hour, 2}, {time.Hour, 2}, {-time.Hour, 2}} {
			c.advance(step.by)
			if err := s.RotateKeysOlder(operator(t.Context()), 24*time.Hour); err != nil {
				t.Fatal(err)
			}
			if got := kids(t, s); len(got) != step.want {
				t.Errorf("after %v: %d keys, want %d", step.by, len(got), step.want)
			}
		}
		c.advance(25 * time.Hour)
		if err := s.RotateKeysOlder(t.Context(), 24*time.Hour); !errors.Is(err, fault.Denied) {
			t.Errorf("nobody in particular rotates: %v", err)
		}
	})
}

// A node that meets an unknown key asks the store, at most once a second, and at once where its clock was set back.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, c *clock) {
		one, other := node(t, db), node(t, db)
		put(t, db, registry("acre"), "p1", "p2")
		reg := get(t, one, "acre")
		rotated := func() string {
			t.Helper()
			if _, err := one.RotateKeys(operator(t.Context())); err != nil {
				t.Fatal(err)
			}
			token, err := one.Access(reg, "host", adminIdentity(reg), nil)
			if err != nil {
				t.Fatal(err)
			}
			return token.Value
		}
		token := rotated()
		if _, err := other.Bearer(t.Context(), reg, token); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("within the second: %v", err)
		}
		c.advance(time.Second)
		if _, err := other.Bearer(t.Context(), reg, token); err != nil {
			t.Errorf("after a second: %v", err)
		}
		token = rotated()
		c.advance(-time.Minute)
		if _, err := other.Bearer(t.Context(), reg, token); err != nil {
			t.Errorf("with the clock set back: %v", err)
		}
	})
}

// Two nodes that rotate at once lose no key: one of them may have to try again.
func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, _ *clock) {
		nodes := []*Service{node(t, db), node(t, db), node(t, db)}
		made := make([]string, len(nodes))
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() {
				kid, err := n.RotateKeys(operator(t.Context()))
				if err != nil && !errors.Is(err, fault.Conflict) {
					t.Error(err)
				}
				made[i] = kid
			})
		}
		wg.Wait()
		stored := kids(t, nodes[0])
		for _, kid := range made {
			if kid != "" && !slices.Contains(stored, kid) {
				t.Errorf("key %s was given out and is not among %v", kid, stored)
			}
		}
		if len(stored) < 2 {
			t.Errorf("keys %v: none was added", stored)
		}
	})
}

// A key that cannot be read stops the start and says which it is.
func TestBadKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *meta.DB, _ *clock) {
		if err := db.Update(t.Context(), func(tx *meta.Tx) error {
			return tx.PutSecret(acr.TokenKeyPrefix+"first", []byte("no key"))
		}); err != nil {
			t.Fatal(err)
		}
		_, err := New(t.Context(), Options{DB: db, Registries: NewRegistries(db)})
		if err == nil || fmt.Sprint(err)[:len("token key token-key/first")] != "token key token-key/first" {
			t.Errorf("error %v", err)
		}
	})
}
