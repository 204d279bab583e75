package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Bounds of a call to an issuer.
const (
	fetchTime    = 5 * time.Second
	maxAnswer    = 512 << 10
	maxRedirects = 3
)

// fetcher gets documents of issuers: over https, within bounds, and not from the server's own network unless that is
// allowed.
type fetcher struct {
	may    acr.Outbound
	client *http.Client
}

func newFetcher(opt Options) *fetcher {
	f := &fetcher{may: acr.Outbound{Loopback: opt.Loopback, Private: opt.PrivateIssuers}}
	// Addresses are checked when they are called, behind every name, redirect and change of mind of a name server.
	dialer := &net.Dialer{Timeout: fetchTime, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !f.may.May(at.Addr()) {
			return fmt.Errorf("%s is not an address at which an issuer may be", address)
		}
		return nil
	}}
	f.client = &http.Client{
		Timeout: fetchTime,
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: fetchTime, MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost: 4, DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: opt.IssuerRoots}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return f.check(r.URL.String())
		},
	}
	return f
}

// check refuses an address that would not be called. Errors: fault.Invalid.
func (f *fetcher) check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(address) > maxRedirect:
		return fault.New(fault.Invalid, "%.200q is not an issuer's address", address)
	case u.Scheme == "https", u.Scheme == "http" && f.may.Loopback && thisMachine(u.Hostname()), u.Scheme == "http" && f.may.Loopback && strings.HasSuffix(u.Hostname(), ".localhost"):
		return nil
	}
	return fault.New(fault.Invalid, "issuer %.200q must begin with https://", address)
}

// get fetches a document.
func (f *fetcher) get(ctx context.Context, address string) ([]byte, error) {
	if err := f.check(address); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", address, answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New(address + " answered more than an issuer has to say")
	}
	return body, err
}
