package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// Bounds of what is kept of an answer.
const (
	maxAnswer    = 8 << 10
	maxHeaders   = 40
	maxValue     = 512
	maxRedirects = 3
	dialTime     = 5 * time.Second
)

// exchange is an attempt, as lists show it.
type exchange struct {
	URI     string            `json:"uri"`
	Headers map[string]string `json:"headers"`
	Status  int               `json:"status,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Version string            `json:"version,omitempty"`
	Answer  map[string]string `json:"answer,omitempty"` // its headers
	Body    string            `json:"body,omitempty"`
	Error   string            `json:"error,omitempty"` // why there was no answer

	after time.Duration // that the receiver wants to be left alone
}

func (x exchange) good() bool { return x.Status >= 200 && x.Status <= 299 }

// newClient makes calls without a proxy, without cookies, and to no other host than the webhook's.
func (s *Service) newClient() *http.Client {
	dial := s.opt.Dial
	if dial == nil {
		// Addresses are checked when they are called, behind every name and change of mind of a name server.
		dial = (&net.Dialer{Timeout: dialTime, Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !s.opt.Outbound.May(at.Addr()) {
				return fmt.Errorf("webhooks may not call %s: have the server's operator add it to webhooks.allowed", at.Addr())
			}
			return nil
		}}).DialContext
	}
	return &http.Client{
		Timeout: callTime,
		Transport: &http.Transport{
			DialContext: dial, TLSHandshakeTimeout: dialTime, MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 4 * perWebhook, MaxIdleConnsPerHost: perWebhook,
			IdleConnTimeout: 30 * time.Second, DisableCompression: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.opt.Roots},
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			first := via[0].URL
			if r.Method != http.MethodPost || r.URL.Scheme != first.Scheme || r.URL.Host != first.Host || len(via) > maxRedirects {
				return http.ErrUseLastResponse // which then is the answer, and not a good one
			}
			return nil
		},
	}
}

// call tells a webhook an event, once.
func (s *Service) call(ctx context.Context, w acr.WebhookTarget, d meta.Delivery) exchange {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.To.ServiceURI, bytes.NewReader(d.Payload))
	if err != nil {
		return exchange{Error: "the serviceUri cannot be called"}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "acre-webhook/"+s.opt.Version)
	for name, value := range w.To.Headers() {
		r.Header.Set(name, value)
	}
	s.sign(r.Header, w.To.Secret(), d)
	x := exchange{URI: withoutSecrets(r.URL), Headers: shown(r.Header, w.To)}
	answer, err := s.client.Do(r)
	if err != nil {
		x.Error = reason(err)
		return x
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		x.Error = "the answer broke off: " + reason(err)
		return x
	}
	x.Status, x.Version = answer.StatusCode, fmt.Sprintf("%d.%d", answer.ProtoMajor, answer.ProtoMinor)
	x.Reason = http.StatusText(answer.StatusCode)
	if _, text, ok := strings.Cut(answer.Status, " "); ok && text != "" {
		x.Reason = clip(text)
	}
	x.Body = strings.ToValidUTF8(strings.ReplaceAll(string(body), "\x00", ""), "\uFFFD")
	x.Answer = flat(answer.Header)
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		x.after = min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return x
}

// sign names the delivery, and signs it where the webhook has a secret, as the specification Standard Webhooks has it.
func (s *Service) sign(h http.Header, secret string, d meta.Delivery) {
	at := strconv.FormatInt(s.opt.DB.Now().Unix(), 10)
	h.Set("Webhook-Id", d.Event)
	h.Set("Webhook-Timestamp", at)
	if secret == "" {
		return
	}
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if raw, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			key = raw
		}
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", d.Event, at, d.Payload)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// masked stands for what only get-config shows.
const masked = "***"

// withoutSecrets is an address without what callers prove themselves with.
func withoutSecrets(u *url.URL) string {
	out := *u
	out.User, out.Fragment = nil, ""
	if out.RawQuery != "" {
		out.RawQuery = masked
	}
	return out.String()
}

func shownURI(to acr.WebhookCallback) string {
	u, err := url.Parse(to.ServiceURI)
	if err != nil {
		return masked
	}
	return withoutSecrets(u)
}

// shown are the headers of a request without the values of custom ones.
func shown(h http.Header, to acr.WebhookCallback) map[string]string {
	out := flat(h)
	for name := range to.Headers() {
		if name = http.CanonicalHeaderKey(name); name != "Content-Type" && out[name] != "" {
			out[name] = masked
		}
	}
	return out
}

func flat(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		if len(out) == maxHeaders {
			break
		}
		out[clip(name)] = clip(strings.Join(values, ", "))
	}
	return out
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxValue)], "") }

// reason is why a call had no answer, without the address that it went to.
func reason(err error) string {
	var outer *url.Error
	if errors.As(err, &outer) {
		if outer.Timeout() {
			return fmt.Sprintf("no answer within %s", callTime)
		}
		err = outer.Err
	}
	return clip(err.Error())
}
