package directory

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// sealed is what a refresh token or an authorization code says to this service and to nobody else.
type sealed struct {
	User     string `json:"u"`           // object ID
	Client   string `json:"c"`           // who alone may redeem it
	Scope    string `json:"s,omitempty"` // for a redemption that names none
	Resource string `json:"r,omitempty"`
	Made     int64  `json:"m"` // microseconds: when the user signed in
	Expires  int64  `json:"e"` // seconds

	// Of codes.
	ID        string `json:"i,omitempty"`
	Redirect  string `json:"d,omitempty"`
	Challenge string `json:"h,omitempty"`
	Nonce     string `json:"n,omitempty"`
}

// Kinds of what is sealed; one is never taken for another.
const (
	refreshKind = "refresh"
	codeKind    = "code"
)

// sealedPrefix begins all of them, as it does the real service's, and tells the version.
var sealedPrefix = map[string]string{refreshKind: "1.a", codeKind: "1.c"}

// close seals.
func (s *Service) close(kind string, v sealed) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return sealedPrefix[kind] + base64.RawURLEncoding.EncodeToString(s.seal.Seal(nil, nil, text, []byte(kind))), nil
}

// open reads what close made; ok is false for anything else.
func (s *Service) open(kind, text string) (v sealed, ok bool) {
	body, found := strings.CutPrefix(text, sealedPrefix[kind])
	if !found || len(text) > maxToken {
		return v, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(b) < s.seal.Overhead() {
		return v, false
	}
	plain, err := s.seal.Open(nil, nil, b, []byte(kind))
	if err != nil || json.Unmarshal(plain, &v) != nil {
		return sealed{}, false
	}
	return v, true
}

// expired tells whether its time is over.
func (v sealed) expired(now time.Time) bool { return now.Unix() >= v.Expires }
