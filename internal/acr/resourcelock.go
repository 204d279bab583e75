package acr

import (
	"strings"
	"unicode/utf8"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// ResourceLock keeps what lies at a scope, and below it, from being deleted, or changed at all, by the management API. What
// is pushed and deleted in registries is no matter of it.
type ResourceLock struct {
	Name   string    `json:"name"`
	Scope  string    `json:"scope"` // as it was spelled when the lock was made
	Level  LockLevel `json:"level"`
	Notes  string    `json:"notes,omitempty"`
	Owners []string  `json:"owners,omitempty"` // IDs of applications, kept and shown

	System SystemData `json:"systemData,omitzero"`
}

// LockLevel is what a lock forbids.
type LockLevel string

// Levels.
const (
	LockCanNotDelete LockLevel = "CanNotDelete"
	LockReadOnly     LockLevel = "ReadOnly"
)

// Forbids tells whether the level forbids an operation: write, delete or an action.
func (l LockLevel) Forbids(verb string) bool { return l == LockReadOnly || verb == "delete" }

// ResourceLockID is where a lock is kept: below its scope, with which it goes. Errors: Invalid for what is no scope.
func ResourceLockID(scope, name string) (arm.ID, error) {
	return arm.ParseID(strings.TrimSuffix(scope, "/") + "/providers/" + arm.Authorization + "/locks/" + name)
}

// ResourceType names the documents.
func (ResourceLock) ResourceType() string { return "locks" }

// Keys finds locks by their scope.
func (l ResourceLock) Keys() []string { return []string{"scope:" + arm.CleanScope(l.Scope)} }

// Validate checks the name, the level and the notes.
func (l ResourceLock) Validate() error {
	if l.Name == "" || len(l.Name) > 260 || strings.ContainsAny(l.Name, `<>%&?\/`) || strings.ContainsFunc(l.Name, func(c rune) bool { return c < ' ' }) {
		return fault.New(fault.Invalid, "lock name %.60q is not valid: use 1 to 260 characters without <>%%&?\\/ and control characters", l.Name)
	}
	if l.Level != LockCanNotDelete && l.Level != LockReadOnly {
		return fault.New(fault.Invalid, "lock %s: level '%.40s' is not %s or %s", l.Name, l.Level, LockCanNotDelete, LockReadOnly)
	}
	return first(
		checkCount("lock "+l.Name+": characters of the notes", utf8.RuneCountInString(l.Notes), 512),
		checkCount("lock "+l.Name+": owners", len(l.Owners), 32),
	)
}
