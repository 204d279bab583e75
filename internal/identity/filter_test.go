package identity

import (
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
)

// What clients send, and what follows the grammar.
func TestFilter(t *testing.T) {
	t.Parallel()
	o := object{
		"displayName": "It's ours", "appId": "0000ac4e-0000-4000-8000-000000000003", "accountEnabled": true, "mail": nil,
		"servicePrincipalNames": []string{"0000ac4e-0000-4000-8000-000000000003", "api://ours"}, "identifierUris": []string{},
		"publicClient": object{"redirectUris": []string{"http://localhost"}},
	}
	for text, want := range map[string]bool{
		"displayName eq 'It''s ours'":                                                      true,
		"displayName eq 'it''s OURS'":                                                      true,
		"displayName eq 'It'":                                                              false,
		"startswith(displayName,'It')":                                                     true,
		"startsWith(displayName, 'it''s')":                                                 true,
		"startswith(displayName,'It''s ours and more')":                                    false,
		"servicePrincipalNames/any(c:c eq 'api://ours')":                                   true,
		"servicePrincipalNames/any(c:c eq 'api://other')":                                  false,
		"servicePrincipalNames/any(c:startswith(c,'api:'))":                                true,
		"identifierUris/any(s:s eq 'api://ours')":                                          false,
		"appId eq '0000AC4E-0000-4000-8000-000000000003' and startswith(displayName,'It')": true,
		"appId eq 0000ac4e-0000-4000-8000-000000000003":                                    true,
		"appId in ('x','0000ac4e-0000-4000-8000-000000000003')":                            true,
		"appId in ('x', 'y')":                                                              false,
		"accountEnabled eq true":                                                           true,
		"accountEnabled ne true":                                                           false,
		"mail eq null":                                                                     true,
		"mail ne null and displayName eq 'It''s ours'":                                     false,
		"not (mail eq null)":                                                               false,
		"not startswith(displayName,'x') and (accountEnabled eq false or mail eq null)":    true,
		"accountEnabled eq false and accountEnabled eq false or mail eq null":              true,
		"publicClient/redirectUris/any(u:u eq 'http://localhost')":                         true,
		"nothing eq 'x'":                                                                   false,
		"displayName eq ''":                                                                false,
	} {
		f, err := parseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if f.holds(o) != want {
			t.Errorf("%s: %t, want %t", text, !want, want)
		}
	}
	if f, err := parseFilter("  "); f != nil || err != nil {
		t.Errorf("an empty filter is %v, %v", f, err)
	}
}

func TestFilterKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"appId eq 'a'": "a",
		"startswith(displayName,'x') and APPID eq 'a'":     "a",
		"(appId eq 'a' and displayName eq 'b') and x ne 1": "a",
		"appId eq 'a' or appId eq 'b'":                     "",
		"not (appId eq 'a')":                               "",
		"appId in ('a','b')":                               "",
	} {
		f, err := parseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.key("appId"); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"displayName", "displayName eq", "displayName eq 'x", "displayName is 'x'", "eq 'x'", "displayName eq 'x' and", "(a eq 'b'", "a eq 'b')",
		"startswith(displayName)", "startswith displayName", "a in 'x'", "a in ('x'", "a in ()", "names/all(c:c eq 'x')", "names/any(c:d eq 'x')",
		"names/any(c c eq 'x')", "names/any(c:c eq 'x' or c eq 'y')", "'x' eq a", "a eq (", "a eq 'b' 'c'", "'", ",",
		strings.Repeat("(", 100) + "a eq 'b'", strings.Repeat("not ", 100) + "a eq 'b'", "a eq '" + strings.Repeat("x", maxFilter) + "'",
	} {
		if f, err := parseFilter(text); !errors.Is(err, fault.Invalid) {
			t.Errorf("%.60s: %v, %v", text, f, err)
		}
	}
}

// No text makes the parser or the filter panic, and what it reads it can apply.
func FuzzFilter(f *testing.F) {
	f.Add("startswith(displayName,'It''s') and not (a/any(x:x eq 'y') or b in ('c',d))")
	o := object{"displayName": "x", "a": []string{"y"}, "b": nil, "c": object{"d": true}}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFilter(text)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if got != nil {
			got.holds(o)
			got.key("a")
		}
	})
}
