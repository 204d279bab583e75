package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/fault"
)

func TestJoinWords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, want []string }{
		"lists, once each":   {[]string{"scope-map", "create", "--repository", "a", "x", "y", "-n", "m", "--repository", "b", "z"}, []string{"scope-map", "create", "--repository=a\x00x\x00y", "-n", "m", "--repository=b\x00z"}},
		"list at the end":    {[]string{"identity", "create", "--tags", "a=1", "b=2"}, []string{"identity", "create", "--tags=a=1\x00b=2"}},
		"list of one, by =":  {[]string{"identity", "create", "--tags=a=1"}, []string{"identity", "create", "--tags=a=1"}},
		"list of nothing":    {[]string{"identity", "create", "--tags", "-n", "x"}, []string{"identity", "create", "--tags", "-n", "x"}},
		"truth alone":        {[]string{"token", "create", "--no-passwords", "-n", "x"}, []string{"token", "create", "--no-passwords", "-n", "x"}},
		"truth with a word":  {[]string{"token", "create", "--no-passwords", "False", "-n", "x"}, []string{"token", "create", "--no-passwords=False", "-n", "x"}},
		"of another command": {[]string{"repository", "list", "--tags", "a", "b"}, []string{"repository", "list", "--tags", "a", "b"}},
		"behind --":          {[]string{"dev", "proxy", "--", "x", "--tags", "a"}, []string{"dev", "proxy", "--", "x", "--tags", "a"}},
		"no command":         {[]string{"nonsense", "--tags", "a"}, []string{"nonsense", "--tags", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &app{Options: Options{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}}
			if diff := cmp.Diff(test.want, joinWords(a.root(), test.args)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScopeActions(t *testing.T) {
	t.Parallel()
	got, err := scopeActions([][]string{{"Team/App", "content/read", "Metadata/Write"}, {"*", "content/delete"}}, [][]string{{"Edge", "config/read"}})
	want := []string{"repositories/team/app/content/read", "repositories/team/app/metadata/write", "repositories/*/content/delete", "gateway/edge/config/read"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range [][]string{{"app"}, {"app", "read"}, {"app", "config/read"}} {
		if _, err := scopeActions([][]string{bad}, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := scopeActions(nil, [][]string{{"edge", "content/read"}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a repository's action on a gateway: %v", err)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		at   string
		days int
		want string
	}{
		"never": {}, "days": {days: 1, want: "2030-02-01T12:00:00Z"}, "time": {at: "2031-01-01T00:00:00Z", want: "2031-01-01T00:00:00Z"},
		"both": {at: "2031-01-01T00:00:00Z", days: 1, want: "exclude"}, "negative": {days: -1, want: "1 or more"}, "no time": {at: "tomorrow", want: "is no time"},
	} {
		got, err := expiry(test.at, test.days, now)
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	for s, want := range map[string]string{"": "", "90m": "2030-01-31T10:30:00Z", "2030-01-01": "2030-01-01T00:00:00Z", "2030-01-01T01:00:00+01:00": "2030-01-01T00:00:00Z", "-1h": "error", "soon": "error"} {
		got, err := instant("since", s, now)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("since %q: %q, want %q", s, got, want)
		}
	}
	for name, test := range map[string]struct {
		set  secretSettings
		want string
	}{
		"a year":    {secretSettings{}, "2031-01-31T12:00:00Z"},
		"two years": {secretSettings{years: 2}, "2032-01-31T12:00:00Z"},
		"a date":    {secretSettings{end: "2030-12-31"}, "2030-12-31T00:00:00Z"},
		"a time":    {secretSettings{end: "2030-12-31T11:59:59+00:00"}, "2030-12-31T11:59:59Z"},
		"both":      {secretSettings{end: "2030-12-31", years: 1}, "error"},
		"over":      {secretSettings{end: "2029-12-31"}, "error"},
		"nonsense":  {secretSettings{end: "soon"}, "error"},
		"negative":  {secretSettings{years: -1}, "error"},
	} {
		_, end, err := test.set.period(now)
		got := end.UTC().Format(time.RFC3339)
		if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("%s: until %s, want %s", name, got, test.want)
		}
	}
}

// Properties come beside the ID, the resource group is named, and what would hide another member has another name.
func TestFlatten(t *testing.T) {
	t.Parallel()
	got := flatten(object{
		"id": "/subscriptions/s/resourceGroups/g/providers/p/registries/r/scopeMaps/m", "type": "p/registries/scopeMaps",
		"properties": object{"type": "SystemDefined", "actions": []any{"a"}},
	})
	want := object{
		"id": "/subscriptions/s/resourceGroups/g/providers/p/registries/r/scopeMaps/m", "type": "p/registries/scopeMaps", "resourceGroup": "g",
		"scopeMapType": "SystemDefined", "actions": []any{"a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNamesInPaths(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{"ci-1": true, "_repositories_pull": true, "a.b": true, "": false, "..": false, "a/b": false, "a?b": false, "a b": false, "ü": false} {
		if err := childName("name", name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	got, err := cleanAddresses([]string{"203.0.113.7/24", "2001:DB8::1", "::ffff:1.2.3.4"})
	if err != nil || !slices.Equal(got, []string{"203.0.113.0/24", "2001:db8::1", "::ffff:1.2.3.4"}) {
		t.Errorf("addresses: %v, %v", got, err)
	}
	for _, bad := range [][]string{{"example.com"}, {"1.2.3.4/33"}} {
		if _, err := cleanAddresses(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestUnusedTokens(t *testing.T) {
	t.Parallel()
	made := func(created, used string) object {
		o := object{"name": created + used, "creationDate": created, "acre": object{}}
		if used != "" {
			o["acre"] = object{"lastUsedTime": used}
		}
		return o
	}
	all := []object{
		made("2029-01-01T00:00:00Z", ""), made("2029-01-01T00:00:00Z", "2029-02-01T00:00:00.1234567Z"),
		made("2029-01-01T00:00:00Z", "2030-02-01T00:00:00Z"), made("2030-01-02T00:00:00Z", ""), {"name": "says nothing"},
	}
	got := unusedSince(all, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	if len(got) != 2 || text(got[0], "acre", "lastUsedTime") != "" || text(got[1], "acre", "lastUsedTime") == "" {
		t.Errorf("unused are %v", got)
	}
}
