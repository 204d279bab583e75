package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func (a *app) devCommand() *cobra.Command {
	cmd := group("dev", "Help for developing against acre", "")
	cmd.AddCommand(a.devExec(), a.devEnv(), a.proxyCommand())
	return cmd
}

// surroundings are what clients of the cloud are to find.
type surroundings struct {
	Proxy     string `json:"proxy"`  // its URL
	Bundle    string `json:"bundle"` // file of the certificates to trust
	To        string `json:"to"`     // the server's TLS listener
	authority []byte // of the server alone
	dev       bool   // the server has the credentials that everybody knows
	azure     string // folder of az's configuration; "": the user's own
}

// variable is one of the environment; without a value it is not to be set.
type variable struct{ name, value string }

// devClients are the clients that are known by name, and what each looks at.
var devClients = []struct {
	name, what string
	of         func(s surroundings) []variable
}{
	{"az", "the Azure CLI", func(s surroundings) []variable { return slices.Concat(s.proxied(), s.python(), s.az()) }},
	{"sdk", "the Azure SDKs of Go, Python and JavaScript", func(s surroundings) []variable {
		return slices.Concat(s.proxied(), s.python(), s.golang(), s.node(), s.identity("AZURE"))
	}},
	{"terraform", "Terraform and OpenTofu with azurerm", func(s surroundings) []variable {
		return slices.Concat(s.proxied(), s.golang(), s.identity("ARM"), []variable{{"ARM_RESOURCE_PROVIDER_REGISTRATIONS", "none"}})
	}},
	{"airflow", "Airflow's hook of Azure Container Registry", func(s surroundings) []variable {
		return slices.Concat(s.proxied(), s.python(), s.identity("AZURE"), s.airflow())
	}},
	{"zenml", "ZenML's Azure service connector", func(s surroundings) []variable {
		return slices.Concat(s.proxied(), s.python(), s.identity("AZURE"))
	}},
	{"docker", "the docker daemon, which is to be started with them; podman, buildah, skopeo, helm, oras and crane themselves", func(s surroundings) []variable {
		return slices.Concat(s.proxied(), s.golang())
	}},
	{"curl", "curl", func(s surroundings) []variable {
		return slices.Concat(s.proxied(), []variable{{"CURL_CA_BUNDLE", s.Bundle}})
	}},
}

func (s surroundings) proxied() []variable {
	return []variable{
		{"HTTPS_PROXY", s.Proxy}, {"HTTP_PROXY", s.Proxy}, {"https_proxy", s.Proxy}, {"http_proxy", s.Proxy},
		{"NO_PROXY", ""}, {"no_proxy", ""}, {"ALL_PROXY", ""}, {"all_proxy", ""},
	}
}

func (s surroundings) python() []variable {
	return []variable{{"REQUESTS_CA_BUNDLE", s.Bundle}, {"CURL_CA_BUNDLE", s.Bundle}}
}

func (s surroundings) golang() []variable { return []variable{{"SSL_CERT_FILE", s.Bundle}} }
func (s surroundings) node() []variable   { return []variable{{"NODE_EXTRA_CA_CERTS", s.Bundle}} }

func (s surroundings) az() []variable {
	out := []variable{{"AZURE_CORE_COLLECT_TELEMETRY", "no"}, {"AZURE_CORE_LOGIN_EXPERIENCE_V2", "off"}}
	if s.azure != "" {
		out = append(out, variable{"AZURE_CONFIG_DIR", s.azure})
	}
	return out
}

// identity is the owner that everybody knows, for clients that sign in by variables.
func (s surroundings) identity(prefix string) []variable {
	if !s.dev {
		return nil
	}
	return []variable{
		{prefix + "_TENANT_ID", acr.DevTenant}, {prefix + "_CLIENT_ID", acr.DevOwner}, {prefix + "_CLIENT_SECRET", acr.DevSecret},
		{prefix + "_SUBSCRIPTION_ID", acr.DevSubscription},
	}
}

// airflow is the connection that its hook takes unless told otherwise, without a password: the hook asks for that.
func (s surroundings) airflow() []variable {
	if !s.dev {
		return nil
	}
	text, _ := json.Marshal(object{ // strings only
		"conn_type": "azure_container_registry", "login": acr.DefaultRegistry, "host": acr.DefaultRegistry + ".azurecr.io",
		"extra": object{"subscription_id": acr.DevSubscription, "resource_group": acr.DevGroup},
	})
	return []variable{{"AIRFLOW_CONN_AZURE_CONTAINER_REGISTRY_DEFAULT", string(text)}}
}

// variables are those of one client, or of all of them; each once.
func (s surroundings) variables(client string) ([]variable, error) {
	var out []variable
	known := false
	for _, c := range devClients {
		if client != "" && client != c.name {
			continue
		}
		known = true
		for _, v := range c.of(s) {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	if !known {
		return nil, fault.New(fault.Invalid, "--for %q is none of %s", client, strings.Join(devClientNames(), ", "))
	}
	return out, nil
}

func devClientNames() []string {
	var names []string
	for _, c := range devClients {
		names = append(names, c.name)
	}
	return names
}

func devClientHelp() string {
	var b strings.Builder
	for _, c := range devClients {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.what)
	}
	return b.String()
}

// azureConfig is a folder for az's configuration and tokens: another for each server and each az, since versions do not read
// one another's files, and never the user's.
func (a *app) azureConfig(authority []byte, az string) string {
	if path, err := exec.LookPath(az); err == nil {
		az = path
	}
	sum := sha256.Sum256(append([]byte(az+"\x00"), authority...))
	return filepath.Join(a.configDir(), "dev", hex.EncodeToString(sum[:6]), "azure")
}

// devFlags are what env and exec share.
type devFlags struct {
	client   string
	ownAzure bool
}

func (set *devFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&set.client, "for", "", "the client that the variables are for: "+strings.Join(devClientNames(), ", ")+" (default all)")
	f.BoolVar(&set.ownAzure, "user-profile", false, "have az use the user's own configuration and tokens, not a folder of their own for this server")
	mustComplete(cmd, "for", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return devClientNames(), cobra.ShellCompDirectiveNoFileComp
	})
}

// settle reads the authority, and says where az is to keep what it keeps.
func (a *app) settle(ctx context.Context, s *surroundings, set devFlags, az string) (err error) {
	if s.authority, err = a.authority(ctx); err != nil {
		return err
	}
	if !set.ownAzure {
		s.azure = a.azureConfig(s.authority, az)
	}
	addr, err := a.addresses()
	s.dev = addr.Dev && addr.HTTPS == s.To
	return err
}

const execHelp = `Run a command that has the cloud's host names built in, with everything set that leads it to the server on this machine:
a proxy on loopback for as long as it runs, the certificates to trust, and, where the server runs with --dev, the owner that
everybody knows as identity.

az is signed in as that owner where it is not signed in yet. It gets a configuration folder of its own, one for each server,
so that your own account and tokens stay as they are; with --user-profile it uses yours.

The command may be any of:

`

func (a *app) devExec() *cobra.Command {
	var set devFlags
	var to proxyFlags
	cmd := &cobra.Command{
		Use: "exec -- COMMAND …", Short: "Run a client of the cloud against the server on this machine", Long: execHelp + devClientHelp(),
		Example: `  acre dev exec -- az acr list -o table
  acre dev exec -- az acr create -n demo12345 -g acre --sku Premium
  acre dev exec --for terraform -- terraform apply
  acre dev exec -- python3 app.py`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || cmd.ArgsLenAtDash() != 0 {
				return fault.New(fault.Invalid, "which command? Give it behind --: acre dev exec -- az acr list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.underProxy(cmd.Context(), &to, func(ctx context.Context, s surroundings) error {
				return a.execIn(ctx, s, set, args)
			})
		},
	}
	set.flags(cmd)
	to.flags(cmd)
	return cmd
}

func (a *app) execIn(ctx context.Context, s surroundings, set devFlags, command []string) error {
	az := "az"
	if filepath.Base(command[0]) == az {
		az = command[0]
	}
	if err := a.settle(ctx, &s, set, az); err != nil {
		return err
	}
	env, err := s.variables(set.client)
	if err != nil {
		return err
	}
	if err := a.signAzIn(ctx, s, env, command); err != nil {
		return err
	}
	return a.runWith(ctx, env, command)
}

// signAzIn signs az in as the owner that everybody knows, in a folder that is not the user's and where nobody is.
func (a *app) signAzIn(ctx context.Context, s surroundings, env []variable, command []string) error {
	if filepath.Base(command[0]) != "az" || s.azure == "" || !s.dev || len(command) > 1 && command[1] == "login" {
		return nil
	}
	profile, err := os.ReadFile(filepath.Join(s.azure, "azureProfile.json"))
	if err == nil && strings.Contains(string(profile), acr.DevSubscription) {
		return nil
	}
	if err := os.MkdirAll(s.azure, 0o700); err != nil {
		return fmt.Errorf("make a folder for az: %w", err)
	}
	defer a.spin("Signing az in")()
	cmd := exec.CommandContext(ctx, command[0], "login", "--service-principal", "--username", acr.DevOwner, "--password", acr.DevSecret, //nolint:gosec // what the user asked to run
		"--tenant", acr.DevTenant, "--output", "none", "--only-show-errors")
	cmd.Env = environment(env)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fault.New(fault.Unavailable, "az cannot be signed in: %w: %s", err, strings.TrimSpace(string(said)))
	}
	return nil
}

const envHelp = `Print the variables that lead clients of the cloud to the server on this machine, given that acre dev proxy runs. They name
a file with the certificates of this system and that of the server's own authority, which the proxy wrote. Those for az name a
configuration folder of its own, so that your own account and tokens stay as they are; with --user-profile they do not.

`

func (a *app) devEnv() *cobra.Command {
	var set devFlags
	var shell string
	cmd := &cobra.Command{
		Use: "env", Short: "Print the variables that lead clients of the cloud to the server on this machine", Args: noArgs,
		Long: envHelp + devClientHelp(),
		Example: `  acre dev proxy >/dev/null & eval "$(acre dev env)"
  acre dev env --shell fish | source
  acre dev env --shell powershell | Out-String | Invoke-Expression
  acre dev env --for sdk --shell github >> "$GITHUB_ENV"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write := shells[shell]
			if write == nil {
				return fault.New(fault.Invalid, "--shell %q is none of %s", shell, strings.Join(shellNames(), ", "))
			}
			s, err := a.runningProxy()
			if err != nil {
				return err
			}
			if err := a.settle(cmd.Context(), &s, set, "az"); err != nil {
				return err
			}
			env, err := s.variables(set.client)
			if err != nil {
				return err
			}
			return write(a.Stdout, env)
		},
	}
	set.flags(cmd)
	cmd.Flags().StringVar(&shell, "shell", "sh", "how they are written: "+strings.Join(shellNames(), ", "))
	mustComplete(cmd, "shell", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return shellNames(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// shells are ways to write variables; one without a value is taken away.
var shells = map[string]func(w io.Writer, env []variable) error{
	"sh": lines(func(v variable) string {
		if v.value == "" {
			return "unset " + v.name
		}
		return "export " + v.name + "=" + shellQuote(v.value)
	}),
	"fish": lines(func(v variable) string {
		if v.value == "" {
			return "set -e " + v.name
		}
		return "set -gx " + v.name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.value) + "'"
	}),
	"powershell": lines(func(v variable) string {
		if v.value == "" {
			return "Remove-Item Env:" + v.name + " -ErrorAction Ignore"
		}
		return "$Env:" + v.name + " = '" + strings.ReplaceAll(v.value, "'", "''") + "'"
	}),
	"github": lines(func(v variable) string { return v.name + "=" + v.value }), // what a job has no value for is empty
	"json": func(w io.Writer, env []variable) error {
		values := map[string]*string{}
		for _, v := range env {
			if values[v.name] = &v.value; v.value == "" {
				values[v.name] = nil
			}
		}
		text, err := marshal(values)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	},
}

func shellNames() []string { return []string{"sh", "fish", "powershell", "github", "json"} }

func lines(line func(variable) string) func(io.Writer, []variable) error {
	return func(w io.Writer, env []variable) error {
		for _, v := range env {
			if _, err := fmt.Fprintln(w, line(v)); err != nil {
				return err
			}
		}
		return nil
	}
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// proxyFile is where a proxy that runs says where it is.
func (a *app) proxyFile() string { return filepath.Join(a.configDir(), "dev-proxy.json") }

// announceProxy says in a file where a proxy is, until forget is called.
func (a *app) announceProxy(s surroundings) (forget func(), err error) {
	text, err := json.Marshal(s)
	if err == nil {
		err = replaceFile(a.proxyFile(), text)
	}
	return func() {
		if now, err := os.ReadFile(a.proxyFile()); err == nil && string(now) == string(text) { // not another one's
			_ = os.Remove(a.proxyFile())
		}
	}, err
}

// runningProxy is the proxy that runs.
func (a *app) runningProxy() (s surroundings, err error) {
	none := fault.New(fault.Unavailable, "no acre dev proxy runs: start one with acre dev proxy >/dev/null & or run a command with acre dev exec -- COMMAND")
	text, err := os.ReadFile(a.proxyFile())
	if os.IsNotExist(err) {
		return s, none
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fault.New(fault.Invalid, "%s does not say where the proxy is (%w): start acre dev proxy anew", a.proxyFile(), err)
	}
	u, err := url.Parse(s.Proxy)
	if err != nil {
		return s, none
	}
	c, err := net.DialTimeout("tcp", u.Host, 2*time.Second)
	if err != nil {
		return s, none
	}
	c.Close()
	addr, err := a.addresses()
	if err == nil && addr.HTTPS != "" && addr.HTTPS != s.To {
		return s, fault.New(fault.Conflict, "the acre dev proxy that runs leads to %s, but the server on %s listens at %s: start acre dev proxy anew", s.To, a.dataDir(), addr.HTTPS)
	}
	return s, err
}
