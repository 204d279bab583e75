package controlplane

import (
	"testing"

	"github.com/acre-registry/acre/internal/fault"
)

// Every kind has its place in the column.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		to, ok := statuses[k]
		if !ok || to.status < 400 || to.status > 599 || to.code == "" {
			t.Errorf("%v is answered with %d %q", k, to.status, to.code)
		}
	}
	for text, want := range map[string]string{`a "quoted"` + "\r\n" + `te\xt ü`: `a  quoted   te xt  `, "plain": "plain"} {
		if got := quotable(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string][]term{
		"":                                  nil,
		"resourceType eq 'a/b'":             {{"resourcetype", "a/b"}},
		"name eq 'it''s' and atScope()":     {{"name", "it's"}, {"atscope", ""}},
		"assignedTo( 'x' ) AND type EQ 'y'": {{"assignedto", "x"}, {"type", "y"}},
	} {
		got, err := terms(filter)
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: %v, %v", filter, got, err)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q: %v, want %v", filter, got, want)
			}
		}
	}
	for _, bad := range []string{"x", "x eq", "x eq y", "x eq 'y", "x ne 'y'", "x eq 'y' or z eq 'w'", "x eq 'y' and", "f(", "f('x'", " and x eq 'y'"} {
		if got, err := terms(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// No filter makes it fail other than by an error.
func FuzzTerms(f *testing.F) {
	for _, s := range []string{"name eq 'a' and atScope()", "assignedTo('x')", "''", "a eq ''''", "("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := terms(s)
		for _, one := range list {
			if one.name == "" {
				t.Errorf("%q: %v, %v", s, list, err)
			}
		}
	})
}
