package directory

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

func TestDevice(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		u := w.user("ann@acre.localhost")
		other, _, _ := w.application(NewApplication{DisplayName: "other", Public: true})
		begin := func() Device {
			t.Helper()
			d, err := w.a.BeginDevice(w.Context(), ask(Request{ClientID: azure, Scope: armAll + " offline_access openid profile"}))
			w.ok(err)
			return d
		}
		poll := func(s *Service, code string) (Tokens, error) {
			return s.Token(w.Context(), Request{Tenant: "organizations", Grant: DeviceGrant, ClientID: azure, DeviceCode: code, Origin: origin, Address: address})
		}
		d := begin()
		if len(d.UserCode) != userCodeSize || len(d.Code) < 40 || d.Interval != 5*time.Second || !d.Expires.Equal(w.now().Add(15*time.Minute)) {
			t.Errorf("began %+v", d)
		}
		_, err := poll(w.b, d.Code)
		w.refused("not decided", err, "authorization_pending", 70016)
		_, err = poll(w.b, d.Code)
		w.refused("too soon", err, "slow_down", 70016)
		w.advance(5 * time.Second)
		_, err = poll(w.b, d.Code)
		w.refused("in time", err, "authorization_pending", 70016)
		typed := strings.ToLower(d.UserCode[:4] + "-" + d.UserCode[4:])
		if id, name, err := w.b.DeviceAsked(w.Context(), typed, address); err != nil || !wellKnownClient(id) || name != "Microsoft Azure CLI" {
			t.Errorf("asked by %q, %v", name, err)
		}
		w.refused("wrong password", w.a.DecideDevice(w.Context(), Decision{UserCode: typed, Username: u.Name, Password: "x", Address: address}), "invalid_grant", 50126)
		w.refused("wrong code", w.a.DecideDevice(w.Context(), Decision{UserCode: "AAAAAAAAA", Username: u.Name, Password: password, Address: address}), "bad_verification_code", 70018)
		w.ok(w.b.DecideDevice(w.Context(), Decision{UserCode: typed, Username: u.Name, Password: password, Address: address}))
		w.refused("decided twice", w.a.DecideDevice(w.Context(), Decision{UserCode: typed, Username: u.Name, Password: password, Address: address}), "bad_verification_code", 70018)
		_, err = w.a.Token(w.Context(), ask(Request{Grant: OldDeviceGrant, ClientID: other.AppID, DeviceCode: d.Code}))
		w.refused("another client", err, "invalid_grant", 700005)

		// Of many at once, on two nodes, one gets tokens.
		var wait sync.WaitGroup
		var mu sync.Mutex
		var got []Tokens
		for i := range 8 {
			wait.Go(func() {
				tokens, err := poll([]*Service{w.a, w.b}[i%2], d.Code)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got = append(got, tokens)
				}
			})
		}
		wait.Wait()
		if len(got) != 1 {
			t.Fatalf("%d of 8 got tokens", len(got))
		}
		if got[0].Resource != "https://management.core.windows.net/" || got[0].Refresh == "" || got[0].ID == "" || got[0].ObjectID != u.ID {
			t.Errorf("got %+v", got[0])
		}
		_, err = poll(w.a, d.Code)
		w.refused("used", err, "bad_verification_code", 70018)

		d = begin()
		w.ok(w.a.DecideDevice(w.Context(), Decision{UserCode: d.UserCode, Username: u.Name, Password: password, Address: address, Decline: true}))
		_, err = poll(w.a, d.Code)
		w.refused("declined", err, "authorization_declined", 70018)

		d = begin()
		w.advance(deviceLife)
		_, err = poll(w.a, d.Code)
		w.refused("expired", err, "expired_token", 70020)
		w.refused("decided late", w.a.DecideDevice(w.Context(), Decision{UserCode: d.UserCode, Username: u.Name, Password: password, Address: address}), "bad_verification_code", 70018)
		w.advance(deviceLife)
		w.ok(w.a.Sweep(w.Context()))
		_, err = poll(w.a, d.Code)
		w.refused("forgotten", err, "bad_verification_code", 70018)

		d = begin()
		w.ok(w.a.DecideDevice(w.Context(), Decision{UserCode: d.UserCode, Username: u.Name, Password: password, Address: address}))
		w.advance(time.Second)
		w.ok(w.a.RevokeSignIns(w.owner, u.ID))
		_, err = poll(w.a, d.Code)
		w.refused("revoked meanwhile", err, "invalid_grant", 50173)
	})
}

// Who tries codes is slowed, and who begins sign-ins is bounded.
func TestDeviceGuessing(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		tries := 0
		for ; tries < 1000; tries++ {
			if _, _, err := w.a.DeviceAsked(w.Context(), newUserCode(), address); errors.Is(err, fault.TooMany) {
				break
			}
		}
		if tries > freePerAccount {
			t.Errorf("%d tries", tries)
		}
		for i := range maxDevicesEach + 1 {
			_, err := w.a.BeginDevice(w.Context(), ask(Request{ClientID: azure}))
			if (err == nil) != (i < maxDevicesEach) {
				t.Fatalf("beginning %d: %v", i, err)
			}
		}
		w.advance(deviceLife + time.Second)
		_, err := w.a.BeginDevice(w.Context(), ask(Request{ClientID: azure}))
		w.ok(err)
	})
}
