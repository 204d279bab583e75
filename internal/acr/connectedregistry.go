package acr

import (
	"slices"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// ConnectedRegistry is the resource registries/connectedRegistries: an on-premises child of a registry, or of another
// connected registry of it.
type ConnectedRegistry struct {
	Name          string              `json:"name"`
	Mode          ConnectedMode       `json:"mode"`
	Parent        string              `json:"parent,omitempty"`    // the name of a connected registry; "" is the registry itself
	SyncToken     string              `json:"syncToken,omitempty"` // the name; "" where an identity takes its place
	Identity      AssignedIdentity    `json:"identity,omitzero"`
	Schedule      string              `json:"schedule"`             // when a window of synchronisation opens
	SyncWindow    time.Duration       `json:"syncWindow,omitempty"` // how long it stays open; 0 with a continuous schedule
	MessageTTL    time.Duration       `json:"messageTtl"`
	ClientTokens  []string            `json:"clientTokens,omitempty"` // their names
	LogLevel      string              `json:"logLevel"`
	AuditLog      bool                `json:"auditLog,omitempty"`
	Notifications []string            `json:"notifications,omitempty"`
	Collection    ConnectedCollection `json:"collection"`
	CreatedAt     time.Time           `json:"createdAt"`
	System        SystemData          `json:"systemData,omitzero"`
}

func (ConnectedRegistry) ResourceType() string { return "registries/connectedRegistries" }

// ConnectedMode says what clients may do at a connected registry.
type ConnectedMode string

// Modes of connected registries.
const (
	ConnectedReadOnly  ConnectedMode = "ReadOnly"  // pull
	ConnectedReadWrite ConnectedMode = "ReadWrite" // and push and delete
)

// ParseConnectedMode reads a mode in any letters, and by the names it had once. What is none stays as it is, and is
// refused by Validate.
func ParseConnectedMode(s string) ConnectedMode {
	switch strings.ToLower(s) {
	case "readonly", "mirror":
		return ConnectedReadOnly
	case "readwrite", "registry":
		return ConnectedReadWrite
	}
	return ConnectedMode(s)
}

// Actions are what the sync token of a connected registry of this mode needs on the repositories it holds.
func (m ConnectedMode) Actions() []Action {
	if m == ConnectedReadWrite {
		return []Action{Pull, Push, Delete, MetadataRead, MetadataWrite}
	}
	return []Action{Pull, MetadataRead}
}

// ConnectedCollection says when a connected registry removes what is not needed.
type ConnectedCollection struct {
	Off      bool   `json:"off,omitempty"`
	Schedule string `json:"schedule"`
}

// Continuous is the schedule of every minute: no window closes.
const Continuous = "* * * * *"

// What a connected registry gets where nothing else is said, and the bounds of it.
const (
	DefaultCollection = "0 0 * * *"
	DefaultLogLevel   = "Information"

	maxClientTokens  = 50
	maxNotifications = 500
	day              = 24 * time.Hour
)

var logLevels = []string{"Debug", DefaultLogLevel, "Warning", "Error", "None"}

// Validate checks the name, the mode, the schedules, the durations and the list of notifications.
func (r ConnectedRegistry) Validate() error {
	what := "connected registry " + r.Name
	if err := first(checkConnectedName(r.Name), r.CheckCounts(), r.checkSync(what), r.Identity.Check(what)); err != nil {
		return err
	}
	if r.Mode != ConnectedReadOnly && r.Mode != ConnectedReadWrite {
		return fault.New(fault.Invalid, "%s: mode %.20q is not ReadOnly or ReadWrite", what, r.Mode)
	}
	if (r.SyncToken == "") == (len(r.Identity.Users) == 0) || len(r.Identity.Users) > 1 || r.Identity.System {
		return fault.New(fault.Invalid, "%s: give it either a sync token or one user-assigned identity", what)
	}
	if len(r.Identity.Users) > 0 && r.Parent != "" {
		return fault.New(fault.Invalid, "%s: only a connected registry right below the registry can use a managed identity: give it a sync token", what)
	}
	if !slices.Contains(logLevels, r.LogLevel) {
		return fault.New(fault.Invalid, "%s: logLevel %.20q is not %s", what, r.LogLevel, strings.Join(logLevels, ", "))
	}
	if _, err := ParseSchedule(r.Collection.Schedule); err != nil {
		return fault.New(fault.Invalid, "%s: garbage collection: %w", what, err)
	}
	for _, s := range r.Notifications {
		if _, err := ParseNotification(s); err != nil {
			return fault.New(fault.Invalid, "%s: %w", what, err)
		}
	}
	return nil
}

// CheckCounts bounds what is looked at one by one. Errors: Invalid.
func (r ConnectedRegistry) CheckCounts() error {
	what := "connected registry " + r.Name
	return first(checkCount(what+": client tokens", len(r.ClientTokens), maxClientTokens), checkCount(what+": notifications", len(r.Notifications), maxNotifications))
}

// checkConnectedName wants 5 to 40 characters, a letter first.
func checkConnectedName(name string) error {
	ok := name != "" && alphanumeric(name[0]) && (name[0] < '0' || name[0] > '9')
	if !ok || connectedRegistryNames.check(name) != nil || len(name) > 40 {
		return fault.New(fault.Invalid, "connected registry name %.60q is not valid: use 5 to 40 letters, digits, dashes and underscores, and begin with a letter", name)
	}
	return nil
}

func (r ConnectedRegistry) checkSync(what string) error {
	if _, err := ParseSchedule(r.Schedule); err != nil {
		return fault.New(fault.Invalid, "%s: %w", what, err)
	}
	switch {
	case r.Schedule == Continuous && r.SyncWindow != 0:
		return fault.New(fault.Invalid, "%s: a continuous schedule has no syncWindow", what)
	case r.Schedule != Continuous && (r.SyncWindow < time.Hour || r.SyncWindow > 7*day):
		return fault.New(fault.Invalid, "%s: the schedule %s needs a syncWindow of PT1H to P7D, not %s", what, r.Schedule, FormatDuration(r.SyncWindow))
	case r.MessageTTL < day || r.MessageTTL > 90*day:
		return fault.New(fault.Invalid, "%s: the messageTtl is P1D to P90D, not %s", what, FormatDuration(r.MessageTTL))
	}
	return nil
}
