package ocitest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

var listCases = []testCase{
	{"list/tags", listTags},
	{"list/repositories", listRepositories},
	{"list/nothing", listNothing},
	{"list/untagged", listUntagged},
}

// walk reads pages of random size from a random place on, one of all or of between, and wants exactly the names of
// all, which is in byte order, that come after it.
func walk(t *rapid.T, all, between []string, page func(oci.Page) ([]string, bool, error)) {
	p := oci.Page{After: rapid.SampledFrom(slices.Concat([]string{""}, between, all)).Draw(t, "after")}
	from, found := slices.BinarySearch(all, p.After)
	if found {
		from++
	}
	want, got := all[from:], []string{}
	for more := true; more; {
		p.Limit = rapid.IntRange(1, len(all)+2).Draw(t, "limit")
		names, further, err := page(p)
		if err != nil {
			t.Fatalf("page %+v: %v", p, err)
		}
		if len(names) > p.Limit || further && len(names) == 0 {
			t.Fatalf("page %+v: %d names, more = %t", p, len(names), further)
		}
		if got, more = append(got, names...), further; more {
			p.After = names[len(names)-1]
		}
		if len(got) > len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("pages hold %q, want %q", got, want)
	}
}

func listTags(s *suite) {
	all := []string{"B", "Z9", "_", "_a", "a", "a-b", "a.b", "a0", "aB", "a_b", "b", "latest", "v1", "v1.0", "v1.10", "v1.2", "v10", "v2", "z"}
	m := s.image("app", "one")
	for i := range all { // not in order, all on one manifest
		s.put("app", oci.Ref{Tag: all[(i*7)%len(all)]}, m)
	}
	s.tagged("ap", "other", "two")
	s.tagged("app/x", "further", "three")
	s.list(s.tags("app"), "tags", all...)
	rapid.Check(s.T, func(t *rapid.T) {
		walk(t, all, []string{"A", "a-a", "az", "zz"}, func(p oci.Page) ([]string, bool, error) { return s.reg.Tags(s.ctx, "app", p) })
	})
}

func listRepositories(s *suite) {
	all := []string{
		"0", "a", "a--b", "a-b", "a.b", "a/b", "a/b/c", "a0", "a__b", "a_b", "ab", "b", "library/app", "library/app-x", "library/app/x", "z/9",
	}
	for i := range all {
		s.tagged(all[(i*7)%len(all)], "v1", "one")
	}
	s.list(s.repositories(), "repositories", all...)
	rapid.Check(s.T, func(t *rapid.T) {
		walk(t, all, []string{"00", "a-a", "az", "zz"}, func(p oci.Page) ([]string, bool, error) { return s.reg.Repositories(s.ctx, p) })
	})
}

func listNothing(s *suite) {
	s.list(s.repositories(), "repositories of an empty registry")
	_, _, err := s.reg.Tags(s.ctx, "nowhere", oci.Page{Limit: 10})
	s.fails(err, fault.NameUnknown, "tags of an unknown repository")
	for i := range 3 {
		s.tagged("app", fmt.Sprint(i), "one")
	}
	names, more, err := s.reg.Tags(s.ctx, "app", oci.Page{After: "zz", Limit: 10})
	s.ok(err, "tags after the last")
	if len(names) != 0 || more {
		s.Errorf("tags after the last: %q, more = %t", names, more)
	}
	names, more, err = s.reg.Tags(s.ctx, "app", oci.Page{Limit: 3})
	s.ok(err, "tags, as many as there are")
	if len(names) != 3 || more {
		s.Errorf("tags, as many as there are: %q, more = %t", names, more)
	}
}

func listUntagged(s *suite) {
	s.untagged("app", s.image("app", "one"))
	s.list(s.tags("app"), "tags of a repository without one")
	s.list(s.repositories(), "repositories", "app")
}
