package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/ociclient"
)

// defaultSuffix makes a registry's name a host name, where the server does not say which does.
const defaultSuffix = "acre.localhost"

// defaultServer listens where acre serve does unless told otherwise.
const defaultServer = "127.0.0.1:5000"

// target is a registry: the URL that names it, and the address its connections go to if that is another.
type target struct {
	url  *url.URL
	dial string // host:port; "" = the URL's
}

// Host is the login server, under which docker's configuration keeps credentials.
func (t target) Host() string { return t.url.Host }

var registryName = regexp.MustCompile(`^[a-zA-Z0-9]{1,50}$`)

// target finds the registry that a name means: a host[:port] or URL as it is, a bare name on the server at hand.
func (a *app) target(name string) (target, error) {
	if strings.Contains(name, "://") || strings.ContainsAny(name, ".:") || name == "localhost" {
		return a.asURL(name)
	}
	server, err := a.serverURL()
	if err != nil || name == "" || strings.EqualFold(name, acr.DefaultRegistry) {
		return server, err
	}
	if !registryName.MatchString(name) {
		return target{}, fault.New(fault.Invalid, "registry %.100q is neither a name of letters and digits, nor a host[:port], nor a URL", name)
	}
	at := *server.url
	dial := server.dial
	if dial == "" {
		dial = withPort(at)
	}
	suffix := defaultSuffix
	if a.setting(a.server, "ACRE_SERVER", "") == "" {
		addr, err := a.addresses()
		if err != nil {
			return target{}, err
		}
		suffix = cmp.Or(addr.Suffix, suffix)
	}
	at.Host = strings.ToLower(name) + "." + suffix
	if port := server.url.Port(); port != "" {
		at.Host += ":" + port
	}
	return target{url: &at, dial: dial}, nil
}

// serverURL is the server at hand: told, else the one that runs on the data directory, else, where no directory is named, the
// default.
func (a *app) serverURL() (target, error) {
	if told := a.setting(a.server, "ACRE_SERVER", ""); told != "" {
		return a.asURL(told)
	}
	addr, err := a.addresses()
	if err != nil {
		return target{}, err
	}
	switch {
	case addr.HTTP != "":
		return a.here("http://", addr.HTTP)
	case addr.HTTPS != "":
		return a.here("https://", addr.HTTPS)
	}
	if told := a.setting(a.data, "ACRE_DATA", ""); told != "" { // who names a directory means no other server
		return target{}, fault.New(fault.Unavailable, "no server runs on the data directory %s: start it, or name a server with --server", told)
	}
	return a.here("http://", defaultServer)
}

// here is the server at an address of this machine. It goes by the name localhost, under which docker is to use it.
func (a *app) here(scheme, addr string) (target, error) {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return a.asURL(scheme + addr)
	}
	return target{url: &url.URL{Scheme: scheme[:len(scheme)-3], Host: net.JoinHostPort("localhost", port)}, dial: addr}, nil
}

// addresses are where the server on a data directory listens, as it says itself; empty where none does.
type addresses struct {
	HTTP   string `json:"http"`
	HTTPS  string `json:"https"`
	Ops    string `json:"ops"`
	Suffix string `json:"suffix"`
	Dev    bool   `json:"dev"`
}

func (a *app) addresses() (addr addresses, err error) {
	name := filepath.Join(a.dataDir(), "acre.addr")
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return addr, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &addr)
	}
	if err != nil {
		return addr, fault.New(fault.Invalid, "%s does not say where the server listens (%w): name it with --server", name, err)
	}
	return addr, nil
}

// asURL reads host[:port] or a URL. Without a scheme it is HTTPS, but on this machine HTTP, except on the ports where
// acre speaks TLS.
func (a *app) asURL(s string) (target, error) {
	if !strings.Contains(s, "://") {
		scheme, err := a.scheme(s)
		if err != nil {
			return target{}, err
		}
		s = scheme + "://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return target{}, fault.New(fault.Invalid, "%.200q is no login server: write host[:port] or https://host[:port]", s)
	}
	t := target{url: &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}}
	if strings.HasSuffix(t.url.Hostname(), ".localhost") { // names of this machine, whatever resolves them (RFC 6761)
		t.dial = net.JoinHostPort("127.0.0.1", portOf(*t.url))
	}
	return t, nil
}

func (a *app) scheme(hostport string) (string, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = hostport, ""
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	local := host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
	if !local || port == "443" || port == "5443" {
		return "https", nil
	}
	addr, err := a.addresses()
	if err != nil {
		return "", err
	}
	if _, tlsPort, err := net.SplitHostPort(addr.HTTPS); err == nil && tlsPort == port {
		return "https", nil
	}
	return "http", nil
}

func portOf(u url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

func withPort(u url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

// transport makes the target's connections.
func (a *app) transport(t target) (tr *http.Transport, err error) {
	tr = &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second, IdleConnTimeout: 30 * time.Second,
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if t.dial != "" && addr == withPort(*t.url) {
			addr = t.dial
		}
		return dialer.DialContext(ctx, network, addr)
	}
	if t.dial != "" {
		tr.Proxy = nil // the address is known
	}
	tr.TLSClientConfig, err = a.trust(t)
	return tr, err
}

// trust is what certificates of a target are held against: the system's, and those of --ca, or, for a server on this
// machine, the authority of the one on the data directory. nil is the system's alone.
func (a *app) trust(t target) (*tls.Config, error) {
	pem, err := a.trusted(t)
	if err != nil || pem == nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "%s holds no PEM certificate; write one with acre admin ca export", a.setting(a.ca, "ACRE_CA", ""))
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

func (a *app) trusted(t target) ([]byte, error) {
	if file := a.setting(a.ca, "ACRE_CA", ""); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fault.New(fault.Invalid, "certificates to trust: %w; write them with acre admin ca export", err)
		}
		return pem, nil
	}
	if t.url.Scheme != "https" || !isLoopback(t) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	pem, err := a.authority(ctx)
	if err != nil {
		return nil, nil //nolint:nilerr // a server of somebody else's, with a certificate that the system trusts
	}
	return pem, nil
}

// client talks to the target with these credentials.
func (a *app) client(t target, cred ociclient.Credential) (*ociclient.Client, error) {
	tr, err := a.transport(t)
	if err != nil {
		return nil, err
	}
	return ociclient.New(ociclient.Options{
		BaseURL: t.url.String(), Credential: ociclient.Static(t.url.String(), cred), Transport: tr, UserAgent: userAgent(),
	})
}
