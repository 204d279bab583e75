package acr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sku string
		anonymous bool
		ok        bool
	}{
		{"demo1", "Basic", false, true},
		{"Demo12345", "Premium", true, true},
		{"acre", "Premium", true, true}, // the product's own
		{strings.Repeat("a", 50), "Standard", true, true},
		{strings.Repeat("a", 51), "Standard", true, false},
		{"Acre", "Premium", false, false},
		{"demo", "Premium", false, false},
		{"", "Premium", false, false},
		{"my-registry", "Premium", false, false},
		{"Login", "Premium", false, false}, // a host of the server's own
		{"graph", "Premium", false, false},
		{"management", "Premium", false, false},
		{"registré", "Premium", false, false},
		{"../../x", "Premium", false, false},
		{"demo1", "premium", false, false},
		{"demo1", "", false, false},
		{"demo1", "Basic", true, false},
	} {
		r := acr.Registry{Name: tt.name, SKU: tt.sku, AnonymousPullEnabled: tt.anonymous}
		err := r.Validate()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", r, err)
		}
		if r.Key() != strings.ToLower(tt.name) {
			t.Errorf("key %q of %q", r.Key(), tt.name)
		}
	}
}
