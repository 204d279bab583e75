package acr

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/fault"
)

var graphNow = time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)

// graphRows are what the tests look at.
func graphRows(t testing.TB) []GraphRow {
	t.Helper()
	var out []GraphRow
	if err := json.Unmarshal([]byte(`[
		{"name":"alpha","type":"microsoft.containerregistry/registries","location":"eastus","sku":{"name":"Premium"},"tags":{"team":"a"},
		 "properties":{"creationDate":"2026-03-01T00:00:00Z","size":10,"hosts":["x","y"],"adminUserEnabled":true}},
		{"name":"Beta","type":"microsoft.containerregistry/registries","location":"westus","sku":{"name":"Basic"},"tags":{},
		 "properties":{"creationDate":"2026-03-08T00:00:00Z","size":30,"hosts":[],"adminUserEnabled":false}},
		{"name":"gamma/hook","type":"microsoft.containerregistry/registries/webhooks","location":"eastus","sku":null,"tags":{"team":"A"},
		 "properties":{"size":20}}]`), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func over(rows []GraphRow) iter.Seq2[GraphRow, error] {
	return func(yield func(GraphRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestGraphQuery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, want string }{
		{"Resources | where type =~ 'Microsoft.ContainerRegistry/registries' | project name", `[{"name":"alpha"},{"name":"Beta"}]`},
		{"where name == 'alpha' | project name, sku.name, where = location", `[{"name":"alpha","sku_name":"Premium","where":"eastus"}]`},
		{"resources | where name == 'ALPHA'", `null`},
		{`Resources // all
			| where tags['team'] =~ "a" and not(name contains "HOOK") | project name`, `[{"name":"alpha"}]`},
		{"Resources | where properties.size between_ 1", ""},
		{"Resources | where properties.size > 10 and properties.size <= 30 | order by properties.size asc | project name", `[{"name":"gamma/hook"},{"name":"Beta"}]`},
		{"Resources | sort by location asc, name desc | project name", `[{"name":"gamma/hook"},{"name":"alpha"},{"name":"Beta"}]`},
		{"Resources | top 1 by properties.size | project name", `[{"name":"Beta"}]`},
		{"Resources | order by sku.name | project sku.name", `[{"sku_name":"Premium"},{"sku_name":"Basic"},{"sku_name":null}]`},
		{"Resources | order by sku.name asc | project sku.name", `[{"sku_name":null},{"sku_name":"Basic"},{"sku_name":"Premium"}]`},
		{"Resources | order by sku.name desc nulls first | take 1 | project name", `[{"name":"gamma/hook"}]`},
		{"Resources | summarize count() by location | order by count_ desc", `[{"location":"eastus","count_":2},{"location":"westus","count_":1}]`},
		{"Resources | summarize n = count(), sum(properties.size), max(properties.size), dcount(location), avg(properties.size), countif(location == 'eastus')",
			`[{"n":3,"sum_properties_size":60,"max_properties_size":30,"dcount_location":2,"avg_properties_size":20,"countif_":2}]`},
		{"Resources | where name == 'nothing' | count", `[{"Count":0}]`},
		{"Resources | where name == 'nothing' | summarize count() by type", `null`},
		{"Resources | distinct location | order by location asc", `[{"location":"eastus"},{"location":"westus"}]`},
		{"Resources | where todatetime(properties.creationDate) > ago(7d) | project name", `[{"name":"Beta"}]`},
		{"Resources | where properties.creationDate >= datetime(2026-03-01) and properties.creationDate < datetime('2026-03-02T00:00:00Z') | project name", `[{"name":"alpha"}]`},
		{"Resources | extend gb = properties.size / 10 * 2 + 1, big = properties.size >= 20 | where big | project name, gb", `[{"name":"Beta","gb":7},{"name":"gamma/hook","gb":5}]`},
		{"Resources | where location in ('westus', 'north') | project name", `[{"name":"Beta"}]`},
		{"Resources | where location !in~ ('WESTUS') | count", `[{"Count":2}]`},
		{"Resources | where name startswith 'AL' or name endswith_cs 'ook' | project name", `[{"name":"alpha"},{"name":"gamma/hook"}]`},
		{"Resources | where name has 'hook' | project name", `[{"name":"gamma/hook"}]`},
		{"Resources | where isnotempty(tags.team) and isnull(sku) | project strcat(name, ':', toupper(location))", `[{"Column1":"gamma/hook:EASTUS"}]`},
		{"Resources | where properties.hosts[1] == 'y' and array_length(properties.hosts) == 2 | project h = properties.hosts[0]", `[{"h":"x"}]`},
		{"Resources | where properties.adminUserEnabled == true | project name, admin = iff(properties.adminUserEnabled, 'on', 'off')", `[{"name":"alpha","admin":"on"}]`},
		{"Resources | where name == @'al\\pha' or name == 'al\\'pha'", `null`},
		{"Resources | project name, sku | project-away sku | limit 1", `[{"name":"alpha"}]`},
		{"Resources | where properties.size == -10 * -1 | project name", `[{"name":"alpha"}]`},
	} {
		q, err := ParseGraphQuery(c.query, graphNow)
		if c.want == "" {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want a refusal", c.query, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		got, err := q.Run(over(graphRows(t)), 0, 100)
		text, _ := json.Marshal(got.Rows)
		var is, want any
		if json.Unmarshal(text, &is) != nil || json.Unmarshal([]byte(c.want), &want) != nil || err != nil || !cmp.Equal(is, want) {
			t.Errorf("%s: %s, %v, want %s", c.query, text, err, c.want)
		}
	}
}

// What is not understood says where it stands, and what could stand there.
func TestGraphQueryRefused(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                                                    "line 1, column 1: a table is expected: Resources",
		"Nowhere | take 1":                                    "line 1, column 1: a table is expected",
		"Resources | join kind=inner (x)":                     "line 1, column 13: an operator is expected: count, distinct",
		"Resources\n| mv-expand tags":                         "line 2, column 3: an operator is expected",
		"Resources | where":                                   "line 1, column 18: a column, a value or a function is expected, not the query's end",
		"Resources | where name = 'x'":                        "line 1, column 24: \"|\" is expected between operators, not '='",
		"Resources | where name matches 'x'":                  "line 1, column 24: an operator is expected: ==",
		"Resources | where 'open":                             "line 1, column 19: the text that begins here has no end",
		"Resources | where f(1)":                              "line 1, column 19: the function f is not known here",
		"Resources | where strlen() > 1":                      "strlen takes 1 to 1 values, not 0",
		"Resources | take ten":                                "line 1, column 18: a whole number of rows is expected",
		"Resources | take 1.5":                                "a whole number of rows is expected",
		"Resources | order name":                              "\"by\" is expected behind order, not 'name'",
		"Resources | summarize percentile(x, 1)":              "line 1, column 23: count(), sum(…)",
		"Resources; Resources":                                "line 1, column 10: \"|\" is expected",
		"Resources | where name == 'a\\q'":                    "line 1, column 30: \\q is no escape",
		"Resources | where x > 5y":                            "line 1, column 23: a number such as 7 or 1.5",
		"Resources | where datetime(soon) > now()":            "\"soon\" is no time",
		"Resources | where (name == 'x'":                      "\")\" is expected",
		"Resources | where " + strings.Repeat("(", 100) + "1": "more than 64 deep",
		"Resources | where " + strings.Repeat("-", 100) + "1": "more than 64 deep",
		"Resources" + strings.Repeat(" | take 1", 65):         "at most 64 operators",
		strings.Repeat("x", 17<<10):                           "16384 are allowed",
		"Resources | where ñandú == 1":                        "line 1, column 19: a column, a value or a function is expected, not 'ñ'",
	} {
		_, err := ParseGraphQuery(query, graphNow)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", query, err, want)
		}
	}
}

// Of types only those are read that the query can use.
func TestGraphQueryTypes(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"Resources | where type =~ 'A/b'":                                  {"a/b"},
		"Resources | where name == 'x' and type == 'a/b' | count":          {"a/b"},
		"Resources | where (type =~ 'a/b') and name != ''":                 {"a/b"},
		"Resources | where type in~ ('A/b', 'c/d')":                        {"a/b", "c/d"},
		"Resources | where name == 'x' | where type == 'a/b'":              {"a/b"},
		"Resources | where type =~ 'a/b' or name == 'x'":                   nil,
		"Resources | where (type =~ 'a/b' or true)":                        nil,
		"Resources | where not(type =~ 'a/b')":                             nil,
		"Resources | where (type =~ 'a/b') == false":                       nil,
		"Resources | where (type =~ 'a/b') in (false)":                     nil,
		"Resources | where type != 'a/b'":                                  nil,
		"Resources | where type !in ('a/b')":                               nil,
		"Resources | where type in ('a/b', tolower(name))":                 nil,
		"Resources | where iff(type =~ 'a/b', true, true)":                 nil,
		"Resources | where type =~ strcat('a', '/b')":                      nil,
		"Resources | extend type = 'a/b' | where type =~ 'a/b'":            nil,
		"Resources | project type = 'a/b' | where type =~ 'a/b'":           nil,
		"Resources | where type =~ 'a/b' | project n = 1 | where n =~ '1'": {"a/b"},
	} {
		q, err := ParseGraphQuery(query, graphNow)
		if err != nil || !slices.Equal(q.Types, want) {
			t.Errorf("%s: %q, %v, want %q", query, q.Types, err, want)
		}
	}
}

// A query takes no more memory than is its share, and says so.
func TestGraphQueryBounds(t *testing.T) {
	t.Parallel()
	many := func(n int) iter.Seq2[GraphRow, error] {
		return func(yield func(GraphRow, error) bool) {
			for i := range n {
				if !yield(GraphRow{"name": float64(i), "text": "x"}, nil) {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		query string
		rows  int
		want  string
	}{
		{"Resources | count", maxGraphScan, ""},
		{"Resources | count", maxGraphScan + 1, "looks at more than"},
		{"Resources | take 5", maxGraphScan + 1, ""},
		{"Resources | order by name", maxGraphHeld + 1, "sorts or groups into more than"},
		{"Resources | summarize count() by name", maxGraphHeld + 1, "sorts or groups into more than"},
		{"Resources | summarize dcount(name)", maxGraphHeld + 1, "sorts or groups into more than"},
		{"Resources" + strings.Repeat(" | extend text = strcat(text, text)", 60) + " | project strlen(text)", 1, ""},
	} {
		q, err := ParseGraphQuery(c.query, graphNow)
		if err != nil {
			t.Fatal(err)
		}
		_, err = q.Run(many(c.rows), 0, 10)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.60s of %d: %v, want %q", c.query, c.rows, err, c.want)
		}
	}
	q, err := ParseGraphQuery("Resources | where name >= 10", graphNow)
	if err != nil {
		t.Fatal(err)
	}
	if page, err := q.Run(many(100), 80, 7); err != nil || page.Total != 90 || len(page.Rows) != 7 || page.Rows[0]["name"] != 90.0 {
		t.Errorf("a page: %+v, %v", page, err)
	}
}

func FuzzGraphQuery(f *testing.F) {
	for _, seed := range []string{
		"Resources | where type =~ 'a' and tags['x'].y[0] !in~ ('b', 1.5, null) | order by name asc nulls last, -id | take 3",
		"ContainerRegistryImages | summarize n = count(), sum(size) by registry, bin = iff(size > 1, 'x', @'y''') | top 5 by n",
		"where ago(7d) < datetime(2026-03-01) or not(x has 'y') | extend a = 1 + 2 * -3 % 4 / 0 | project-away a // end",
	} {
		f.Add(seed)
	}
	rows := graphRows(f)
	f.Fuzz(func(t *testing.T, query string) {
		q, err := ParseGraphQuery(query, graphNow)
		if err != nil {
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "line ") {
				t.Errorf("%q: %v says no place", query, err)
			}
			return
		}
		page, err := q.Run(over(rows), 0, 10)
		if err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		if _, err := json.Marshal(page.Rows); err != nil {
			t.Errorf("%q gives what is no JSON: %v", query, err)
		}
		if q.Types == nil {
			return
		}
		// Rows of other types change nothing, where only some are said to count.
		only := slices.DeleteFunc(slices.Clone(rows), func(r GraphRow) bool { return !slices.Contains(q.Types, r["type"].(string)) })
		fewer, err := q.Run(over(only), 0, 10)
		if err != nil || !cmp.Equal(page, fewer) {
			t.Errorf("%q reads types %q: %v\n%s", query, q.Types, err, cmp.Diff(page, fewer))
		}
	})
}
