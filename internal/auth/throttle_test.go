package auth_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
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

// Failures are counted against the account, however its name is written.
func TestThrottleKnowsANameInAnyCase(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	metatest.EachWith(t, meta.Options{Now: c.Now}, func(t *testing.T, db *meta.DB) {
		s := newService(t, db)
		reg := &auth.Registry{Registry: acr.Registry{Name: "acre", UID: "u", AdminUserEnabled: true}, Key: "acre"}
		login := func(user string) error {
			_, err := s.Password(t.Context(), reg, user, "wrong", "address")
			return err
		}
		for _, user := range strings.Fields("acre Acre aCre acRe acrE ACre aCRe acRE AcRe AcrE") {
			if err := login(user); !errors.Is(err, fault.Unauthenticated) {
				t.Fatalf("%s: %v", user, err)
			}
		}
		if err := login("ACRE"); !errors.Is(err, fault.TooMany) {
			t.Errorf("after ten failures under other spellings: %v", err)
		}
	})
}

// What is remembered of failed logins stays small, whatever names are tried from however many addresses.
func TestThrottleIsBounded(t *testing.T) {
	db := metatest.Open(t, metatest.Stores(t)["sqlite"](t), meta.Options{})
	s := newService(t, db)
	reg := &auth.Registry{Registry: acr.Registry{Name: "acre", UID: "u", AdminUserEnabled: true}, Key: "acre"}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 5000 {
		n := strconv.Itoa(i)
		if _, err := s.Password(t.Context(), reg, strings.Repeat("x", 30<<10)+n, "wrong", n); !errors.Is(err, fault.Unauthenticated) {
			t.Fatal(err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d MiB are held for 5000 failed logins", grown>>20)
	}
	runtime.KeepAlive(s)
}
