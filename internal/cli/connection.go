package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/client"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

const connectionHelp = `Connections, as Apache Airflow keeps them: which registry is meant, and how to log in to it.

A connection is kept under an ID in connections.json, readable by you alone, beside what acre login keeps, or stands in
the environment, in $AIRFLOW_CONN_ and the ID in capitals, as a URI or as JSON. It has a login, a password, a server, and
the extras subscription_id, resource_group, managed_identity_client_id and workload_identity_tenant_id.

It logs in with its login and password, if it has a password; else as the managed or workload identity that it names; else
by the default chain of the Azure SDKs: the environment, a workload identity, a managed identity, az. An identity reads the
password of the registry's admin user, where subscription and group say which resource that is, or gets a token of the
registry's own.

Every verb that takes a registry takes --connection ID in its place. The cloud is that of the server at hand, else Azure's.`

func (a *app) connectionCommand() *cobra.Command {
	cmd := group("connection", "Connections to registries, as Airflow keeps them", connectionHelp)
	cmd.AddCommand(a.connectionAdd(), a.connectionGet(), a.connectionList(), a.connectionTest(), a.connectionExport(), a.connectionDelete())
	return cmd
}

// connections are kept in a file of the user's own.
type connections struct {
	file string
	Kept map[string]client.Connection `json:"connections"`
}

func (a *app) connections() (*connections, error) {
	c := &connections{file: filepath.Join(a.configDir(), "connections.json"), Kept: map[string]client.Connection{}}
	return c, readOwn(c.file, c)
}

// readOwn reads a file of the user's own; one that is not there leaves the value as it is.
func readOwn(file string, into any) error {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fault.New(fault.Invalid, "%s cannot be read: %w; mend or remove it", file, err)
	}
	return nil
}

func writeOwn(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = replaceFile(file, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// connection finds a connection: the environment's goes before the file's. Errors: NotFound.
func (a *app) connection(id string) (client.Connection, error) {
	c, found, err := client.ConnectionFromEnv(id)
	if err != nil {
		return c, fault.New(fault.Invalid, "%w", err)
	}
	if found {
		return c, nil
	}
	all, err := a.connections()
	if err != nil {
		return c, err
	}
	c, found = all.Kept[strings.ToLower(id)]
	if !found {
		return c, fault.New(fault.NotFound, "there is no connection %q: acre connection list shows which there are, acre connection add makes one", id)
	}
	return c, nil
}

// connectionFlags say what a connection is, whole or in parts.
type connectionFlags struct {
	uri, json, file string
	fromStdin       bool
	client.Connection
}

func (c *connectionFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.uri, "conn-uri", "", "the connection as a URI: azure-container-registry://login:password@server/?…")
	f.StringVar(&c.json, "conn-json", "", "the connection as JSON")
	f.StringVar(&c.file, "conn-file", "", "file with the connection in either form; - is stdin")
	f.StringVar(&c.Login, "conn-login", "", "user name; without a password, the registry's name")
	f.StringVar(&c.Password, "conn-password", "", "password")
	f.BoolVar(&c.fromStdin, "conn-password-stdin", false, "read the password from stdin")
	f.StringVar(&c.Server, "conn-host", "", "login server, as host[:port]")
	f.StringVar(&c.SubscriptionID, "subscription-id", "", "subscription of the registry")
	f.StringVar(&c.ResourceGroup, "resource-group", "", "resource group of the registry")
	f.StringVar(&c.ManagedIdentityClientID, "managed-identity-client-id", "", "client ID of the identity to be")
	f.StringVar(&c.WorkloadIdentityTenantID, "workload-identity-tenant-id", "", "tenant of the identity to be")
	f.StringVar(&c.Description, "conn-description", "", "what it is for")
}

// given is the connection that the flags say; ok is false where they say none.
func (c *connectionFlags) given(a *app) (conn client.Connection, ok bool, err error) {
	if c.fromStdin {
		if c.Password, err = a.passwordFromStdin(); err != nil {
			return conn, false, err
		}
	}
	parts := c.Connection != client.Connection{}
	switch n := count(c.uri != "", c.json != "", c.file != "", parts); {
	case n == 0:
		return conn, false, nil
	case n > 1:
		return conn, false, fault.New(fault.Invalid, "a connection is given once: as --conn-uri, --conn-json, --conn-file, or in parts such as --conn-login and --conn-host")
	case parts:
		text, err := json.Marshal(c.Connection)
		if err != nil {
			return conn, false, err
		}
		conn, err = client.ParseConnection(string(text))
		return conn, true, invalid(err)
	}
	text := cmp.Or(c.uri, c.json)
	if c.file != "" {
		if text, err = a.readFile(c.file); err != nil {
			return conn, false, err
		}
	}
	conn, err = client.ParseConnection(text)
	return conn, true, invalid(err)
}

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Invalid, "%w", err)
}

// readFile reads a file that the user names; - is stdin.
func (a *app) readFile(name string) (string, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(io.LimitReader(a.Stdin, 1<<20))
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "%w", err)
	}
	return string(text), nil
}

func (a *app) connectionAdd() *cobra.Command {
	var flags connectionFlags
	cmd := &cobra.Command{
		Use: "add ID", Short: "Keep a connection under an ID", Args: oneArg,
		Example: `  acre connection add ci --conn-uri 'azure-container-registry://ci:p%40ss@mainreg.azurecr.io'
  acre connection add prod --conn-login mainreg --conn-host mainreg.azurecr.io --subscription-id SUB --resource-group rg1
  acre connection add ci --conn-login ci --conn-host localhost:5000 --conn-password-stdin < password.txt`,
		RunE: func(_ *cobra.Command, args []string) error {
			conn, ok, err := flags.given(a)
			if err != nil {
				return err
			}
			if !ok {
				return fault.New(fault.Invalid, "what is the connection? Give --conn-uri, --conn-json, --conn-file, or --conn-login and --conn-host")
			}
			all, err := a.connections()
			if err != nil {
				return err
			}
			all.Kept[strings.ToLower(args[0])] = conn
			if err := writeOwn(all.file, all); err != nil {
				return err
			}
			return a.print(shownConnection(strings.ToLower(args[0]), conn, "file", false))
		},
	}
	flags.flags(cmd)
	return cmd
}

// oneArg wants one argument, a name.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fault.New(fault.Invalid, "%s takes one name; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// connectionShown is a connection as it is printed.
type connectionShown struct {
	ID       string            `json:"conn_id"`
	Type     string            `json:"conn_type"`
	Login    string            `json:"login"`
	Password string            `json:"password"`
	Host     string            `json:"host"`
	Extra    map[string]string `json:"extra"`
	From     string            `json:"from"` // environment or file
}

func shownConnection(id string, c client.Connection, from string, secrets bool) connectionShown {
	s := connectionShown{ID: id, Type: client.ConnectionType, Login: c.Login, Password: c.Password, Host: c.Server, Extra: map[string]string{}, From: from}
	if c.Password != "" && !secrets {
		s.Password = "***"
	}
	for name, v := range map[string]string{
		"subscription_id": c.SubscriptionID, "resource_group": c.ResourceGroup,
		"managed_identity_client_id": c.ManagedIdentityClientID, "workload_identity_tenant_id": c.WorkloadIdentityTenantID,
	} {
		if v != "" {
			s.Extra[name] = v
		}
	}
	return s
}

func (a *app) connectionGet() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show a connection", Args: oneArg, Example: "  acre connection get ci --show-secrets",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.connection(args[0])
			if err != nil {
				return err
			}
			return a.print(shownConnection(strings.ToLower(args[0]), c, a.origin(args[0]), secrets))
		},
	}
	cmd.Flags().BoolVar(&secrets, "show-secrets", false, "show the password too")
	return cmd
}

// origin tells where a connection that there is comes from.
func (a *app) origin(id string) string {
	if slices.Contains(client.ConnectionsInEnv(), strings.ToLower(id)) {
		return "environment"
	}
	return "file"
}

func (a *app) connectionList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the connections there are", Args: noArgs, Example: "  acre connection list -o table",
		RunE: func(*cobra.Command, []string) error {
			all, err := a.connections()
			if err != nil {
				return err
			}
			ids := slices.Compact(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(all.Kept)), client.ConnectionsInEnv()...))))
			out := []connectionShown{}
			for _, id := range ids {
				c, err := a.connection(id)
				if err != nil {
					return err
				}
				out = append(out, shownConnection(id, c, a.origin(id), false))
			}
			return a.print(out)
		},
	}
}

func (a *app) connectionExport() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "export ID", Short: "Print a connection as a variable for Airflow", Args: oneArg,
		Long:    "Print a connection, password included, as the variable in which Airflow looks for it.\n\nA server's port needs JSON: Airflow leaves it out of a URI.",
		Example: "  eval \"$(acre connection export ci)\"",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.connection(args[0])
			if err != nil {
				return err
			}
			text := c.URI()
			if _, _, err := net.SplitHostPort(c.Server); err == nil || asJSON {
				j, err := json.Marshal(c)
				if err != nil {
					return err
				}
				text = string(j)
			}
			_, err = fmt.Fprintf(a.Stdout, "export AIRFLOW_CONN_%s=%s\n", strings.ToUpper(args[0]), shellQuote(text))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON rather than as a URI")
	return cmd
}

func (a *app) connectionDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Forget a connection", Args: oneArg, Example: "  acre connection delete ci",
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.connections()
			if err != nil {
				return err
			}
			id := strings.ToLower(args[0])
			if _, found := all.Kept[id]; !found {
				return fault.New(fault.NotFound, "no connection %q is kept in %s", args[0], all.file)
			}
			delete(all.Kept, id)
			return writeOwn(all.file, all)
		},
	}
}

// connectionTested is what a test of a connection found.
type connectionTested struct {
	ID       string        `json:"conn_id,omitempty"`
	Server   string        `json:"server"`
	Way      client.Way    `json:"way"`
	Username string        `json:"username"`
	Admin    bool          `json:"admin"`
	Access   client.Access `json:"access"`
}

func (a *app) connectionTest() *cobra.Command {
	var flags connectionFlags
	var repository string
	cmd := &cobra.Command{
		Use: "test [ID]", Short: "Log in with a connection, and tell how, and what may be done", Args: cobra.MaximumNArgs(1),
		Long: `Log in with a connection: the one of an ID (` + client.DefaultConnection + ` where none is given), or one that the
flags say. Tells which way was taken (login, identity, default), as whom, and what that login may do with a repository, or
with every one. Ends with 1 where the login is refused.`,
		Example: `  acre connection test ci
  acre connection test --conn-uri 'azure-container-registry://mainreg@mainreg.azurecr.io/?subscription_id=SUB&resource_group=rg1'
  acre connection test ci --repository team/app --query access.actions -o tsv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, ok, err := flags.given(a)
			if err != nil {
				return err
			}
			id := client.DefaultConnection
			switch {
			case ok && len(args) > 0:
				return fault.New(fault.Invalid, "an ID and a connection in flags exclude each other")
			case ok:
				id = ""
			case len(args) > 0:
				id = args[0]
			}
			if !ok {
				if conn, err = a.connection(id); err != nil {
					return err
				}
			}
			tested, err := a.testConnection(cmd.Context(), conn, repository)
			if err != nil {
				return err
			}
			tested.ID = id
			return a.print(tested)
		},
	}
	flags.flags(cmd)
	cmd.Flags().StringVar(&repository, "repository", "", "repository to ask about (default every one)")
	return cmd
}

func (a *app) testConnection(ctx context.Context, conn client.Connection, repository string) (connectionTested, error) {
	opt, err := a.clientOptions(ctx)
	if err != nil {
		return connectionTested{}, err
	}
	stop := a.spin("Logging in")
	defer stop()
	cred, err := conn.Credential(ctx, opt)
	if err != nil {
		return connectionTested{}, asFault(err)
	}
	access, err := cred.Access(ctx, repository, opt)
	if err != nil {
		return connectionTested{}, asFault(err)
	}
	return connectionTested{Server: cred.Server, Way: cred.Way, Username: cred.Username, Admin: cred.Admin, Access: access}, nil
}

// asFault gives what a server refused its kind.
func asFault(err error) error {
	var refused *client.Error
	if errors.As(err, &refused) {
		return fault.New(kindOf(refused.Status), "%w", err)
	}
	return fault.New(fault.Unavailable, "%w", err)
}

// connect finds the registry of a connection, and logs in to it.
func (a *app) connect(ctx context.Context, id string) (target, ociclient.Credential, error) {
	conn, err := a.connection(id)
	if err != nil {
		return target{}, ociclient.Credential{}, err
	}
	opt, err := a.clientOptions(ctx)
	if err != nil {
		return target{}, ociclient.Credential{}, err
	}
	cred, err := conn.Credential(ctx, opt)
	if err != nil {
		return target{}, ociclient.Credential{}, fmt.Errorf("connection %s: %w", id, asFault(err))
	}
	t, err := a.asURL(cred.Server)
	return t, ociclient.Credential{Username: cred.Username, Password: cred.Password}, err
}

// clientOptions lead connections and connectors to the cloud of the server at hand, if there is one, else to Azure.
func (a *app) clientOptions(ctx context.Context) (client.Options, error) {
	at, found, err := a.cloudServer()
	if err != nil {
		return client.Options{}, err
	}
	tr, err := a.cloudTransport(at, found)
	if err != nil {
		return client.Options{}, err
	}
	opt := client.Options{HTTP: &http.Client{Transport: tr, Timeout: time.Minute}}
	if found {
		if opt.Cloud, err = client.Discover(ctx, at.url.String(), opt.HTTP); err != nil {
			return client.Options{}, fault.New(fault.Unavailable, "%w", err)
		}
	}
	return opt, nil
}

// cloudServer is the server at hand, by its TLS listener if that is known: identities are given tokens over TLS alone.
func (a *app) cloudServer() (at target, found bool, err error) {
	if a.setting(a.server, "ACRE_SERVER", "") == "" {
		addr, err := a.addresses()
		if err != nil || addr == (addresses{}) {
			return target{}, false, err
		}
		if addr.HTTPS != "" {
			at, err = a.here("https://", addr.HTTPS)
			return at, true, err
		}
	}
	at, err = a.serverURL()
	return at, true, err
}

// cloudTransport makes connections to the server at hand and to its registries.
func (a *app) cloudTransport(at target, here bool) (*http.Transport, error) {
	if !here {
		return &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}, nil
	}
	tr, err := a.transport(at)
	if err != nil {
		return nil, err
	}
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return dial(ctx, network, addr)
	}
	return tr, nil
}
