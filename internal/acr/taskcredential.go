package acr

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// TaskCredentials are the logins that a run has.
type TaskCredentials struct {
	Source *SourceLogin           `json:"sourceRegistry,omitempty"`
	Custom map[string]CustomLogin `json:"customRegistries,omitempty"` // by login server
}

// SourceLogin is how a run logs in to the registry that it belongs to.
type SourceLogin struct {
	Mode     string `json:"loginMode,omitempty"`
	Identity string `json:"identity,omitempty"` // [system], a client ID, or, of quick runs, [caller]
}

// CustomLogin is how a run logs in to another registry: by a name and a password, or as an identity.
type CustomLogin struct {
	User     *SecretObject `json:"userName,omitempty"`
	Password *SecretObject `json:"password,omitempty"`
	Identity string        `json:"identity,omitempty"`
}

// SecretObject is a text, or the URL of a vault's secret that holds it.
type SecretObject struct {
	Type  string `json:"type,omitempty"`
	Value Sealed `json:"value,omitzero"`
}

// Types of a SecretObject.
const (
	opaque      = "Opaque"
	vaultSecret = "Vaultsecret"
)

const maxLogins = 100

var loginServers = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$`)

func (c *TaskCredentials) complete() {
	if c.Source != nil {
		settleOptional(&c.Source.Mode, "Default", "None")
		settleOptional(&c.Source.Identity, systemIdentity, callerIdentity)
	}
	for _, login := range c.Custom {
		for _, o := range []*SecretObject{login.User, login.Password} {
			if o != nil {
				settle(&o.Type, opaque, vaultSecret)
			}
		}
	}
}

// secrets are the passwords; user names are shown.
func (c *TaskCredentials) secrets() []*Sealed {
	if c == nil {
		return nil
	}
	var out []*Sealed
	for _, host := range slices.Sorted(maps.Keys(c.Custom)) {
		if p := c.Custom[host].Password; p != nil && p.Type != vaultSecret {
			out = append(out, &p.Value)
		}
	}
	return out
}

func (c *TaskCredentials) keepSecrets(old TaskCredentials) {
	for host, now := range c.Custom {
		was := old.Custom[host].Password
		if was != nil && now.Password != nil && now.Password.Value.IsZero() && strings.EqualFold(was.Type, opaque) {
			now.Password.Value = was.Value
		}
	}
}

func (c *TaskCredentials) validate(what string, has AssignedIdentity) error {
	if c == nil {
		return nil
	}
	if err := c.shaped(what); err != nil {
		return err
	}
	if c.Source != nil && c.Source.Identity == callerIdentity {
		return fault.New(fault.Invalid, "%s: credentials.sourceRegistry.identity %s is for runs without a task: use %s or a client ID", what, callerIdentity, systemIdentity)
	}
	for _, as := range c.identities() {
		if !assigned(has, as) {
			return fault.New(fault.Invalid, "%s: credentials name the identity '%.60s', which the task does not have: assign it first, then name it as %s, or by its client ID",
				what, as, systemIdentity)
		}
	}
	return nil
}

// identities are the words by which credentials name them.
func (c *TaskCredentials) identities() []string {
	var out []string
	if c.Source != nil && c.Source.Identity != "" {
		out = append(out, c.Source.Identity)
	}
	for _, host := range slices.Sorted(maps.Keys(c.Custom)) {
		if as := c.Custom[host].Identity; as != "" {
			out = append(out, as)
		}
	}
	return out
}

// Identities as credentials name them; the first is also written without brackets.
const (
	systemIdentity = "[system]"
	callerIdentity = "[caller]"
)

func assigned(has AssignedIdentity, word string) bool {
	if strings.EqualFold(word, systemIdentity) || strings.EqualFold(word, strings.Trim(systemIdentity, "[]")) {
		return has.System
	}
	return slices.ContainsFunc(has.Users, func(u AssignedUser) bool { return strings.EqualFold(u.ClientID, word) })
}

// shaped checks what needs no identity.
func (c *TaskCredentials) shaped(what string) error {
	if s := c.Source; s != nil && s.Mode != "" {
		if err := checkWord(what+": credentials.sourceRegistry.loginMode", s.Mode, "Default", "None"); err != nil {
			return err
		}
	}
	for _, host := range slices.Sorted(maps.Keys(c.Custom)) {
		if !loginServers.MatchString(host) || len(host) > 255 {
			return fault.New(fault.Invalid, "%s: %.100q is no login server: write it like myregistry.azurecr.io", what, host)
		}
		if err := c.Custom[host].validate(what + ": credentials of " + host); err != nil {
			return err
		}
	}
	return checkCount(what+": credentials", len(c.Custom), maxLogins)
}

func (l CustomLogin) validate(what string) error {
	switch user, password := given(l.User), given(l.Password); {
	case user != password:
		return fault.New(fault.Invalid, "%s need both a userName and a password, or an identity alone", what)
	case !user && l.Identity == "":
		return fault.New(fault.Invalid, "%s are empty: give a userName and a password, or an identity", what)
	case !user:
		return nil
	}
	if err := checkShown(what+": userName", l.User.Value); err != nil {
		return err
	}
	for _, o := range []*SecretObject{l.User, l.Password} {
		if err := first(checkWord(what+": type", o.Type, opaque, vaultSecret), checkSecret(what, &o.Value)); err != nil {
			return err
		}
		if o.Type != vaultSecret {
			continue
		}
		u, err := url.Parse(o.Value.Text)
		if err != nil || u.Scheme != "https" || u.Host == "" || !strings.HasPrefix(strings.ToLower(u.Path), "/secrets/") {
			return fault.New(fault.Invalid, "%s: a %s is the URL of a secret in a vault: https://{vault}/secrets/{name}", what, vaultSecret)
		}
		if l.Identity == "" {
			return fault.New(fault.Invalid, "%s: a %s needs an identity that reads the vault", what, vaultSecret)
		}
	}
	return nil
}

func given(o *SecretObject) bool { return o != nil && !o.Value.IsZero() }
