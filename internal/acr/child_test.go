package acr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"P2D": 2 * day, "PT4H": 4 * time.Hour, "p1w": 7 * day, "P1DT2H3M4S": day + 2*time.Hour + 3*time.Minute + 4*time.Second, "PT90M": 90 * time.Minute, "PT0S": 0,
	} {
		if got, err := acr.ParseDuration("x", s); err != nil || got != want {
			t.Errorf("%s is %s, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "P", "PT", "P1DT", "1D", "P1Y", "P1M", "P-1D", "PT4", "P999999D", "4 hours"} {
		if got, err := acr.ParseDuration("the window", bad); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "the window") {
			t.Errorf("%q is %s, %v", bad, got, err)
		}
	}
	for d, want := range map[time.Duration]string{2 * day: "P2D", 4 * time.Hour: "PT4H", 90 * time.Minute: "PT1H30M", day + time.Second: "P1DT1S", 0: "PT0S"} {
		if got := acr.FormatDuration(d); got != want {
			t.Errorf("%s prints as %s, want %s", d, got, want)
		}
	}
}

// What is taken prints as something that is taken and means the same.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"P2D", "PT4H", "P1W", "PT1H30M5S", "P", "PT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := acr.ParseDuration("x", s)
		if err != nil {
			return
		}
		if again, err := acr.ParseDuration("x", acr.FormatDuration(d)); err != nil || again != d {
			t.Errorf("%q is %s and prints as %s: %v", s, d, acr.FormatDuration(d), err)
		}
	})
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"* * * * *": "* * * * *", " 0  0/10 * * * ": "0 0/10 * * *", "30 4 1,15 * MON-FRI": "30 4 1,15 * MON-FRI"} {
		if got, err := acr.ParseSchedule(s); err != nil || got.Spec != want {
			t.Errorf("%q is %q, %v", s, got.Spec, err)
		}
	}
	for _, bad := range []string{"", "@daily", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "TZ=UTC * * * * *", "CRON_TZ=Asia/Tokyo 0 0 * *"} {
		if got, err := acr.ParseSchedule(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q is %q, %v", bad, got.Spec, err)
		}
	}
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("a", 64)
	for s, want := range map[string]acr.Notification{
		"*:*": {Name: "*", Action: "*"}, "*:*:*": {Name: "*", Tag: "*", Action: "*"}, "*@*:*": {Name: "*", Digest: "*", Action: "*"},
		"team/app:*": {Name: "team/app", Action: "*"}, "team/app:1.0:delete": {Name: "team/app", Tag: "1.0", Action: "delete"},
		"team/app@" + digest + ":push": {Name: "team/app", Digest: digest, Action: "push"}, "team/*:push": {Name: "team/*", Action: "push"},
		"sample/repo/*:1.0:*": {Name: "sample/repo/*", Tag: "1.0", Action: "*"},
	} {
		got, err := acr.ParseNotification(s)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", s, err, diff)
		}
	}
	for _, bad := range []string{"", "app", ":push", "app:pull", "App:push", "app@sha256:abc:push", "app:a b:push", "a*:push", strings.Repeat("a", 600) + ":push"} {
		if got, err := acr.ParseNotification(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q is %+v, %v", bad, got, err)
		}
	}
}

func TestCacheRuleOverlaps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"app", "app", true}, {"app", "other", false}, {"team/*", "team/app", false}, {"team/*", "team/*", true}, {"team/*", "team/app/*", true},
		{"*", "team/*", true}, {"*", "app", false}, {"team/*", "teamx/*", false},
	} {
		a, b := acr.CacheRule{Target: tt.a}, acr.CacheRule{Target: tt.b}
		if a.Overlaps(b) != tt.want || b.Overlaps(a) != tt.want {
			t.Errorf("%s and %s: %t and %t, want %t", tt.a, tt.b, a.Overlaps(b), b.Overlaps(a), tt.want)
		}
	}
	for given, want := range map[string]string{"Registry-1.docker.io": "docker.io", "index.docker.io": "docker.io", "GHCR.io": "ghcr.io"} {
		if got := acr.CanonicalUpstream(given); got != want {
			t.Errorf("%s is %s", given, got)
		}
	}
}

func TestAssignedIdentity(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
	users := []acr.AssignedUser{{ID: id}}
	for want, a := range map[string]acr.AssignedIdentity{
		"None": {}, "SystemAssigned": {System: true}, "UserAssigned": {Users: users}, "SystemAssigned, UserAssigned": {System: true, Users: users},
	} {
		if got := a.Kind(); got != want || a.Check("x") != nil {
			t.Errorf("%+v is %s, %v; want %s", a, got, a.Check("x"), want)
		}
	}
	if u, ok := (acr.AssignedIdentity{Users: users}).User(strings.ToUpper(id)); !ok || u.ID != id {
		t.Errorf("%+v, %t", u, ok)
	}
	for _, bad := range []string{"", "puller", strings.Replace(id, "userAssigned", "systemAssigned", 1), strings.Replace(id, "ManagedIdentity", "Compute", 1)} {
		if err := (acr.AssignedIdentity{Users: []acr.AssignedUser{{ID: bad}}}).Check("the rule"); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
