package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
)

// devRun runs a verb of acre dev and gives what it prints.
func devRun(t *testing.T, b *bench, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Main(context.Background(), Options{Args: append([]string{"dev"}, args...), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(k string) string { return b.env[k] }})
	return code, stdout.String(), stderr.String()
}

// devServer has the data directory say that a server with the well-known credentials listens.
func devServer(t *testing.T, b *bench, f far) {
	t.Helper()
	dir := filepath.Join(b.home, "data")
	b.env["ACRE_DATA"] = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"http":%q,"https":%q,"dev":true}`, f.plain.Listener.Addr(), f.secure.Listener.Addr())
	if err := os.WriteFile(filepath.Join(dir, "acre.addr"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The variables are those of the proxy that runs, in the words of each shell, for each client; none runs, none are printed.
func TestDevEnv(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFar(t, b)
	devServer(t, b, f)
	if code, _, said := devRun(t, b, "env"); code != 1 || !strings.Contains(said, "acre dev exec") {
		t.Errorf("without a proxy: %d, %s", code, said)
	}
	env, _ := startProxy(t, b, "dev", "proxy")
	for shell, want := range map[string]string{
		"sh": "export HTTPS_PROXY='" + env["HTTPS_PROXY"] + "'\n", "fish": "set -gx HTTPS_PROXY '" + env["HTTPS_PROXY"] + "'\n", "github": "\nNO_PROXY=\n",
		"powershell": "Remove-Item Env:NO_PROXY -ErrorAction Ignore\n",
	} {
		if code, out, said := devRun(t, b, "env", "--shell", shell); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d, %s%s, want %q", shell, code, out, said, want)
		}
	}
	for client, want := range map[string][]string{
		"az": {"AZURE_CONFIG_DIR", "REQUESTS_CA_BUNDLE"}, "sdk": {"AZURE_CLIENT_SECRET", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"}, "terraform": {"ARM_CLIENT_ID", "SSL_CERT_FILE"},
		"airflow": {"AIRFLOW_CONN_AZURE_CONTAINER_REGISTRY_DEFAULT", "AZURE_TENANT_ID"}, "zenml": {"AZURE_CLIENT_ID", "REQUESTS_CA_BUNDLE"}, "docker": {"SSL_CERT_FILE"}, "curl": {"CURL_CA_BUNDLE"},
	} {
		code, out, said := devRun(t, b, "env", "--for", client, "--shell", "json")
		var got map[string]*string
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got["HTTPS_PROXY"] == nil || *got["HTTPS_PROXY"] != env["HTTPS_PROXY"] || got["NO_PROXY"] != nil {
			t.Errorf("%s: %d, %v, %s%s", client, code, err, out, said)
		}
		for _, name := range want {
			if got[name] == nil || *got[name] == "" {
				t.Errorf("%s has no %s: %s", client, name, out)
			}
		}
	}
	if _, out, _ := devRun(t, b, "env", "--for", "az", "--user-profile"); strings.Contains(out, "AZURE_CONFIG_DIR") {
		t.Error("az is to use the user's own folder, and gets another")
	}
	for _, args := range [][]string{{"env", "--for", "cobol"}, {"env", "--shell", "dos"}, {"exec"}, {"exec", "az"}} {
		if code, _, said := devRun(t, b, args...); code != 2 {
			t.Errorf("%v: %d, %s", args, code, said)
		}
	}
}

// A command runs with everything set, ends as it ends, and az is signed in before it, in a folder that is not the user's.
func TestDevExec(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	devServer(t, b, newFar(t, b))
	if code, _, said := devRun(t, b, "exec", "--", "sh", "-c", `test -n "$HTTPS_PROXY" && test "$AZURE_CLIENT_ID" = `+acr.DevOwner+` && test -z "$NO_PROXY" && exit 7`); code != 7 {
		t.Errorf("ended with %d: %s", code, said)
	}
	az := filepath.Join(b.home, "az")
	script := "#!/bin/sh\necho \"$1 $*\" >> " + b.home + "/said\ncase $1 in login) echo '{\"id\":\"" + acr.DevSubscription + "\"}' > \"$AZURE_CONFIG_DIR/azureProfile.json\";; esac\n"
	if err := os.WriteFile(az, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, _, said := devRun(t, b, "exec", "--", az, "acr", "list"); code != 0 {
			t.Fatalf("%d: %s", code, said)
		}
	}
	said, err := os.ReadFile(filepath.Join(b.home, "said"))
	if err != nil || strings.Count(string(said), "login login --service-principal") != 1 || strings.Count(string(said), "acr acr list") != 2 {
		t.Errorf("az was asked: %s, %v", said, err)
	}
}
