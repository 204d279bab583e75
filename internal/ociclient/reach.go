package ociclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Reach is where registries may be whose names come from outside. The zero value is the public networks alone; addresses of
// one machine's link, where clouds keep credentials, are never reached.
type Reach struct {
	Private  bool // private networks
	Loopback bool // this machine, also without TLS
}

// Bounds of connections to registries whose names come from outside.
const (
	reachDial   = 10 * time.Second
	reachAnswer = 30 * time.Second // until an answer begins
	reachIdle   = 30 * time.Second
	reachConns  = 16 // to one host
)

// special are networks that are nobody's public service: shared, protocol assignments, benchmarks, reserved, translated.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("100::/64"),
}

var carrier = netip.MustParsePrefix("100.64.0.0/10")

// Allows tells whether an address may be called.
func (r Reach) Allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	switch {
	case a.IsLoopback():
		return r.Loopback
	case a.IsPrivate(), carrier.Contains(a):
		return r.Private
	}
	return a.IsGlobalUnicast()
}

// Transport makes connections within reach: an address is held against it when it is called, behind every name, redirect and
// change of mind of a name server. Without TLS only this machine is called, if it may be.
// Errors of it are fault.Blocked.
func (r Reach) Transport(config *tls.Config) *ReachTransport {
	secure := r.transport(r.Allows)
	secure.TLSClientConfig = config
	return &ReachTransport{secure: secure, plain: r.transport(func(a netip.Addr) bool { return r.Loopback && a.Unmap().IsLoopback() })}
}

func (r Reach) transport(allows func(netip.Addr) bool) *http.Transport {
	dialer := &net.Dialer{Timeout: reachDial, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !allows(at.Addr()) {
			return fault.New(fault.Blocked, "the registry's address %s is in a network that this server does not call: its operator can allow it with imports.private, or imports.loopback for its own machine", address)
		}
		return nil
	}}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: reachDial, ResponseHeaderTimeout: reachAnswer, IdleConnTimeout: reachIdle,
		MaxConnsPerHost: reachConns, MaxIdleConnsPerHost: reachConns, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		DisableCompression: true,
	}
}

// ReachTransport sends what has no TLS by a transport of its own.
type ReachTransport struct{ secure, plain *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t *ReachTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.secure.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

// CloseIdleConnections lets go of connections that nothing uses.
func (t *ReachTransport) CloseIdleConnections() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// Plain tells whether a host that may be called without TLS speaks none: host is this machine.
func (r Reach) Plain(ctx context.Context, host string) (bool, error) {
	if !r.Loopback || !thisMachine(host) {
		return false, nil
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "443")
	}
	ctx, cancel := context.WithTimeout(ctx, reachDial)
	defer cancel()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", host) //nolint:gosec // nothing is sent: it is only asked whether there is TLS
	if err == nil {
		return false, conn.Close()
	}
	var other tls.RecordHeaderError
	if errors.As(err, &other) {
		return true, nil
	}
	return false, fault.New(fault.Unavailable, "%s cannot be reached: check its address, that it runs, and the network between: %w", host, err)
}

func thisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}
