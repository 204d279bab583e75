package client_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/client"
)

func TestParseConnection(t *testing.T) {
	t.Parallel()
	whole := client.Connection{
		Login: "myreg", Password: "p@ss", Server: "myreg.azurecr.io", SubscriptionID: "s", ResourceGroup: "rg1",
		ManagedIdentityClientID: "m", WorkloadIdentityTenantID: "w",
	}
	const extra = "subscription_id=s&resource_group=rg1&managed_identity_client_id=m&workload_identity_tenant_id=w"
	for name, c := range map[string]struct {
		text string
		want client.Connection
	}{
		"URI":                   {"azure-container-registry://myreg:p%40ss@myreg.azurecr.io/?" + extra, whole},
		"URI, upper case":       {"azure_container_registry://myreg:p%40ss@MyReg.azurecr.io?" + extra, whole},
		"URI, __extra__":        {"azure-container-registry://myreg@myreg.azurecr.io/?__extra__=%7B%22subscription_id%22%3A%22s%22%7D", client.Connection{Login: "myreg", Server: "myreg.azurecr.io", SubscriptionID: "s"}},
		"URI, port":             {"azure-container-registry://myreg@localhost:5000", client.Connection{Login: "myreg", Server: "localhost:5000"}},
		"URI, prefixed extras":  {"azure-container-registry://a@b?extra__azure_container_registry__resource_group=old", client.Connection{Login: "a", Server: "b", ResourceGroup: "old"}},
		"URI, the short wins":   {"azure-container-registry://a@b?resource_group=new&extra__azure_container_registry__resource_group=old", client.Connection{Login: "a", Server: "b", ResourceGroup: "new"}},
		"URI, empty is not set": {"azure-container-registry://a@b?resource_group=&extra__azure_container_registry__resource_group=old", client.Connection{Login: "a", Server: "b", ResourceGroup: "old"}},
		"URI, nothing":          {"azure-container-registry://", client.Connection{}},
		"JSON":                  {`{"conn_type":"azure_container_registry","login":"a","password":"b","host":"h","port":8443,"description":"d","extra":{"resource_group":"g","other":1}}`, client.Connection{Login: "a", Password: "b", Server: "h:8443", Description: "d", ResourceGroup: "g"}},
		"JSON, extra as string": {`{"login":"a","host":"h:1","extra":"{\"subscription_id\":\"s\"}","schema":""}`, client.Connection{Login: "a", Server: "h:1", SubscriptionID: "s"}},
		"JSON, nothing":         {` {} `, client.Connection{}},
	} {
		got, err := client.ParseConnection(c.text)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestParseConnectionRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                             "neither a JSON object nor a URI",
		"myreg.azurecr.io":                             "neither a JSON object nor a URI",
		"azure-container-registry://a://b://c":         "neither a JSON object nor a URI",
		"postgres://a:b@c":                             `connection type "postgres"`,
		`{"conn_type":"aws"}`:                          `connection type "aws"`,
		`{"login":1}`:                                  "no valid JSON",
		`{"host":"h","port":"x"}`:                      "port",
		`{"extra":"[1]"}`:                              "extra of the connection is no JSON object",
		"azure-container-registry://a:p%zz@b":          "no valid URI",
		"azure-container-registry://a@b?x=%zz":         "a query that is not valid",
		`{"host":"evil@h","login":"a"}`:                "no host[:port]",
		"azure-container-registry://a:p#q@b":           "no valid URI",
		"azure-container-registry://a:%ff@b":           "no UTF-8",
		`{"password":"p","host":"h"}`:                  "a password and no login",
		"{" + strings.Repeat(" ", 70<<10) + `"a":"b"}`: "at most",
	} {
		got, err := client.ParseConnection(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseConnection(%.60q) = %+v, %v; want an error that says %q", text, got, err, want)
		}
	}
}

// What is taken is written, in both forms, as something that means the same, and no error shows the password.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		"azure-container-registry://myreg:p%40ss@myreg.azurecr.io/?subscription_id=s&resource_group=g", `{"login":"a","host":"h","port":"1","extra":"{}"}`,
		"azure-container-registry://", "{}", "azure-container-registry://a:b@[::1]:5000/x?y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := client.ParseConnection(s)
		if err != nil {
			return
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again client.Connection
		if err := json.Unmarshal(text, &again); err != nil || again != c {
			t.Errorf("%q is written as %s, which means %+v, %v", s, text, again, err)
		}
		if !strings.HasPrefix(s, "{") { // a server of JSON may be what no URI can hold
			c.Description = ""
			if again, err = client.ParseConnection(c.URI()); err != nil || again != c {
				t.Errorf("%q is written as %s, which means %+v, %v", s, c.URI(), again, err)
			}
		}
	})
}
