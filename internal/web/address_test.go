package web

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestOrigin(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name     string
		remote   string
		forward  []string
		proto    string
		overTLS  bool
		address  string // "" = none
		scheme   string
		inTheLog string
	}{
		{name: "nobody between", remote: "192.0.2.1:99", address: "192.0.2.1", scheme: "http", inTheLog: "192.0.2.1:99"},
		{name: "over TLS", remote: "192.0.2.1:99", overTLS: true, address: "192.0.2.1", scheme: "https", inTheLog: "192.0.2.1:99"},
		{name: "version 4 in 6", remote: "[::ffff:192.0.2.1]:99", address: "192.0.2.1", scheme: "http", inTheLog: "[::ffff:192.0.2.1]:99"},
		{name: "with a zone", remote: "[fe80::1%eth0]:99", address: "fe80::1", scheme: "http", inTheLog: "[fe80::1%eth0]:99"},
		{name: "a unix socket", remote: "@", scheme: "http", inTheLog: "@"},
		{
			name: "a client that pretends", remote: "192.0.2.1:99", forward: []string{"10.0.0.7"}, proto: "https",
			address: "192.0.2.1", scheme: "http", inTheLog: "192.0.2.1:99",
		},
		{name: "one proxy", remote: "10.0.0.1:99", forward: []string{"192.0.2.1"}, address: "192.0.2.1", scheme: "http", inTheLog: "192.0.2.1"},
		{
			name: "a proxy that ends TLS", remote: "10.0.0.1:99", forward: []string{"2001:db8::1"}, proto: "HTTPS",
			address: "2001:db8::1", scheme: "https", inTheLog: "2001:db8::1",
		},
		{
			name: "a proxy that speaks TLS with us and not with the client", remote: "10.0.0.1:99", forward: []string{"192.0.2.1"}, proto: "http", overTLS: true,
			address: "192.0.2.1", scheme: "http", inTheLog: "192.0.2.1",
		},
		{
			name: "two proxies in two lines", remote: "[fd00::1]:99", forward: []string{"198.51.100.9, 192.0.2.1", "10.0.0.2,fd00::2"},
			address: "192.0.2.1", scheme: "http", inTheLog: "192.0.2.1",
		},
		{name: "with ports", remote: "10.0.0.1:99", forward: []string{"[2001:db8::1]:5, 10.0.0.2:443"}, address: "2001:db8::1", scheme: "http", inTheLog: "2001:db8::1"},
		{name: "in brackets", remote: "10.0.0.1:99", forward: []string{"[2001:db8::1]"}, address: "2001:db8::1", scheme: "http", inTheLog: "2001:db8::1"},
		{name: "proxies only", remote: "10.0.0.1:99", forward: []string{"10.0.0.3, 10.0.0.2"}, address: "10.0.0.3", scheme: "http", inTheLog: "10.0.0.3"},
		{name: "a proxy that says nothing", remote: "10.0.0.1:99", address: "10.0.0.1", scheme: "http", inTheLog: "10.0.0.1:99"},
		{name: "nonsense", remote: "10.0.0.1:99", forward: []string{"192.0.2.1, unknown"}, address: "10.0.0.1", scheme: "http", inTheLog: "10.0.0.1:99"},
		{name: "nonsense further left", remote: "10.0.0.1:99", forward: []string{"192.0.2.1,,10.0.0.2"}, address: "10.0.0.2", scheme: "http", inTheLog: "10.0.0.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "http://registry/", nil)
			r.RemoteAddr = c.remote
			if c.overTLS {
				r.TLS = &tls.ConnectionState{}
			}
			for _, line := range c.forward {
				r.Header.Add("X-Forwarded-For", line)
			}
			if c.proto != "" {
				r.Header.Set("X-Forwarded-Proto", c.proto)
			}
			var got *Info
			var scheme, logged string
			s := New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got, scheme = InfoOf(r.Context()), Scheme(r)
				logged = remote(got, r)
			}), Options{Proxies: trusted, Private: true})
			s.ServeHTTP(httptest.NewRecorder(), r)
			want := netip.Addr{}
			if c.address != "" {
				want = netip.MustParseAddr(c.address)
			}
			if got.Address != want || scheme != c.scheme || logged != c.inTheLog || !got.Private {
				t.Errorf("address %v (want %v), scheme %s, logged %s, private %v", got.Address, want, scheme, logged, got.Private)
			}
		})
	}
}

// Without trusted proxies nothing that a client sends changes where it comes from.
func TestOriginTrustsNobody(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "http://registry/", nil)
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	r.Header.Set("X-Forwarded-Proto", "https")
	_, info, _ := run(t, r, func(http.ResponseWriter, *http.Request) error { return nil })
	if want := netip.MustParseAddrPort(r.RemoteAddr).Addr(); info.Address != want || info.Secure || info.Private {
		t.Errorf("info %+v", info)
	}
}
