package serve

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
)

// A pass comes when its interval has gone by and takes what the configured grace period, be it none, does not keep. Its
// counters are there before.
func TestCollectionOnSchedule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace time.Duration
		takes bool
	}{"no grace": {0, true}, "some": {30 * time.Second, true}, "much": {time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := testConfig(shortDir(t))
			config.Blobs, config.Collect = "mem:", CollectConfig{Interval: time.Minute, Grace: c.grace}
			synctest.Test(t, func(t *testing.T) {
				s, err := Open(t.Context(), config, "test", io.Discard)
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.work(ctx) }()
				owner := auth.As(t.Context(), auth.Identity{Name: "acre", Registry: "acre", Grants: acr.Everything})
				reg, err := s.registries.Get(owner, "acre")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.content.In(reg).PushBlob(owner, "app", digest.FromString("idle"), strings.NewReader("idle")); err != nil {
					t.Fatal(err)
				}
				const taken = `acre_content_collected_total{what="membership"} `
				wants := func(after time.Duration, want string) {
					t.Helper()
					time.Sleep(after)
					synctest.Wait()
					if text := scrape(s.metrics); !strings.Contains(text, taken+want) {
						t.Errorf("no %q in\n%s", taken+want, text)
					}
				}
				wants(50*time.Second, "0\n")
				if wants(15*time.Second, map[bool]string{true: "1\n", false: "0\n"}[c.takes]); !c.takes {
					wants(time.Hour, "1\n")
				}
				stop()
				if err := errors.Join(<-ended, s.Close(context.WithoutCancel(ctx))); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestShortOfSpace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		free func() (int64, error)
		want bool
	}{
		"no disk":      {nil, false},
		"much":         {func() (int64, error) { return shortSpace, nil }, false},
		"little":       {func() (int64, error) { return shortSpace - 1, nil }, true},
		"not readable": {func() (int64, error) { return 0, errors.New("away") }, false},
	} {
		if got := (&Server{free: c.free}).short(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
