package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// provider sends what Terraform's azurerm provider sends, in its order, and wants what it needs of the answers.
type provider struct {
	testing.TB
	http  *http.Client
	token string
}

const (
	tfHost     = "https://management.azure.com"
	tfRegistry = "/subscriptions/" + devSubscription + "/resourceGroups/acre/providers/Microsoft.ContainerRegistry/registries/tfregistry"
	tfNow      = "2025-11-01"
	tfRules    = "2023-07-01"         // of cache rules and credential sets
	tfTasks    = "2019-06-01-preview" // of tasks and agent pools
)

// send answers the status, the headers and the JSON of the body.
func (p *provider) send(method, path, version string, body any) (int, http.Header, object) {
	p.Helper()
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(must(json.Marshal(body))(p))
	}
	r := must(http.NewRequest(method, tfHost+path+"?api-version="+version, in))(p)
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	res := must(p.http.Do(r))(p)
	defer res.Body.Close()
	text := must(io.ReadAll(res.Body))(p)
	var out object
	if len(text) > 0 && string(text) != "null" {
		if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
			p.Errorf("%s %s: the body is %q", method, path, res.Header.Get("Content-Type"))
		}
		if err := json.Unmarshal(text, &out); err != nil {
			p.Fatalf("%s %s: %d %v in %s", method, path, res.StatusCode, err, text)
		}
	}
	return res.StatusCode, res.Header, out
}

type object = map[string]any

func (p *provider) want(status int, method, path, version string, body any) object {
	p.Helper()
	got, _, out := p.send(method, path, version, body)
	if got != status {
		p.Fatalf("%s %s: %d %v, want %d", method, path, got, out, status)
	}
	return out
}

// created makes a resource as the provider does: GET must answer 404, else it is to be imported; PUT; then what GET answers is
// what the plan compares with. What is done when it is answered says so, or the provider waits ten seconds.
func (p *provider) created(path, version string, body object) object {
	p.Helper()
	p.want(http.StatusNotFound, "GET", path, version, nil)
	status, header, out := p.send("PUT", path, version, body)
	if status != http.StatusOK && status != http.StatusCreated {
		p.Fatalf("PUT %s: %d %v", path, status, out)
	}
	if header.Get("X-Go-Azure-Sdk-Skip-Polling-Delay") != "true" || header.Get("Azure-AsyncOperation")+header.Get("Location") != "" {
		p.Errorf("PUT %s has the provider wait: %v", path, header)
	}
	return p.clean(path, version, body)
}

// clean holds that a second plan is empty: GET answers each member that was sent; and that what GET answers can be sent back
// whole and changes nothing, as connected registries and tasks are updated.
func (p *provider) clean(path, version string, sent object) object {
	p.Helper()
	got := p.want(http.StatusOK, "GET", path, version, nil)
	if as, _ := sent["identity"].(object); as["type"] == "None" {
		sent = maps.Clone(sent)
		delete(sent, "identity")
	}
	for _, diff := range differs(sent, got, "") {
		p.Errorf("%s is not as it was applied: %s", path, diff)
	}
	if !strings.EqualFold(fmt.Sprint(got["id"]), path) || !strings.Contains(fmt.Sprint(got["id"]), "/resourceGroups/acre/providers/Microsoft.ContainerRegistry/registries/") {
		p.Errorf("%s has the ID %v", path, got["id"])
	}
	return got
}

// resent sends a whole resource back as it was read.
func (p *provider) resent(path, version string) {
	p.Helper()
	before := p.want(http.StatusOK, "GET", path, version, nil)
	p.want(http.StatusOK, "PUT", path, version, before)
	after := p.want(http.StatusOK, "GET", path, version, nil)
	if diffs := differs(before["properties"], after["properties"], ""); len(diffs) > 0 {
		p.Errorf("%s changed as it was sent back: %v", path, diffs)
	}
}

// destroyed deletes as the provider does: whatever the answer says, the end is when GET answers 404; until then it answers 200,
// and a wait is spared only where nothing goes on.
func (p *provider) destroyed(path, version string) {
	p.Helper()
	status, header, _ := p.send("DELETE", path, version, nil)
	if status != http.StatusOK && status != http.StatusAccepted {
		p.Errorf("DELETE %s: %d", path, status)
	}
	gone := header.Get("X-Go-Azure-Sdk-Skip-Polling-Delay") == "true"
	within(p, time.Minute, func() error {
		if status, _, _ := p.send("GET", path, version, nil); status != http.StatusNotFound {
			if gone || status != http.StatusOK {
				p.Fatalf("GET %s after its end: %d", path, status)
			}
			return fmt.Errorf("%s is still there", path)
		}
		return nil
	})
	for range 5 {
		p.want(http.StatusNotFound, "GET", path, version, nil)
	}
}

// differs tells where an answer lacks what was sent, by the members that were sent.
func differs(sent, got any, path string) (out []string) {
	if o, ok := sent.(object); ok {
		back, _ := got.(object)
		for name, v := range o {
			out = append(out, differs(v, back[name], path+"."+name)...)
		}
		slices.Sort(out)
		return out
	}
	if list, ok := asJSON(sent).([]any); ok { // members of objects in lists, too
		back, _ := got.([]any)
		for i := range max(len(list), len(back)) {
			if i >= len(list) || i >= len(back) {
				return []string{fmt.Sprintf("%s: sent %v, read %v", path, sent, got)}
			}
			out = append(out, differs(list[i], back[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
		return out
	}
	if !reflect.DeepEqual(asJSON(sent), got) {
		out = append(out, fmt.Sprintf("%s: sent %v, read %v", path, sent, got))
	}
	return out
}

// asJSON is a value as JSON reads it.
func asJSON(v any) (out any) {
	text, _ := json.Marshal(v)     // made of JSON
	_ = json.Unmarshal(text, &out) // what was just written
	return out
}

func newProvider(t testing.TB, c *cloud) *provider {
	t.Helper()
	cred, _ := c.manager(t)
	p := &provider{TB: t, http: &http.Client{Transport: c.transport(t)}}
	// The provider asks for a token of the directory first, and reads who it is in it.
	must(cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}))(t)
	p.token = must(cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}}))(t).Token
	return p
}

// What the provider asks when it starts: the cloud, the locations, with two slashes, and the resource providers.
func TestTerraformStart(t *testing.T) {
	t.Parallel()
	p := newProvider(t, startCloud(t))
	cloud := p.want(http.StatusOK, "GET", "/metadata/endpoints", "2022-09-01", nil)
	for _, name := range []string{"name", "resourceManager", "microsoftGraphResourceId"} {
		if s, _ := cloud[name].(string); s == "" {
			t.Errorf("the cloud has no %s: %v", name, cloud)
		}
	}
	for _, version := range []string{"2018-01-01", "2018-01-01-preview"} {
		old := p.want(http.StatusOK, "GET", "//metadata/endpoints", version, nil)
		if ends, _ := old["cloudEndpoint"].(object); len(ends) == 0 {
			t.Logf("%s tells no locations: the provider leaves their validation out", version)
		}
	}
	p.want(http.StatusOK, "GET", "//subscriptions/"+devSubscription, "2022-12-01", nil)
	providers := p.want(http.StatusOK, "GET", "/subscriptions/"+devSubscription+"/providers", "2022-09-01", nil)
	if !strings.Contains(fmt.Sprint(providers), "Microsoft.ContainerRegistry") {
		t.Errorf("%v", providers)
	}
	p.want(http.StatusOK, "POST", "/subscriptions/"+devSubscription+"/providers/Microsoft.ContainerRegistry/register", "2022-09-01", nil)
}

// Apply, plan, apply again and destroy, of every resource of a registry that the provider has.
func TestTerraform(t *testing.T) {
	t.Parallel()
	p := newProvider(t, startCloud(t))
	reg := object{
		"location": "eastus", "identity": object{"type": "None"},
		"tags": object{"a": "b"}, "sku": object{"name": "Premium", "tier": "Premium"},
		"properties": object{
			"adminUserEnabled": true, "anonymousPullEnabled": false, "dataEndpointEnabled": true, "networkRuleBypassOptions": "AzureServices",
			"publicNetworkAccess": "Enabled", "zoneRedundancy": "Disabled",
			"policies": object{"exportPolicy": object{"status": "enabled"}, "quarantinePolicy": object{"status": "disabled"}, "retentionPolicy": object{}, "trustPolicy": object{"status": "disabled"}},
		},
	}
	made := p.created(tfRegistry, tfNow, reg)
	properties := made["properties"].(object)
	for _, name := range []string{"publicNetworkAccess", "zoneRedundancy", "adminUserEnabled"} { // read without a look
		if properties[name] == nil {
			t.Errorf("the registry has no %s", name)
		}
	}
	read := func() {
		p.want(http.StatusOK, "POST", tfRegistry+"/listCredentials", tfNow, nil)
		all, _ := p.want(http.StatusOK, "GET", tfRegistry+"/replications", tfNow, nil)["value"].([]any)
		if len(all) == 0 || all[0].(object)["properties"].(object)["zoneRedundancy"] == nil {
			t.Errorf("replications: %v", all)
		}
	}
	read()
	p.want(http.StatusOK, "PATCH", tfRegistry, tfNow, object{"sku": object{"name": "Premium", "tier": "Premium"}})
	p.want(http.StatusOK, "PATCH", tfRegistry, tfNow, object{"tags": object{"a": "c"}, "properties": reg["properties"]})
	reg["tags"] = object{"a": "c"}
	p.clean(tfRegistry, tfNow, reg)
	p.resent(tfRegistry, tfNow)

	undo := p.children(tfRegistry)
	read()
	for _, one := range slices.Backward(undo) {
		p.destroyed(one[0], one[1])
	}
	p.destroyed(tfRegistry, tfNow)
}

// children applies what lies in a registry, in the order of what refers to what, and answers the paths and versions.
func (p *provider) children(reg string) (made [][2]string) {
	p.Helper()
	apply := func(path, version string, body object) object {
		p.Helper()
		made = append(made, [2]string{reg + path, version})
		return p.created(reg+path, version, body)
	}
	in := func(properties object) object { return object{"properties": properties} }
	apply("/scopeMaps/tfscopes", tfNow, in(object{"description": "of Terraform", "actions": []string{"repositories/app/content/read", "repositories/app/metadata/read", "gateway/tfconnected/config/read"}}))
	p.password(reg, apply("/tokens/tftoken", tfNow, in(object{"scopeMapId": reg + "/scopeMaps/tfscopes", "status": "enabled"})))
	hook := object{"location": "eastus", "tags": object{}, "properties": object{"actions": []string{"push"}, "scope": "", "status": "enabled"}}
	p.want(http.StatusNotFound, "GET", reg+"/webhooks/tfhook", tfNow, nil)
	with := object{"location": "eastus", "tags": object{}, "properties": object{"actions": []string{"push"}, "scope": "", "status": "enabled", "serviceUri": "https://ci.example.com/hook", "customHeaders": object{}}}
	p.want(http.StatusCreated, "PUT", reg+"/webhooks/tfhook", tfNow, with)
	p.clean(reg+"/webhooks/tfhook", tfNow, hook)
	if to := p.want(http.StatusOK, "POST", reg+"/webhooks/tfhook/getCallbackConfig", tfNow, nil); to["serviceUri"] != "https://ci.example.com/hook" {
		p.Errorf("%v", to)
	}
	made = append(made, [2]string{reg + "/webhooks/tfhook", tfNow})
	place := object{"location": "westeurope", "tags": object{}, "properties": object{"regionEndpointEnabled": true, "zoneRedundancy": "Disabled"}}
	apply("/replications/westeurope", tfNow, place)
	place["tags"] = object{"a": "b"}
	p.want(http.StatusOK, "PUT", reg+"/replications/westeurope", tfNow, place) // changed by PUT, too
	p.clean(reg+"/replications/westeurope", tfNow, place)
	secret := "https://v.vault.azure.net/secrets/"
	set := apply("/credentialSets/tfset", tfRules, object{"identity": object{"type": "SystemAssigned"}, "properties": object{"loginServer": "docker.io", "authCredentials": []object{{
		"name": "Credential1", "usernameSecretIdentifier": secret + "user", "passwordSecretIdentifier": secret + "pass",
	}}}})
	if principal, _ := set["identity"].(object)["principalId"].(string); principal == "" {
		p.Errorf("the credential set has no principal: %v", set)
	}
	apply("/cacheRules/tfrule", tfRules, in(object{"sourceRepository": "docker.io/library/ubuntu", "targetRepository": "ubuntu", "credentialSetResourceId": reg + "/credentialSets/tfset"}))
	apply("/connectedRegistries/tfconnected", tfNow, in(object{
		"mode": "ReadWrite", "clientTokenIds": []string{}, "notificationsList": []string{}, "logging": object{"auditLogStatus": "Disabled", "logLevel": "None"},
		"parent": object{"syncProperties": object{"tokenId": reg + "/tokens/tftoken", "messageTtl": "P1D", "schedule": "* * * * *"}},
	}))
	p.resent(reg+"/connectedRegistries/tfconnected", tfNow)
	apply("/agentPools/tfpool", tfTasks, object{"location": "eastus", "tags": object{}, "properties": object{"count": 1, "os": "Linux", "tier": "S1"}})
	task := apply("/tasks/tftask", tfTasks, object{"location": "eastus", "tags": object{}, "properties": object{
		"status": "Enabled", "isSystemTask": false, "timeout": 3600, "platform": object{"os": "Linux", "architecture": "amd64"},
		"step": object{"type": "Docker", "dockerFilePath": "Dockerfile", "contextPath": "https://github.com/acme/app.git", "imageNames": []string{"app:v1"}, "isPushEnabled": true, "noCache": false},
	}})
	if task["properties"].(object)["status"] == nil {
		p.Errorf("the task has no status: %v", task)
	}
	p.resent(reg+"/tasks/tftask", tfTasks)
	return made
}

// password makes, reads and takes away a token's passwords. The first answer has them, and no URL to poll.
func (p *provider) password(reg string, tok object) {
	p.Helper()
	at := reg + "/tokens/tftoken"
	if list, ok := tok["properties"].(object)["credentials"].(object)["passwords"].([]any); !ok || len(list) != 0 {
		p.Errorf("a new token has %v", tok["properties"])
	}
	names := func() (out []string) {
		list, _ := p.want(http.StatusOK, "GET", at, tfNow, nil)["properties"].(object)["credentials"].(object)["passwords"].([]any)
		for _, one := range list {
			out = append(out, fmt.Sprint(one.(object)["name"]))
		}
		return out
	}
	for i, name := range []string{"password1", "password2"} {
		status, header, got := p.send("POST", reg+"/generateCredentials", tfNow, object{"tokenId": tok["id"], "name": name})
		list, _ := got["passwords"].([]any)
		if status != http.StatusOK || header.Get("Location") != "" || len(list) != i+1 {
			p.Fatalf("%d %v", status, got)
		}
		for j, one := range list {
			if value, _ := one.(object)["value"].(string); (value != "") != (i == j) {
				p.Errorf("%s: the value of entry %d is %q", name, j, value)
			}
		}
	}
	if got := names(); strings.Join(got, " ") != "password1 password2" {
		p.Errorf("%v", got)
	}
	p.want(http.StatusOK, "PATCH", at, tfNow, object{"properties": object{"credentials": object{"passwords": []object{{"name": "password1"}}}}})
	if got := names(); strings.Join(got, " ") != "password1" {
		p.Errorf("%v", got)
	}
}
