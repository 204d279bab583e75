package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// A flag that takes several values takes them behind its letter too.
func TestWordsBehindLetters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"-a x y -n z", "x y|z"}, {"--artifacts x y -n z", "x y|z"}, {"-a=x -n z", "x|z"}, {"-n z -a x", "x|z"}, {"-n z", "|z"},
	} {
		var list []string
		var name string
		cmd := &cobra.Command{Use: "run", RunE: func(*cobra.Command, []string) error { return nil }}
		cmd.Flags().VarP(words{&list}, "artifacts", "a", "")
		cmd.Flags().StringVarP(&name, "name", "n", "", "")
		cmd.SetArgs(joinWords(cmd, strings.Fields(tt.args)))
		if err := cmd.Execute(); err != nil || strings.Join(list, " ")+"|"+name != tt.want {
			t.Errorf("%s: %q and %q, %v", tt.args, list, name, err)
		}
	}
}

func TestChangedList(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		list, add, remove, want []string
		changed                 bool
	}{
		"nothing":  {list: []string{"a"}, want: []string{"a"}},
		"add":      {list: []string{"a"}, add: []string{"b", "A"}, want: []string{"a", "b"}, changed: true},
		"remove":   {list: []string{"a", "b"}, remove: []string{"A", "c"}, want: []string{"b"}, changed: true},
		"the last": {list: []string{"a"}, remove: []string{"a"}, want: []string{}, changed: true},
	} {
		got, changed, err := changedList("--x and --y", tt.list, tt.add, tt.remove)
		if err != nil || changed != tt.changed || !slices.Equal(got, tt.want) || got == nil {
			t.Errorf("%s: %v, %t, %v", name, got, changed, err)
		}
	}
	if _, _, err := changedList("--x and --y", nil, []string{"r/tokens/a"}, []string{"r/tokens/A"}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "--x and --y both name a") {
		t.Errorf("both: %v", err)
	}
}

// Each stands before those below it; a parent that is not there ends the way up.
func TestConnectedTree(t *testing.T) {
	t.Parallel()
	of := func(name, parent string) object {
		o := object{"name": name, "parent": object{}}
		if parent != "" {
			o["parent"] = object{"id": "/r/connectedRegistries/" + parent}
		}
		return o
	}
	tree := connectedTree{of("b", ""), of("a", ""), of("b1", "B"), of("b2", "b"), of("b11", "b1"), of("lost", "gone")}
	names := func(list connectedTree) string {
		out := []string{}
		for _, o := range list {
			out = append(out, text(o, "name"))
		}
		return strings.Join(out, " ")
	}
	for _, tt := range []struct{ got, want string }{
		{names(tree.below("", true)), "b b1 b11 b2 a"}, {names(tree.below("", false)), "b a"}, {names(tree.below("b", true)), "b1 b11 b2"},
		{names(tree.above("b11")), "b1 b"}, {names(tree.above("b")), ""}, {names(tree.above("lost")), ""}, {names(tree.above("nobody")), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
