package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ConnectionType is the connection type, as JSON writes it; in a URI's scheme it has hyphens.
const ConnectionType = "azure_container_registry"

// DefaultConnection is the ID of the connection that is meant where none is named.
const DefaultConnection = "azure_container_registry_default"

// envPrefix begins the variables that hold connections.
const envPrefix = "AIRFLOW_CONN_"

// maxConnection bounds a connection's text, in bytes.
const maxConnection = 64 << 10

// Connection is how to reach one registry. The zero value of a field is one that was not given.
type Connection struct {
	Login    string // user name; without a password also the registry's resource name
	Password string
	Server   string // host or host:port; http:// before it where TLS is not wanted

	SubscriptionID string // with ResourceGroup: where the registry's resource is, to read its admin password
	ResourceGroup  string

	ManagedIdentityClientID  string // both: whom to be instead of what the default chain finds
	WorkloadIdentityTenantID string

	Description string
}

// extras are the members of a connection's extra field, in the order in which they are shown.
var extras = []struct {
	name string
	of   func(*Connection) *string
}{
	{"subscription_id", func(c *Connection) *string { return &c.SubscriptionID }},
	{"resource_group", func(c *Connection) *string { return &c.ResourceGroup }},
	{"managed_identity_client_id", func(c *Connection) *string { return &c.ManagedIdentityClientID }},
	{"workload_identity_tenant_id", func(c *Connection) *string { return &c.WorkloadIdentityTenantID }},
}

// prefixed is what the names of extras began with in older connections; the short name wins.
const prefixed = "extra__azure_container_registry__"

// ParseConnection reads a connection in either form in which Airflow keeps one: a URI,
//
//	azure-container-registry://login:password@server/?subscription_id=…&resource_group=…
//
// or a JSON object with conn_type, login, password, host, port, description and extra, which is an object or a string that
// holds one. Members that mean nothing here are left out.
func ParseConnection(text string) (Connection, error) {
	text = strings.TrimSpace(text)
	switch {
	case len(text) > maxConnection:
		return Connection{}, fmt.Errorf("a connection of %d bytes: at most %d are read", len(text), maxConnection)
	case strings.HasPrefix(text, "{"):
		return parseJSON(text)
	}
	return parseURI(text)
}

func parseURI(text string) (Connection, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || strings.Contains(strings.SplitN(rest, "?", 2)[0], "://") {
		return Connection{}, fmt.Errorf("connection is neither a JSON object nor a URI such as azure-container-registry://login:password@server")
	}
	if err := checkType(strings.ReplaceAll(scheme, "-", "_")); err != nil {
		return Connection{}, err
	}
	u, err := url.Parse("x://" + rest) // the scheme's hyphens and underscores are no matter of syntax
	if err != nil || u.Fragment != "" {
		return Connection{}, fmt.Errorf("connection is no valid URI: what is not a letter or a digit is to be percent-encoded")
	}
	password, _ := u.User.Password()
	c := Connection{Login: u.User.Username(), Password: password, Server: strings.ToLower(u.Host)}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Connection{}, fmt.Errorf("connection has a query that is not valid: what is not a letter or a digit is to be percent-encoded")
	}
	values := map[string]string{}
	for name := range query {
		values[name] = query.Get(name)
	}
	if whole, ok := values["__extra__"]; ok && len(values) == 1 {
		if values, err = readExtra(json.RawMessage(whole)); err != nil {
			return Connection{}, err
		}
	}
	c.take(values)
	return c, c.check()
}

// connectionWire is a connection as JSON.
type connectionWire struct {
	Type        string          `json:"conn_type"`
	Login       string          `json:"login,omitempty"`
	Password    string          `json:"password,omitempty"`
	Host        string          `json:"host,omitempty"`
	Port        port            `json:"port,omitempty"`
	Description string          `json:"description,omitempty"`
	Extra       json.RawMessage `json:"extra,omitempty"`
}

// port is a number, or a string that holds one.
type port int

func (p *port) UnmarshalJSON(text []byte) error {
	s := strings.Trim(string(text), `"`)
	if s == "" || s == "null" {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return fmt.Errorf("port %.20q is not a number from 1 to 65535", s)
	}
	*p = port(n)
	return nil
}

func parseJSON(text string) (Connection, error) {
	var w connectionWire
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return Connection{}, fmt.Errorf("connection is no valid JSON: %w", err)
	}
	if err := checkType(w.Type); err != nil {
		return Connection{}, err
	}
	c := Connection{Login: w.Login, Password: w.Password, Server: w.Host, Description: w.Description}
	if w.Port != 0 {
		c.Server = net.JoinHostPort(strings.Trim(w.Host, "[]"), strconv.Itoa(int(w.Port)))
	}
	values, err := readExtra(w.Extra)
	if err != nil {
		return Connection{}, err
	}
	c.take(values)
	return c, c.check()
}

// readExtra reads an object, or a string that holds one.
func readExtra(text json.RawMessage) (map[string]string, error) {
	var whole string
	if json.Unmarshal(text, &whole) == nil {
		text = json.RawMessage(whole)
	}
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("extra of the connection is no JSON object: %w", err)
	}
	values := map[string]string{}
	for name, v := range members {
		if s, ok := v.(string); ok {
			values[name] = s
		}
	}
	return values, nil
}

// take takes the extras over that are known, by either name; what is empty was not given.
func (c *Connection) take(values map[string]string) {
	for _, e := range extras {
		if v := values[e.name]; v != "" {
			*e.of(c) = v
		} else {
			*e.of(c) = values[prefixed+e.name]
		}
	}
}

func checkType(t string) error {
	if t != "" && t != ConnectionType {
		return fmt.Errorf("connection type %.60q is not %s", t, ConnectionType)
	}
	return nil
}

// check refuses what no way of authentication could use.
func (c Connection) check() error {
	if strings.ContainsAny(c.Server, " \t\r\n@?#") {
		return fmt.Errorf("server %.100q of the connection is no host[:port]", c.Server)
	}
	for _, s := range append(slices.Collect(maps.Values(c.extra())), c.Login, c.Password, c.Server, c.Description) {
		if !utf8.ValidString(s) {
			return fmt.Errorf("connection holds what is no UTF-8")
		}
	}
	if c.Password != "" && c.Login == "" {
		return fmt.Errorf("connection has a password and no login: give both, or neither")
	}
	return nil
}

func (c *Connection) extra() map[string]string {
	values := map[string]string{}
	for _, e := range extras {
		if v := *e.of(c); v != "" {
			values[e.name] = v
		}
	}
	return values
}

// URI is the connection in the form of a URI, password included. A server's port, which Airflow's reader of URIs leaves
// out, is kept.
func (c Connection) URI() string {
	u := url.URL{Scheme: strings.ReplaceAll(ConnectionType, "_", "-"), Host: c.Server, Path: "/"}
	switch {
	case c.Password != "":
		u.User = url.UserPassword(c.Login, c.Password)
	case c.Login != "":
		u.User = url.User(c.Login)
	}
	query := url.Values{}
	for name, v := range c.extra() {
		query.Set(name, v)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// MarshalJSON writes the connection in the form of JSON, password included.
func (c Connection) MarshalJSON() ([]byte, error) {
	w := connectionWire{Type: ConnectionType, Login: c.Login, Password: c.Password, Host: c.Server, Description: c.Description}
	if values := c.extra(); len(values) > 0 {
		w.Extra, _ = json.Marshal(values) // strings always marshal
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes, and whatever else ParseConnection takes as JSON.
func (c *Connection) UnmarshalJSON(text []byte) (err error) {
	*c, err = parseJSON(string(text))
	return err
}

// ConnectionFromEnv reads the connection that the environment has under an ID, in AIRFLOW_CONN_ and the ID in capitals;
// found is false where it has none.
func ConnectionFromEnv(id string) (c Connection, found bool, err error) {
	text, found := os.LookupEnv(envPrefix + strings.ToUpper(id))
	if !found {
		return Connection{}, false, nil
	}
	if c, err = ParseConnection(text); err != nil {
		err = fmt.Errorf("%s%s: %w", envPrefix, strings.ToUpper(id), err)
	}
	return c, true, err
}

// ConnectionsInEnv lists the IDs of the connections of this type that the environment has, in order.
func ConnectionsInEnv() []string {
	found := map[string]bool{}
	for _, v := range os.Environ() {
		name, text, _ := strings.Cut(v, "=")
		if id, ok := strings.CutPrefix(name, envPrefix); ok && id != "" {
			if _, err := ParseConnection(text); err == nil {
				found[strings.ToLower(id)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
