package test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

// list is what a client of the registry sees with a credential.
func (c *cloud) list(t testing.TB, cred azcore.TokenCredential, opt policy.ClientOptions) []string {
	t.Helper()
	client, err := azcontainerregistry.NewClient("https://"+cloudHost, cred, &azcontainerregistry.ClientOptions{ClientOptions: opt})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for pager := client.NewListRepositoriesPager(nil); pager.More(); {
		page, err := pager.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page.Names {
			names = append(names, *n)
		}
	}
	return names
}

// Microsoft's Go clients sign in with each kind of credential and list repositories.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	c.hostIdentity(t)
	opt := policy.ClientOptions{Transport: &http.Client{Transport: c.transport(t)}}
	seen := func(t *testing.T, cred azcore.TokenCredential, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.list(t, cred, opt); strings.Join(got, " ") != "team/app" {
			t.Errorf("repositories: %v", got)
		}
	}
	t.Run("secret", func(t *testing.T) {
		cred, err := azidentity.NewClientSecretCredential(devTenant, devOwner, devSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: opt})
		seen(t, cred, err)
	})
	t.Run("wrong secret", func(t *testing.T) {
		cred, err := azidentity.NewClientSecretCredential(devTenant, devOwner, "wrong", &azidentity.ClientSecretCredentialOptions{ClientOptions: opt})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cred.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://containerregistry.azure.net/.default"}}); err == nil || !strings.Contains(err.Error(), "AADSTS7000215") {
			t.Errorf("a wrong secret: %v", err)
		}
	})
	t.Run("managed identity", func(t *testing.T) {
		cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: opt})
		seen(t, cred, err)
	})
}

// A certificate proves a service principal to Microsoft's Go client, with and without its chain sent along.
func TestGoSDKCertificate(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	s := c.cli(t)
	var sp principal
	out := s.run(c.acre, "ad", "sp", "create-for-rbac", "--name", "signer", "--create-cert", "--role", "AcrPull", "--scopes", cloudID, "--only-show-errors", "-o", "json")
	if err := json.Unmarshal([]byte(out), &sp); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if info := must(os.Stat(sp.File))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("the private key's file has mode %o", info.Mode().Perm())
	}
	own := s.with("ACRE_CONFIG_DIR=" + s.path("signer"))
	own.run(c.acre, "login", "--service-principal", "-u", sp.AppID, "--certificate", sp.File, "--tenant", devTenant)
	certs, key, err := azidentity.ParseCertificates(must(os.ReadFile(sp.File))(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	opt := policy.ClientOptions{Transport: &http.Client{Transport: c.transport(t)}}
	for _, chain := range []bool{false, true} {
		cred, err := azidentity.NewClientCertificateCredential(devTenant, sp.AppID, certs, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: opt, SendCertificateChain: chain})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.list(t, cred, opt); strings.Join(got, " ") != "team/app" {
			t.Errorf("chain sent %t: repositories %v", chain, got)
		}
	}
}

// What Microsoft's Go client finds by itself: a secret in the environment, and az.
func TestGoSDKEnvironment(t *testing.T) { // not in parallel, for it sets the environment
	c := startCloud(t)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	opt := policy.ClientOptions{Transport: &http.Client{Transport: c.transport(t)}}
	t.Run("default chain", func(t *testing.T) {
		t.Setenv("AZURE_TENANT_ID", devTenant)
		t.Setenv("AZURE_CLIENT_ID", devOwner)
		t.Setenv("AZURE_CLIENT_SECRET", devSecret)
		cred, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: opt})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.list(t, cred, opt); strings.Join(got, " ") != "team/app" {
			t.Errorf("repositories: %v", got)
		}
	})
	t.Run("azure cli", func(t *testing.T) {
		root := must(filepath.Abs(".."))(t)
		program := filepath.Join(root, ".cache/az/bin/az")
		if _, err := os.Stat(program); err != nil {
			missing(t, "%s is not installed: run scripts/install-test-tools.sh", program)
		}
		a := newAz(t, c, program, false).asOwner()
		script := "#!/bin/sh\nexport"
		for _, v := range a.env {
			name, value, _ := strings.Cut(v, "=")
			script += " " + name + "='" + value + "'"
		}
		a.write("bin/az", script+"\nexec "+program+" \"$@\"\n")
		if err := os.Chmod(a.path("bin/az"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", a.path("bin")+":"+os.Getenv("PATH"))
		cred, err := azidentity.NewAzureCLICredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.list(t, cred, opt); strings.Join(got, " ") != "team/app" {
			t.Errorf("repositories: %v", got)
		}
	})
}

// Microsoft's Python and JavaScript clients do the same.
func TestOtherSDKs(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	if _, _, err := c.admin(t).pushImage("team/app", "v1", []byte("a layer")); err != nil {
		t.Fatal(err)
	}
	c.hostIdentity(t)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"python": {filepath.Join(root, ".cache/sdk/bin/python"), filepath.Join(root, "test/python/login.py")},
		"js":     {"node", filepath.Join(root, "test/js/login.mjs")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "python" {
				if _, err := os.Stat(command[0]); err != nil {
					missing(t, "%s is not installed: run scripts/install-test-tools.sh", command[0])
				}
			}
			need(t, "node")
			s := c.shell(t).with("AZURE_TENANT_ID="+devTenant, "AZURE_CLIENT_ID="+devOwner, "AZURE_CLIENT_SECRET="+devSecret,
				"NODE_PATH="+filepath.Join(root, ".cache/js/node_modules"))
			for _, mode := range []string{"secret", "default", "managed"} {
				s := s
				if mode == "managed" {
					s = s.with("AZURE_CLIENT_ID=", "AZURE_CLIENT_SECRET=", "AZURE_TENANT_ID=")
				}
				if got := s.run(command[0], append(command[1:], mode)...); got != "team/app" {
					t.Errorf("%s, %s: %q", name, mode, got)
				}
			}
		})
	}
}
