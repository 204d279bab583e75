package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Bounds of the device flow. A code to be typed has 45 bits, of which at most ten thousand are out at once for a quarter of
// an hour, and who tries codes is slowed as who tries passwords.
const (
	deviceLife     = 15 * time.Minute
	deviceMemory   = 30 * time.Minute // how long a code is known as expired
	userCodeSize   = 9
	maxDevices     = 10_000
	maxDevicesEach = 60                                 // from an address
	userCodeChars  = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" // 32 that are not taken for one another
)

// Kinds of memos.
const (
	deviceMemo   = "device"      // by the hash of the device code
	userCodeMemo = "device-user" // by the code that is typed: the hash of the device code
)

// Device is a device flow that has begun.
type Device struct {
	Code     string // for the client
	UserCode string // for the user to type
	Expires  time.Time
	Interval time.Duration
}

// device is what is kept of one.
type device struct {
	Client   string
	Scope    string
	Resource string
	Expires  int64 // seconds
	User     string
	Made     int64 // when the user signed in, microseconds
	Declined bool
}

// BeginDevice begins a device flow. Errors: a Refusal.
func (s *Service) BeginDevice(ctx context.Context, r Request) (Device, error) {
	if _, err := s.TenantID(r.Tenant); err != nil {
		return Device{}, err
	}
	if _, err := s.asked(r.Scope, r.Resource); err != nil {
		return Device{}, err
	}
	c, err := s.clientOf(ctx, r, false)
	if err != nil {
		return Device{}, err
	}
	if err := s.guess.mayBegin(r.Address); err != nil {
		return Device{}, err
	}
	now := s.opt.DB.Now()
	d := Device{Code: rand.Text() + rand.Text(), UserCode: newUserCode(), Expires: now.Add(deviceLife), Interval: s.opt.DeviceInterval}
	doc, err := json.Marshal(device{Client: c.clientID, Scope: r.Scope, Resource: r.Resource, Expires: d.Expires.Unix()})
	if err != nil {
		return Device{}, err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		n, err := tx.CountMemos(userCodeMemo, maxDevices)
		if err == nil && n >= maxDevices {
			err = refuse(tooManyDevices, "Too many sign-ins with a device code are under way. Try again later.")
		}
		if err != nil {
			return err
		}
		name := hashed(d.Code)
		if _, err := tx.Remember(deviceMemo, name, doc, now.Add(deviceMemory)); err != nil {
			return err
		}
		fresh, err := tx.Remember(userCodeMemo, d.UserCode, []byte(name), d.Expires)
		if err == nil && !fresh {
			err = fault.New(fault.Unavailable, "the code %s is taken: try again", d.UserCode)
		}
		return err
	})
	return d, err
}

func newUserCode() string {
	b := make([]byte, userCodeSize)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = userCodeChars[int(b[i])%len(userCodeChars)] // 32 divides 256
	}
	return string(b)
}

// cleanUserCode is a code as it was made, however it was typed.
func cleanUserCode(typed string) string {
	if len(typed) > 4*userCodeSize {
		return ""
	}
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' {
			return -1
		}
		return r
	}, typed))
}

// hashed is a code as it is kept: who reads the store learns none.
func hashed(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// deviceGuesser is the name under which tries of codes are counted.
const deviceGuesser = "\x00device"

// DeviceAsked tells which client a typed code is of, by its ID and by a name, so that the user sees what they let in.
// Errors: a Refusal.
func (s *Service) DeviceAsked(ctx context.Context, userCode, address string) (clientID, clientName string, err error) {
	d, _, _, err := s.deviceTyped(ctx, userCode, address)
	if err != nil {
		return "", "", err
	}
	return d.Client, s.clientName(ctx, d.Client), nil
}

// clientName is what a client is called on pages.
func (s *Service) clientName(ctx context.Context, appID string) string {
	if name := wellKnownClients[appID]; name != "" {
		return name
	}
	app, _, err := s.clientNamed(ctx, appID)
	if err != nil {
		return appID
	}
	return app.DisplayName
}

// deviceTyped finds the flow of a typed code. Errors: a Refusal.
func (s *Service) deviceTyped(ctx context.Context, userCode, address string) (d device, name string, doc []byte, err error) {
	if err := s.guess.allow(deviceGuesser, address); err != nil {
		return d, "", nil, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		ref, found, err := tx.Recall(userCodeMemo, cleanUserCode(userCode))
		if err != nil || !found {
			return err
		}
		name = string(ref)
		doc, found, err = tx.Recall(deviceMemo, name)
		if err == nil && found {
			err = json.Unmarshal(doc, &d)
		}
		return err
	})
	if err == nil && (d.Client == "" || d.User != "" || d.Declined || s.opt.DB.Now().Unix() >= d.Expires) {
		s.guess.failed(deviceGuesser, address)
		err = refuse(badDevice, "That code didn't work. Check the code and try again.")
	}
	return d, name, doc, err
}

// Decision is what a user says about a code that they typed, with what proves who they are.
type Decision struct {
	UserCode           string
	Username, Password string
	Address            string
	Decline            bool
}

// DecideDevice lets the client of a typed code in as the user, or declines it; once. Errors: a Refusal.
func (s *Service) DecideDevice(ctx context.Context, by Decision) error {
	d, name, doc, err := s.deviceTyped(ctx, by.UserCode, by.Address)
	if err != nil {
		return err
	}
	a, err := s.known(s.signIn(ctx, by.Username, by.Password, by.Address))
	if err != nil {
		return err
	}
	d.User, d.Made, d.Declined = a.ID, s.opt.DB.Now().UnixMicro(), by.Decline
	now, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		done, err := tx.Amend(deviceMemo, name, doc, now)
		if err == nil && !done {
			err = refuse(badDevice, "That code has been used. Ask for another.")
		}
		if err != nil {
			return err
		}
		_, err = tx.Forget(userCodeMemo, cleanUserCode(by.UserCode), []byte(name))
		return err
	})
}

// redeemDevice gives tokens for a device code, once its user has let the client in; once. Errors: a Refusal.
func (s *Service) redeemDevice(ctx context.Context, r Request) (Tokens, error) {
	c, err := s.clientOf(ctx, r, false)
	if err != nil {
		return Tokens{}, err
	}
	if r.DeviceCode == "" || len(r.DeviceCode) > maxSecret {
		return Tokens{}, refuse(badRequest, "The request body must contain the following parameter: 'device_code'.")
	}
	name := hashed(r.DeviceCode)
	var doc []byte
	var d device
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) { doc, _, err = tx.Recall(deviceMemo, name); return err }); err != nil {
		return Tokens{}, err
	}
	if doc == nil {
		return Tokens{}, refuse(badDevice, "The provided value for the input parameter 'device_code' is not valid. It has been used, or never was.")
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return Tokens{}, err
	}
	now := s.opt.DB.Now()
	switch {
	case d.Client != c.clientID:
		return Tokens{}, refuse(otherClients, "The provided device code was issued to another client.")
	case d.Declined:
		return Tokens{}, refuse(declined, "Authorization was declined.")
	case now.Unix() >= d.Expires:
		return Tokens{}, refuse(expiredDevice, "The device code has expired. Ask for another.")
	case d.User == "":
		return Tokens{}, s.tooSoon(name, now)
	}
	a, err := s.stillSignedIn(ctx, d.User, d.Made)
	if err != nil {
		return Tokens{}, err
	}
	want, err := s.asked(d.Scope, d.Resource) // what the user was asked about, whatever is asked now
	if err != nil {
		return Tokens{}, err
	}
	if err := s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		done, err := tx.Forget(deviceMemo, name, doc)
		if err == nil && !done {
			err = refuse(badDevice, "The device code has been used.")
		}
		return err
	}); err != nil {
		return Tokens{}, err
	}
	return s.userTokens(a, c.proof, want, session{origin: r.Origin, made: time.UnixMicro(d.Made), scope: d.Scope})
}

// tooSoon says that the user has not decided yet, or that the client asks more than twice as often as it should.
func (s *Service) tooSoon(name string, now time.Time) error {
	last, seen := s.polls.Get(name)
	s.polls.Add(name, now)
	if age := now.Sub(last); seen && age >= 0 && age < s.opt.DeviceInterval/2 {
		return refuse(slowDown, "The client asks too often. Wait %s between questions.", s.opt.DeviceInterval)
	}
	return refuse(pending, "Authorization is pending. Continue polling.")
}
