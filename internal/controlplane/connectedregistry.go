package controlplane

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

func (f *Face) connectedRegistryRow() *row {
	connected := rowOf(document[acr.ConnectedRegistry]{
		kind: f.opt.Resources.ConnectedRegistries, row: row{provider: arm.Provider, types: "registries/connectedRegistries"},
		encode: encodeConnected, decode: decodeConnected,
	})
	connected.verbs[list] = listConnected
	connected.verbs["POST deactivate"] = func(c *call) error {
		if err := c.opt.Resources.DeactivateConnected(c.ctx, c.path.ID()); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	connected.verbs["POST resync"] = func(c *call) error { return c.opt.Resources.ResyncConnected(c.ctx, c.path.ID()) }
	return connected
}

type connectedWire struct {
	Type       string              `json:"type"`
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Identity   *assignedWire       `json:"identity,omitempty"`
	SystemData *systemData         `json:"systemData,omitempty"`
	Properties connectedProperties `json:"properties"`
}

type connectedProperties struct {
	ProvisioningState string          `json:"provisioningState"`
	Mode              string          `json:"mode"`
	ConnectionState   string          `json:"connectionState"`
	Activation        statusWire      `json:"activation"`
	Parent            connectedParent `json:"parent"`
	ClientTokenIDs    []string        `json:"clientTokenIds"`
	Logging           loggingWire     `json:"logging"`
	StatusDetails     []any           `json:"statusDetails"`
	NotificationsList []string        `json:"notificationsList"`
	GarbageCollection collectionWire  `json:"garbageCollection"`
	SyncResult        syncResultWire  `json:"registrySyncResult"`
}

type connectedParent struct {
	ID   string   `json:"id,omitempty"` // none below the registry itself
	Sync syncWire `json:"syncProperties"`
}

type syncWire struct {
	TokenID         string `json:"tokenId,omitempty"`
	Schedule        string `json:"schedule"`
	SyncWindow      string `json:"syncWindow,omitempty"`
	MessageTTL      string `json:"messageTtl"`
	GatewayEndpoint string `json:"gatewayEndpoint,omitempty"`
	AuthType        string `json:"authType"`
}

type loggingWire struct {
	LogLevel       string `json:"logLevel"`
	AuditLogStatus string `json:"auditLogStatus"`
}

type collectionWire struct {
	Enabled  bool   `json:"enabled"`
	Schedule string `json:"schedule"`
}

type syncResultWire struct {
	SyncTrigger string `json:"syncTrigger"`
	SyncState   string `json:"syncState"`
}

// Ways in which a connected registry logs in to its parent.
const (
	bySyncToken = "SyncToken"
	byIdentity  = "ManagedIdentity"
)

// States of a connected registry that no instance runs.
const (
	connectionOffline = "Offline"
	activationNone    = "Inactive"
)

func encodeConnected(c *call, kept resource.Kept[acr.ConnectedRegistry]) any {
	r, reg := kept.Doc, kept.In.ID
	out := connectedWire{
		Type: arm.Provider + "/registries/connectedRegistries", ID: kept.ID.String(), Name: r.Name, Identity: wireAssigned(c, r.Identity), SystemData: wireSystem(r.System),
	}
	p := &out.Properties
	p.ProvisioningState, p.Mode, p.ConnectionState, p.Activation = succeeded, string(r.Mode), connectionOffline, statusWire{activationNone}
	p.Parent.Sync = syncWire{Schedule: r.Schedule, MessageTTL: acr.FormatDuration(r.MessageTTL), AuthType: byIdentity}
	if r.SyncToken != "" {
		p.Parent.Sync.TokenID, p.Parent.Sync.AuthType = reg.Child("tokens", r.SyncToken).String(), bySyncToken
	}
	if r.SyncWindow > 0 {
		p.Parent.Sync.SyncWindow = acr.FormatDuration(r.SyncWindow)
	}
	if r.Parent != "" {
		p.Parent.ID = reg.Child("connectedRegistries", r.Parent).String()
	} else {
		label, domain, _ := strings.Cut(strings.ToLower(c.opt.LoginServer(c.r.Host, kept.In.Key())), ".")
		p.Parent.Sync.GatewayEndpoint = label + "." + acr.HomeReplication(kept.In.Registry).Location + ".data." + domain
	}
	p.ClientTokenIDs = []string{}
	for _, name := range r.ClientTokens {
		p.ClientTokenIDs = append(p.ClientTokenIDs, reg.Child("tokens", name).String())
	}
	p.Logging = loggingWire{r.LogLevel, enabled(r.AuditLog)}
	p.StatusDetails, p.NotificationsList = []any{}, texts(r.Notifications)
	p.GarbageCollection = collectionWire{!r.Collection.Off, r.Collection.Schedule}
	p.SyncResult = syncResultWire{"InitialSync", "NotActivated"}
	return out
}

// loose is a truth value, in quotes or not, as one client sends it.
type loose bool

// UnmarshalJSON reads true, false, "true" and "false".
func (l *loose) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseBool(strings.ToLower(strings.Trim(string(text), `"`)))
	*l = loose(v)
	if err != nil {
		return fault.New(fault.Invalid, "%.40s is neither true nor false", text)
	}
	return nil
}

// syncBody is how to keep in step with a parent: a part of it in a PUT, right below the properties in a PATCH.
type syncBody struct {
	TokenID    member[string] `json:"tokenId"`
	Schedule   member[string] `json:"schedule"`
	SyncWindow member[string] `json:"syncWindow"`
	MessageTTL member[string] `json:"messageTtl"`
	AuthType   member[string] `json:"authType"`
}

type connectedBody struct {
	Identity   member[assignedBody] `json:"identity"`
	Properties struct {
		Mode   member[string] `json:"mode"`
		Parent member[struct {
			ID   member[string]   `json:"id"`
			Sync member[syncBody] `json:"syncProperties"`
		}] `json:"parent"`
		Sync           syncBody         `json:"syncProperties"`
		ClientTokenIDs member[[]string] `json:"clientTokenIds"`
		Logging        struct {
			LogLevel       member[string] `json:"logLevel"`
			AuditLogStatus member[any]    `json:"auditLogStatus"`
		} `json:"logging"`
		NotificationsList member[[]string] `json:"notificationsList"`
		GarbageCollection struct {
			Enabled  member[loose]  `json:"enabled"`
			Schedule member[string] `json:"schedule"`
		} `json:"garbageCollection"`
	} `json:"properties"`
}

// decodeConnected takes a PUT as what it is to be; in a PATCH what is null stays, as what is absent.
func decodeConnected(c *call, r *acr.ConnectedRegistry, isNew bool) error {
	var in connectedBody
	if err := c.decode(&in); err != nil {
		return err
	}
	sync := in.Properties.Sync
	if c.r.Method == http.MethodPut {
		parent := in.Properties.Parent.Value
		sync = parent.Sync.Value
		if in.Properties.Mode.Value == "" || sync.MessageTTL.Value == "" {
			return fault.New(fault.Invalid, "The connected registry '%s' needs a mode, and a parent with syncProperties and their messageTtl.", c.path.ID().Name())
		}
		r.Mode = acr.ParseConnectedMode(in.Properties.Mode.Value)
		above, err := c.connectedParent(parent.ID.Value)
		if err != nil {
			return err
		}
		r.Parent, r.SyncToken = above, ""
		r.Schedule, r.SyncWindow, r.ClientTokens, r.Notifications = acr.Continuous, 0, nil, nil
		r.LogLevel, r.AuditLog, r.Collection = acr.DefaultLogLevel, false, acr.ConnectedCollection{Schedule: acr.DefaultCollection}
	}
	if err := sync.onto(c, r); err != nil {
		return err
	}
	if err := in.onto(c, r); err != nil {
		return err
	}
	if err := assign(c, in.Identity, &r.Identity); err != nil {
		return err
	}
	return sync.by(r)
}

// connectedParent is the name of a parent; "" is the registry itself, by no ID or by its own.
func (c *call) connectedParent(id string) (string, error) {
	reg, _ := c.path.ID().Parent()
	if other, err := arm.ParseID(id); err == nil && other.Key() == reg.Key() {
		return "", nil
	}
	return c.sibling("parent.id", id, "connectedRegistries", "connected registry")
}

func (s syncBody) onto(c *call, r *acr.ConnectedRegistry) (err error) {
	if s.TokenID.Value != "" {
		if r.SyncToken, err = c.sibling("parent.syncProperties.tokenId", s.TokenID.Value, "tokens", "token"); err != nil {
			return err
		}
	}
	if s.Schedule.Value != "" {
		r.Schedule = strings.Join(strings.Fields(s.Schedule.Value), " ")
	}
	for _, d := range []struct {
		name string
		sent member[string]
		to   *time.Duration
	}{{"syncWindow", s.SyncWindow, &r.SyncWindow}, {"messageTtl", s.MessageTTL, &r.MessageTTL}} {
		if d.sent.Value == "" {
			continue
		}
		if *d.to, err = acr.ParseDuration("The property '"+d.name+"' of connected registry "+c.path.ID().Name(), d.sent.Value); err != nil {
			return err
		}
	}
	return nil
}

// by holds what is said of the way to log in against what is given for it: an identity takes the place of a token.
func (s syncBody) by(r *acr.ConnectedRegistry) error {
	switch {
	case s.AuthType.Value == "":
	case strings.EqualFold(s.AuthType.Value, byIdentity):
		if s.TokenID.Value == "" {
			r.SyncToken = ""
		}
	case strings.EqualFold(s.AuthType.Value, bySyncToken):
		r.Identity = acr.AssignedIdentity{}
	default:
		return fault.New(fault.Invalid, "The property 'authType' has the value '%.60s': it must be %s or %s.", s.AuthType.Value, bySyncToken, byIdentity)
	}
	return nil
}

func (b connectedBody) onto(c *call, r *acr.ConnectedRegistry) error {
	p := b.Properties
	if p.ClientTokenIDs.Set && !p.ClientTokenIDs.Null {
		r.ClientTokens = nil
		for _, id := range p.ClientTokenIDs.Value {
			name, err := c.sibling("clientTokenIds", id, "tokens", "token")
			if err != nil {
				return err
			}
			if name == "" {
				return fault.New(fault.Invalid, "The clientTokenIds hold an entry that is empty: each is the ID of a token of the registry.")
			}
			r.ClientTokens = append(r.ClientTokens, name)
		}
	}
	if p.NotificationsList.Set && !p.NotificationsList.Null {
		r.Notifications = p.NotificationsList.Value
	}
	if p.Logging.LogLevel.Value != "" {
		r.LogLevel = spelled(p.Logging.LogLevel.Value, "Debug", acr.DefaultLogLevel, "Warning", "Error", "None")
	}
	if gc := p.GarbageCollection; gc.Enabled.Set && !gc.Enabled.Null {
		r.Collection.Off = !bool(gc.Enabled.Value)
	}
	if gc := p.GarbageCollection.Schedule.Value; gc != "" {
		r.Collection.Schedule = strings.Join(strings.Fields(gc), " ")
	}
	return auditLog(p.Logging.AuditLogStatus, &r.AuditLog)
}

// auditLog reads Enabled and Disabled, and the truth value that one client sends in their place.
func auditLog(sent member[any], to *bool) error {
	if !sent.Set || sent.Null {
		return nil
	}
	switch v := sent.Value.(type) {
	case bool:
		*to = v
		return nil
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(v)); err == nil {
			*to = b
			return nil
		}
		return choose(member[string]{Set: true, Value: v}, "auditLogStatus", "Disabled", "Enabled", to)
	}
	return fault.New(fault.Invalid, "The property 'auditLogStatus' must be Enabled or Disabled.")
}

// listConnected lists all at once, in the order in which they were made: a tree reads from its roots.
func listConnected(c *call) error {
	all, err := c.opt.Resources.ListConnected(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	keep, err := c.connectedFilter()
	if err != nil {
		return err
	}
	out := []any{}
	for _, kept := range all {
		if w := encodeConnected(c, kept).(connectedWire); keep(w) {
			out = append(out, w)
		}
	}
	return listed(c, out, "")
}

// connectedFilter reads $filter: parent.id, mode and connectionState, joined by and.
func (c *call) connectedFilter() (func(connectedWire) bool, error) {
	filter := c.query.Get("$filter")
	list, err := terms(filter)
	if err != nil {
		return nil, err
	}
	for i, t := range list {
		switch t.name = strings.TrimPrefix(strings.ReplaceAll(t.name, "/", "."), "properties."); t.name {
		case "parent.id", "connectionstate":
		case "mode":
			t.value = string(acr.ParseConnectedMode(t.value))
		default:
			return nil, fault.New(badFilter, "Invalid $filter '%.200s' specified in the query string: '%s' is not known here; use parent.id, mode or connectionState.", filter, t.name)
		}
		list[i] = t
	}
	return func(w connectedWire) bool {
		for _, t := range list {
			got := map[string]string{"parent.id": w.Properties.Parent.ID, "mode": w.Properties.Mode, "connectionstate": w.Properties.ConnectionState}[t.name]
			if !strings.EqualFold(got, t.value) {
				return false
			}
		}
		return true
	}, nil
}
