package arm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

const registry = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/Demo"

func TestParseID(t *testing.T) {
	t.Parallel()
	id, err := arm.ParseID(registry + "/tokens/CI")
	want := arm.ID{Subscription: "s", Group: "g", Provider: arm.Provider, Types: []string{"registries", "tokens"}, Names: []string{"Demo", "CI"}}
	if diff := cmp.Diff(want, id); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if id.Type() != "registries/tokens" || id.Name() != "CI" || id.String() != registry+"/tokens/CI" {
		t.Errorf("%s, %s, %s", id.Type(), id.Name(), id)
	}
	if got := arm.Registry("s", "g", "Demo"); got.String() != registry {
		t.Errorf("Registry makes %s", got)
	}
	// However it is spelled, it is one resource.
	for _, s := range []string{
		strings.ToUpper(registry), strings.ToLower(registry), strings.TrimPrefix(registry, "/"), strings.Replace(registry, "resourceGroups", "resourcegroups", 1),
	} {
		id, err := arm.ParseID(s)
		if err != nil || id.Key() != strings.ToLower(registry) {
			t.Errorf("%s has the key %s, %v", s, id.Key(), err)
		}
	}
	for _, bad := range []string{
		"", "/", "registries/demo", "/subscriptions/s", "/subscriptions/s/resourceGroups/g",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry",
		"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries",
		registry + "/", registry + "/tokens", registry + "//x", "//" + registry,
		strings.Replace(registry, "/s/", "//", 1), strings.Replace(registry, "subscriptions", "subscription", 1),
		strings.Replace(registry, "providers", "provider", 1),
	} {
		if id, err := arm.ParseID(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("ParseID(%q) = %+v, %v; want Invalid", bad, id, err)
		}
	}
}

// What is taken prints as something that is taken and means the same.
func FuzzID(f *testing.F) {
	for _, s := range []string{registry, registry + "/tokens/ci", strings.ToUpper(registry), "", "////////", "a/b/c/d/e/f/g/h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := arm.ParseID(s)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := arm.ParseID(id.String())
		if diff := cmp.Diff(id, again); err != nil || diff != "" {
			t.Errorf("%q prints as %s: %v\n%s", s, id, err, diff)
		}
		if id.Name() == "" || id.Type() == "" || len(id.Types) != len(id.Names) {
			t.Errorf("%q gives %+v", s, id)
		}
	})
}
