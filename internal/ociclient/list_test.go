package ociclient_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/ociclient"
)

// shelf answers tags/list in its own order, in pages of at most size, with links of that form; "" = without.
func shelf(names []string, size int, link string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil || n > size {
			n = size
		}
		from := slices.Index(names, r.URL.Query().Get("last")) + 1
		end := min(from+n, len(names))
		if end < len(names) && link != "" {
			w.Header().Set("Link", fmt.Sprintf(link, "?last="+names[end-1]+"&n="+strconv.Itoa(n)))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "app", "tags": names[from:end]}) // a test's own connection
	}
}

func acr(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ms-Correlation-Request-Id", "1")
		h(w, r)
	}
}

func allTags(t *testing.T, c *ociclient.Client, limit int) []string {
	t.Helper()
	var out []string
	p := oci.Page{Limit: limit}
	for {
		names, more, err := c.Tags(t.Context(), "app", p)
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, names...); !more {
			return out
		}
		if len(names) == 0 {
			t.Fatal("a further page after an empty one")
		}
		p.After = names[len(names)-1]
	}
}

func TestTagsOfAnyRegistry(t *testing.T) {
	t.Parallel()
	sorted := []string{"B", "a", "a-b", "b", "c"}
	for name, h := range map[string]http.HandlerFunc{
		"ACR":                       acr(shelf(sorted, 100, `<%s>; rel="next"`)),
		"ACR that gives less":       acr(shelf(sorted, 1, `</v2/app/tags/list%s>; rel="next"`)),
		"no pages":                  shelf(sorted, 100, ""),
		"letters before case":       shelf([]string{"a", "a-b", "B", "b", "c"}, 100, `<%s>; rel="next"`),
		"that order, small pages":   shelf([]string{"a", "a-b", "B", "b", "c"}, 2, `<%s>; rel="next"`),
		"no order, link to a proxy": shelf([]string{"c", "a", "B", "b", "a-b"}, 2, `<https://proxy.invalid/v2/app/tags/list%s>; rel=next`),
		"other links first":         shelf(sorted, 2, `<%s>; rel="next"; title="x"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := far(t, h)
			for limit := 1; limit < 8; limit++ {
				if got := allTags(t, c, limit); !slices.Equal(got, sorted) {
					t.Errorf("pages of %d hold %q, want %q", limit, got, sorted)
				}
			}
		})
	}
}

func TestListsThatAreNone(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]fault.Reason{
		`{"tags":null}`:           nil,
		`{}`:                      nil,
		`{"tags":[]}`:             nil,
		`<html>`:                  fault.Upstream,
		`{"tags":"a"}`:            fault.Upstream,
		`{"tags":["b","a"]}`:      fault.Upstream, // ACR is in order
		`{"tags":["a","b","c"]}`:  fault.Upstream, // and keeps to n
		`{"tags":["0"],"more":1}`: fault.Upstream, // and to last
	} {
		c := far(t, acr(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		names, more, err := c.Tags(t.Context(), "app", oci.Page{After: "0", Limit: 2})
		if want != nil {
			wantFault(t, err, want)
		} else if err != nil || len(names) != 0 || more {
			t.Errorf("%s: %q, %t, %v; want nothing", body, names, more, err)
		}
	}
	c := far(t, func(w http.ResponseWriter, _ *http.Request) { // never ends
		w.Header().Set("Link", `</v2/app/tags/list?last=a>; rel="next"`)
		fmt.Fprint(w, `{"tags":["a"]}`)
	})
	_, _, err := c.Tags(t.Context(), "app", oci.Page{Limit: 2})
	wantFault(t, err, fault.Upstream)
	names, more, err := c.Tags(t.Context(), "app", oci.Page{Limit: 0})
	if len(names) != 0 || more || err != nil {
		t.Errorf("a page of none: %q, %t, %v", names, more, err)
	}
}

func TestReferrersByTag(t *testing.T) {
	t.Parallel()
	entry := func(c, artifactType string) string {
		return fmt.Sprintf(`{"mediaType":%q,"size":3,"digest":"sha256:%s","artifactType":%q}`, oci.TypeImage, strings.Repeat(c, 64), artifactType)
	}
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.TypeIndex,
		strings.Join([]string{entry("c", "x"), entry("a", "x"), entry("b", "y"), entry("d", "x")}, ","))
	c := far(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/app/manifests/"+oci.FallbackTag(someDigest) {
			w.Header().Set("Content-Type", oci.TypeIndex)
			fmt.Fprint(w, index)
			return
		}
		w.WriteHeader(404)
	})
	page, err := c.Referrers(t.Context(), "app", someDigest, "x", oci.Page{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Manifests) != 2 || !page.More || page.Manifests[0].Digest.Encoded()[0] != 'a' || page.Manifests[1].Digest.Encoded()[0] != 'c' {
		t.Errorf("first page %+v, more %t", page.Manifests, page.More)
	}
	page, err = c.Referrers(t.Context(), "app", someDigest, "x", oci.Page{After: string(page.Manifests[1].Digest), Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Manifests) != 1 || page.More || page.Manifests[0].Digest.Encoded()[0] != 'd' {
		t.Errorf("second page %+v, more %t", page.Manifests, page.More)
	}
	page, err = c.Referrers(t.Context(), "other", someDigest, "", oci.Page{Limit: 2})
	if err != nil || len(page.Manifests) != 0 || page.More {
		t.Errorf("without a referrers tag: %+v, %v", page, err)
	}
}

// A registry that ignores artifactType is filtered here.
func TestReferrersUnfiltered(t *testing.T) {
	t.Parallel()
	c := far(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"schemaVersion":2,"manifests":[{"digest":%q,"size":1,"artifactType":"a"},{"digest":%q,"size":1,"artifactType":"b"}]}`,
			someDigest, "sha256:"+strings.Repeat("cd", 32))
	})
	page, err := c.Referrers(t.Context(), "app", someDigest, "b", oci.Page{Limit: 10})
	if err != nil || len(page.Manifests) != 1 || page.Manifests[0].ArtifactType != "b" {
		t.Errorf("%+v, %v; want the one of type b", page, err)
	}
}
