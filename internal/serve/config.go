package serve

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/domain"
)

// Config is everything an operator decides before the start. What a user changes at run time is a resource.
//
// The tags are the settings' names in the file, from which those of variables and flags follow, and what the page
// docs/configuration.md says of them.
type Config struct {
	File string `yaml:"-"` // the file that was read; "" = none

	Data            string         `yaml:"data" help:"Directory of everything that is kept: metadata, blobs, certificates, the address file."`
	HTTP            string         `yaml:"http" help:"Address of the plain listener; empty = off; port 0 = any free one."`
	HTTPS           string         `yaml:"https" help:"Address of the TLS listener; empty = off."`
	Ops             string         `yaml:"ops" help:"Address of a listener of its own for /healthz, /readyz and /metrics; empty = they are on the others."`
	Private         string         `yaml:"private" help:"Address of a TLS listener that registries' network rules do not bind, and the only one where those with public access off answer; empty = none."`
	Meta            string         `yaml:"meta" show:"url" help:"Where metadata is: sqlite:///path or postgres://…; empty = SQLite in the data directory. Also a file: or env: reference to such an address."`
	Blobs           string         `yaml:"blobs" show:"url" help:"Where bytes are: disk:///path or mem: (gone at the end); empty = in the data directory. Also a file: or env: reference."`
	Suffixes        []string       `yaml:"suffixes" help:"A request for the host NAME.SUFFIX goes to the registry NAME."`
	DefaultRegistry string         `yaml:"defaultRegistry" help:"The registry of requests for loopback names and bare addresses; made at the first start."`
	Registries      []BootRegistry `yaml:"registries" help:"Registries that the start makes where they do not exist; those that do stay as they are."`
	Dev             bool           `yaml:"dev" help:"Fixed, publicly known credentials for development; listens on loopback only."`
	SealKey         Secret         `yaml:"sealKey" help:"Key that seals the secrets kept in the metadata, as file:PATH or env:NAME; empty = one is made in the data directory."`
	Encryption      bool           `yaml:"encryption" help:"Whether what is pushed is sealed before it is kept, with a key of each registry's own that sealKey seals; registries with a customer's key always do. What was pushed before stays as it is and readable, either way."`

	TLS       TLSConfig       `yaml:"tls"`
	Proxies   ProxiesConfig   `yaml:"proxies"`
	Log       LogConfig       `yaml:"log"`
	Limits    LimitsConfig    `yaml:"limits"`
	Deleted   DeletedConfig   `yaml:"deleted"`
	Collect   CollectConfig   `yaml:"collect"`
	Tokens    TokensConfig    `yaml:"tokens"`
	Identity  IdentityConfig  `yaml:"identity"`
	Imports   ImportsConfig   `yaml:"imports"`
	Webhooks  WebhooksConfig  `yaml:"webhooks"`
	Audit     AuditConfig     `yaml:"audit"`
	Telemetry TelemetryConfig `yaml:"telemetry"`
	Domains   DomainsConfig   `yaml:"domains"`
	ACME      ACMEConfig      `yaml:"acme"`

	origins map[string]string // where each setting that was given came from, such as "acre.yaml:3"
}

// BootRegistry is a registry that the start makes.
type BootRegistry struct {
	Name          string `yaml:"name" help:"5 to 50 letters and digits."`
	SKU           string `yaml:"sku" help:"Basic, Standard or Premium; empty = Premium."`
	AdminUser     bool   `yaml:"adminUserEnabled" help:"Whether the admin user, named as the registry, can log in."`
	AnonymousPull bool   `yaml:"anonymousPullEnabled" help:"Whether anybody can pull; needs Standard or Premium."`
}

// TLSConfig says what the TLS listener presents. Without files it is certificates of acre's own authority.
type TLSConfig struct {
	Certificate string `yaml:"certificate" help:"PEM file of the certificate and its chain, read again when it changes; empty = acre's own authority issues for every served name."`
	Key         string `yaml:"key" help:"PEM file of the certificate's key."`
}

// ProxiesConfig is about proxies between the clients and this server.
type ProxiesConfig struct {
	Trusted []string `yaml:"trusted" help:"Addresses and ranges of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; empty = nobody's are."`
}

// LogConfig says what is logged, and where to.
type LogConfig struct {
	Level  string `yaml:"level" help:"debug, info, warn or error. Access lines are info."`
	Format string `yaml:"format" help:"text or json."`
	File   string `yaml:"file" help:"File to append to, opened again on SIGHUP; empty = standard error."`
}

// LimitsConfig bounds what clients can ask for.
type LimitsConfig struct {
	MaxUpload     Size          `yaml:"maxUpload" help:"Largest blob taken."`
	Reads         int           `yaml:"reads" help:"Reads under way at once; above, the answer is 503; 0 = no bound."`
	Writes        int           `yaml:"writes" help:"Writes under way at once; 0 = no bound."`
	TokenRequests int           `yaml:"tokenRequests" help:"Requests for tokens that one client, an address or a network of 64 bits, may make at once, and again in each minute; above, the answer is 429; 0 = no bound."`
	Connections   int           `yaml:"connections" help:"Open connections on each listener; more wait to be accepted; 0 = no bound."`
	Headers       Size          `yaml:"headers" help:"Largest request header."`
	Stall         time.Duration `yaml:"stall" help:"How long each MiB of a body may take, in either direction, before the connection is cut."`
	Idle          time.Duration `yaml:"idle" help:"How long a connection without a request stays open."`
	Stop          time.Duration `yaml:"stop" help:"How long a stop waits for requests under way."`
	Tiers         []string      `yaml:"tiers" help:"What registries of a tier may have, where it is not the published limit: Basic.webhooks=5, Premium.maxStorageGiB=1000; the limits are tokens, scopeMaps, ipRules, vnetRules, webhooks, privateEndpoints, connectedRegistries, includedStorageGiB, maxStorageGiB."`
	UploadExpiry  time.Duration `yaml:"uploadExpiry" help:"When an upload that nobody continued is removed."`
}

// DeletedConfig is about registries that were deleted.
type DeletedConfig struct {
	Keep time.Duration `yaml:"keep" help:"How long a registry that was deleted can be restored, and takes up its space; 0 = it is removed at once."`
}

// CollectConfig says how unreferenced bytes are removed.
type CollectConfig struct {
	Interval time.Duration `yaml:"interval" help:"Time between two passes; 0 = only by acre admin gc."`
	Grace    time.Duration `yaml:"grace" help:"How long bytes that nothing refers to are kept."`
}

// TokensConfig is about the tokens that the data plane issues.
type TokensConfig struct {
	AccessLifetime  time.Duration `yaml:"accessLifetime" help:"Life of an access token."`
	RefreshLifetime time.Duration `yaml:"refreshLifetime" help:"Life of a refresh token."`
	KeyRotation     time.Duration `yaml:"keyRotation" help:"Age at which a new signing key takes over; tokens of the old one hold until they expire. 0 = never."`
}

// IdentityConfig is about the directory, and who is trusted besides it.
type IdentityConfig struct {
	Metadata       bool   `yaml:"metadata" help:"Whether programs on this machine get tokens of managed identities without a secret, at /metadata/identity and /msi/token; on with dev."`
	MetadataSecret Secret `yaml:"metadataSecret" help:"What programs send as IDENTITY_HEADER or MSI_SECRET, as file:PATH or env:NAME; empty = that form is off."`
	PrivateIssuers bool   `yaml:"privateIssuers" help:"Whether trusted issuers may be in private networks; with dev on this machine too."`
}

// ImportsConfig says from where images are imported, beside public networks.
type ImportsConfig struct {
	Private  bool `yaml:"private" help:"Whether images may be imported from registries in private networks; on with dev."`
	Loopback bool `yaml:"loopback" help:"Whether they may be imported from registries on this machine, also without TLS; on with dev."`
}

// WebhooksConfig is about what is told to webhooks.
type WebhooksConfig struct {
	Allowed []string `yaml:"allowed" help:"Addresses and ranges that webhooks may call though they are not public: private, loopback or link-local ones. With dev, this machine is allowed."`
}

// AuditConfig is about the record of who did what.
type AuditConfig struct {
	Pulls int           `yaml:"pulls" help:"Pulls that get a row in a second, those of failed ones aside; what goes beyond is counted in one. Each costs some 15 µs."`
	Keep  time.Duration `yaml:"keep" help:"How long its rows are kept; 0 = for ever."`
	File  string        `yaml:"file" help:"File to which each row is appended as a line of JSON; empty = none."`
}

// TelemetryConfig is about traces.
type TelemetryConfig struct {
	OTLP        string  `yaml:"otlp" show:"url" help:"Address of an OpenTelemetry collector, http(s)://host:port; empty = no traces."`
	SampleRatio float64 `yaml:"sampleRatio" help:"Share of requests traced, 0 to 1, where the caller has not decided."`
}

// DomainsConfig is about custom domains of registries.
type DomainsConfig struct {
	Proofs   []string `yaml:"proofs" help:"Ways by which control over a domain may be shown: dns is a TXT record, http an answer of the domain itself, which acre gives where the domain leads to it."`
	Resolver string   `yaml:"resolver" help:"DNS server, as host:port, that is asked for proofs and for the host of acme.directory; empty = the system's."`
}

// ACMEConfig names an authority that certificates for custom domains are got from.
type ACMEConfig struct {
	Directory  string   `yaml:"directory" help:"URL of the directory of an ACME server, such as https://acme-v02.api.letsencrypt.org/directory; whoever sets it agrees to its terms; empty = none."`
	Email      string   `yaml:"email" help:"Where the authority writes to about certificates."`
	KeyID      string   `yaml:"keyId" help:"Key ID of the external account that the authority gave, if it wants one."`
	MACKey     Secret   `yaml:"macKey" help:"The external account's MAC key, in base64url, as file:PATH or env:NAME."`
	Roots      string   `yaml:"roots" help:"PEM file of certificates to trust for the directory itself, as those of a private authority; empty = the system's."`
	Challenges []string `yaml:"challenges" help:"How the authority may see that a domain leads here: http-01 asks port 80, tls-alpn-01 port 443."`
}

// DefaultConfig is what acre serve with nothing given runs with.
func DefaultConfig() Config {
	return Config{
		Data:            "data",
		HTTP:            "127.0.0.1:5000",
		HTTPS:           "127.0.0.1:5443",
		Suffixes:        []string{"acre.localhost"},
		DefaultRegistry: acr.DefaultRegistry,
		Log:             LogConfig{Level: "info", Format: "text"},
		Limits: LimitsConfig{
			MaxUpload: 200 << 30, Reads: 4096, Writes: 4096, TokenRequests: 20000, Connections: 16384, Headers: 32 << 10,
			Stall: time.Minute, Idle: 2 * time.Minute, Stop: 30 * time.Second, UploadExpiry: 7 * 24 * time.Hour,
		},
		Deleted:   DeletedConfig{Keep: 7 * 24 * time.Hour},
		Collect:   CollectConfig{Interval: 10 * time.Minute, Grace: time.Hour},
		Tokens:    TokensConfig{AccessLifetime: time.Hour, RefreshLifetime: 3 * time.Hour, KeyRotation: 90 * 24 * time.Hour},
		Audit:     AuditConfig{Pulls: 500, Keep: 90 * 24 * time.Hour},
		Telemetry: TelemetryConfig{SampleRatio: 1},
		Domains:   DomainsConfig{Proofs: []string{acr.DNSProof, acr.HTTPProof}},
		ACME:      ACMEConfig{Challenges: []string{domain.HTTPChallenge, domain.ALPNChallenge}},
	}
}

// LoadConfig reads the settings: the defaults, then the file (--config, or acre.yaml in the data directory), then
// variables, then flags, each over the one before. What is unknown, malformed or contradictory is an error that
// says where it stands. flag.ErrHelp means that Usage was asked for.
func LoadConfig(args, environ []string) (Config, error) {
	c := DefaultConfig()
	c.origins = map[string]string{}
	flags, err := parseFlags(&c, args)
	if err != nil {
		return Config{}, err
	}
	variables, err := parseEnviron(&c, environ)
	if err != nil {
		return Config{}, err
	}
	over := append(variables, flags...)
	if err := c.readFile(over); err != nil {
		return Config{}, err
	}
	if err := c.assign(over); err != nil {
		return Config{}, err
	}
	if err := c.complete(environ); err != nil {
		return Config{}, err
	}
	return c, c.Check()
}

// readFile finds the file and takes its settings over. One inside the data directory cannot move that directory.
func (c *Config) readFile(over []assignment) error {
	path, data, moved := "", c.Data, false
	for _, a := range over {
		switch a.path {
		case configFlag:
			path = a.text
		case "data":
			data, moved = a.text, true
		}
	}
	named := path != ""
	if !named {
		path = filepath.Join(data, "acre.yaml")
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	c.File = path
	if err := parseFile(c, path, text); err != nil {
		return err
	}
	if !named && !moved && filepath.Clean(c.Data) != filepath.Clean(data) {
		return c.wrong("data", "a file inside of the data directory cannot name another; use --config %s", path)
	}
	return nil
}

// complete fills in what follows from other settings and resolves references to secrets.
func (c *Config) complete(environ []string) error {
	for _, s := range []struct {
		path  string
		value *string
	}{{"meta", &c.Meta}, {"blobs", &c.Blobs}} {
		v, err := resolve(*s.value, environ)
		if err != nil {
			return c.wrong(s.path, "%v", err)
		}
		*s.value = v
	}
	c.SealKey.environ, c.Identity.MetadataSecret.environ, c.ACME.MACKey.environ = environ, environ, environ
	dir, err := filepath.Abs(c.Data)
	if err != nil {
		return c.wrong("data", "%v", err)
	}
	if c.Meta == "" {
		c.Meta = (&url.URL{Scheme: "sqlite", Path: filepath.ToSlash(filepath.Join(dir, "acre.db"))}).String()
	}
	if c.Blobs == "" {
		c.Blobs = diskScheme + "//" + filepath.Join(dir, "blobs")
	}
	for i := range c.Registries {
		if c.Registries[i].SKU == "" {
			c.Registries[i].SKU = "Premium"
		}
	}
	return nil
}

// Check says what is wrong with the values, first of all with the first.
func (c *Config) Check() error {
	for _, check := range []func() error{c.checkPlaces, c.checkAddresses, c.checkProxies, c.checkTiers, c.checkTLS, c.checkNames, c.checkLog, c.checkNumbers, c.checkTelemetry, c.checkDomains} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkPlaces() error {
	if c.Data == "" {
		return c.wrong("data", "no directory is named; give one, such as ./data")
	}
	if err := c.checkURL("meta", c.Meta, "sqlite", "postgres", "postgresql"); err != nil {
		return err
	}
	if !strings.HasPrefix(c.Blobs, diskScheme) { // after which a path stands as it is, not an address to be parsed
		if err := c.checkURL("blobs", c.Blobs, "mem", "disk"); err != nil {
			return err
		}
	}
	for path, secret := range map[string]Secret{"sealKey": c.SealKey, "identity.metadataSecret": c.Identity.MetadataSecret, "acme.macKey": c.ACME.MACKey} {
		if _, err := secret.Read(); err != nil {
			return c.wrong(path, "%v", err)
		}
	}
	return nil
}

const diskScheme = "disk:"

// checkURL does not repeat the value: it may hold a password.
func (c *Config) checkURL(path, value string, schemes ...string) error {
	u, err := url.Parse(value)
	if err != nil {
		return c.wrong(path, "the address is malformed; escape what is special in it, such as %%40 for @ in a password")
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return nil
		}
	}
	return c.wrong(path, "the address begins with %q; %s are known", clipped(u.Scheme), strings.Join(schemes, ", "))
}

func (c *Config) checkAddresses() error {
	if c.HTTP == "" && c.HTTPS == "" && c.Private == "" {
		return c.wrong("http", "all listeners are off; give http, https or private an address")
	}
	taken := map[string]string{}
	for _, l := range []struct{ path, address string }{{"http", c.HTTP}, {"https", c.HTTPS}, {"ops", c.Ops}, {"private", c.Private}} {
		if l.address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.address)
		number, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			return c.wrong(l.path, "%q is no address; give host:port, such as 127.0.0.1:5000, or :5000 for all interfaces", clipped(l.address))
		}
		if c.Dev && !loopback(host) {
			return c.wrong(l.path, "%q is not a loopback address, and dev opens the registry to whoever reaches it; use 127.0.0.1 or drop dev", clipped(l.address))
		}
		if other := taken[l.address]; other != "" && number != 0 {
			return c.wrong(l.path, "%s is the address of %s already; give each its own", l.address, other)
		}
		taken[l.address] = l.path
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) checkProxies() error {
	return errors.Join(c.checkRanges("proxies.trusted", c.Proxies.Trusted), c.checkRanges("webhooks.allowed", c.Webhooks.Allowed))
}

func (c *Config) checkRanges(path string, list []string) error {
	for i, text := range list {
		if _, err := parseRange(text); err != nil {
			if at := fmt.Sprintf("%s[%d]", path, i); c.origins[at] != "" {
				path = at
			}
			return c.wrong(path, "%q is no address or range; write it like 10.0.0.7 or fd00::/8", clipped(text))
		}
	}
	return nil
}

func (c *Config) checkTiers() error {
	if _, err := acr.ParseTiers(c.Limits.Tiers); err != nil {
		return c.wrong("limits.tiers", "%v", err)
	}
	return nil
}

// tiers are the limits of each tier, after Check.
func (c *Config) tiers() acr.Tiers {
	tiers, err := acr.ParseTiers(c.Limits.Tiers)
	if err != nil {
		return acr.DefaultTiers()
	}
	return tiers
}

// parseRange reads an address or a range in CIDR form.
func parseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return a.WithZone("").Prefix(a.BitLen())
	}
	return netip.ParsePrefix(text)
}

// proxies are the trusted ones, after Check.
func (c *Config) proxies() []netip.Prefix { return ranges(c.Proxies.Trusted) }

// ranges are addresses and ranges, after Check.
func ranges(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range list {
		if p, err := parseRange(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

func (c *Config) checkTLS() error {
	switch {
	case (c.TLS.Certificate == "") != (c.TLS.Key == ""):
		return c.wrong("tls.certificate", "certificate and key belong together; give both or neither")
	case c.TLS.Certificate != "" && c.HTTPS == "" && c.Private == "":
		return c.wrong("tls.certificate", "there is a certificate and https is off; give https an address or drop the certificate")
	}
	return nil
}

func (c *Config) checkNames() error {
	seen := map[string]bool{}
	for _, s := range c.Suffixes {
		if !hostName(s) {
			return c.wrong("suffixes", "%q is no domain name; use lower-case letters, digits, - and dots, without one in front", clipped(s))
		}
		if seen["."+s] {
			return c.wrong("suffixes", "%s is there twice", s)
		}
		seen["."+s] = true
	}
	if len(c.Suffixes) == 0 {
		return c.wrong("suffixes", "there is none; name one, such as acre.localhost")
	}
	if err := (acr.Registry{Name: c.DefaultRegistry, SKU: "Premium"}).Validate(); err != nil {
		return c.wrong("defaultRegistry", "%v", err)
	}
	for i, b := range c.Registries {
		path := fmt.Sprintf("registries[%d]", i)
		r := acr.Registry{Name: b.Name, SKU: b.SKU, AnonymousPullEnabled: b.AnonymousPull}
		if err := r.Validate(); err != nil {
			return c.wrong(path, "%v", err)
		}
		if seen[r.Key()] {
			return c.wrong(path, "registry %s is there twice", r.Key())
		}
		seen[r.Key()] = true
	}
	return nil
}

// hostName holds for names of two or more lower-case labels, and for single ones such as localhost.
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

func (c *Config) checkLog() error {
	if _, ok := levels[c.Log.Level]; !ok {
		return c.wrong("log.level", "%q is none of debug, info, warn, error", clipped(c.Log.Level))
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return c.wrong("log.format", "%q is neither text nor json", clipped(c.Log.Format))
	}
	return nil
}

func (c *Config) checkNumbers() error {
	for _, n := range []struct {
		path       string
		value, min int64
		remedy     string
	}{
		{"limits.maxUpload", int64(c.Limits.MaxUpload), 1, "give a size, such as 200GiB"},
		{"limits.reads", int64(c.Limits.Reads), 0, "give 0 for no bound, or more"},
		{"limits.writes", int64(c.Limits.Writes), 0, "give 0 for no bound, or more"},
		{"limits.tokenRequests", int64(c.Limits.TokenRequests), 0, "give 0 for no bound, or more"},
		{"limits.connections", int64(c.Limits.Connections), 0, "give 0 for no bound, or more"},
		{"limits.headers", int64(c.Limits.Headers), 4 << 10, "give 4KiB or more, since tokens are long"},
		{"limits.stall", int64(c.Limits.Stall), int64(time.Second), "give 1s or more"},
		{"limits.idle", int64(c.Limits.Idle), int64(time.Second), "give 1s or more"},
		{"limits.stop", int64(c.Limits.Stop), 0, "give 0s or more"},
		{"limits.uploadExpiry", int64(c.Limits.UploadExpiry), int64(time.Minute), "give 1m or more"},
		{"collect.interval", int64(c.Collect.Interval), 0, "give 0s for never, or more"},
		{"collect.grace", int64(c.Collect.Grace), 0, "give 0s or more; an hour keeps slow pushes safe"},
		{"tokens.accessLifetime", int64(c.Tokens.AccessLifetime), int64(time.Minute), "give 1m or more"},
		{"tokens.refreshLifetime", int64(c.Tokens.RefreshLifetime), int64(c.Tokens.AccessLifetime), "give at least tokens.accessLifetime"},
		{"audit.pulls", int64(c.Audit.Pulls), 0, "give 0 for none, or more"},
		{"deleted.keep", int64(c.Deleted.Keep), 0, "give 0s for not at all, or more"},
		{"audit.keep", int64(c.Audit.Keep), 0, "give 0s for ever, or more"},
		{"tokens.keyRotation", int64(c.Tokens.KeyRotation), 0, "give 0s for never, or more"},
	} {
		if n.value < n.min {
			return c.wrong(n.path, "the value is too small; %s", n.remedy)
		}
	}
	return nil
}

func (c *Config) checkTelemetry() error {
	if r := c.Telemetry.SampleRatio; !(r >= 0 && r <= 1) { // so that NaN is refused too
		return c.wrong("telemetry.sampleRatio", "%v is not between 0 and 1", r)
	}
	if c.Telemetry.OTLP == "" {
		return nil
	}
	if err := c.checkURL("telemetry.otlp", c.Telemetry.OTLP, "http", "https"); err != nil {
		return err
	}
	if u, _ := url.Parse(c.Telemetry.OTLP); u.Host == "" {
		return c.wrong("telemetry.otlp", "the address names no host; give http://host:4318")
	}
	return nil
}

func (c *Config) checkDomains() error {
	for _, list := range []struct {
		path         string
		given, known []string
	}{
		{"domains.proofs", c.Domains.Proofs, []string{acr.DNSProof, acr.HTTPProof}},
		{"acme.challenges", c.ACME.Challenges, []string{domain.HTTPChallenge, domain.ALPNChallenge}},
	} {
		for _, name := range list.given {
			if !slices.Contains(list.known, name) {
				return c.wrong(list.path, "%q is none of %s", clipped(name), strings.Join(list.known, ", "))
			}
		}
		if len(list.given) == 0 {
			return c.wrong(list.path, "there is none; name one or more of %s", strings.Join(list.known, ", "))
		}
	}
	if _, _, err := net.SplitHostPort(c.Domains.Resolver); err != nil && c.Domains.Resolver != "" {
		return c.wrong("domains.resolver", "%q is no address; give host:port, such as 10.0.0.53:53", clipped(c.Domains.Resolver))
	}
	mac, _ := c.ACME.MACKey.Read() // checked before
	switch {
	case c.ACME.Directory == "":
		return nil
	case (c.ACME.KeyID == "") != (mac == ""):
		return c.wrong("acme.keyId", "key ID and MAC key belong together; give acme.keyId and acme.macKey, or neither")
	}
	if _, err := c.acmeRoots(); err != nil {
		return c.wrong("acme.roots", "%v", err)
	}
	return c.checkURL("acme.directory", c.ACME.Directory, "https")
}

// acmeRoots are the certificates of acme.roots; nil: the system's.
func (c *Config) acmeRoots() (*x509.CertPool, error) {
	if c.ACME.Roots == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.ACME.Roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", c.ACME.Roots)
	}
	return pool, nil
}

// wrong is an error about one setting that says where it was given.
func (c *Config) wrong(path, format string, args ...any) error {
	origin := c.origins[path]
	if origin == "" {
		origin = "default"
	}
	return fmt.Errorf("%s: %s: %w", origin, path, fmt.Errorf(format, args...))
}

// Usage writes what acre serve --help says.
func Usage(w io.Writer) {
	fmt.Fprint(w, "Usage: acre serve [--config FILE] [--SETTING VALUE]…\n\n"+
		"Without a flag: SQLite and the local disk under ./data, HTTP on 127.0.0.1:5000, HTTPS on 127.0.0.1:5443.\n\n"+
		"  --config FILE\n        YAML file of settings; acre.yaml in the data directory where it exists\n")
	c := DefaultConfig()
	for _, s := range settings(&c) {
		if !s.text() {
			continue
		}
		fmt.Fprintf(w, "  --%s\n        %s", s.flag(), s.help)
		if !s.value.IsZero() {
			fmt.Fprintf(w, " Default: %s.", shown(s))
		}
		fmt.Fprintln(w)
	}
}
