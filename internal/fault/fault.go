// Package fault says what can go wrong, once, for every room.
//
// A Kind is what a caller may branch on. A Code is the finer name that a wire
// needs. Services return *Error; each face has one table from kinds to its wire
// (errors.go there), and an error that is no *Error is Internal.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of a failure. It is itself an error, so that
// errors.Is(err, fault.NotFound) holds through any wrapping.
type Kind uint8

// The kinds. Internal is the zero value: whatever nobody classified.
const (
	Internal        Kind = iota
	Invalid              // the input is malformed; the same call can never succeed
	Unauthenticated      // nobody, or credentials that do not hold
	Denied               // somebody, without the right
	Blocked              // the caller's address is refused
	NotFound             // the thing named does not exist
	Exists               // it exists already
	Conflict             // the state of the thing forbids it
	Precondition         // a condition of the caller's does not hold
	OutOfRange           // an offset outside the thing
	TooLarge             // over a size limit
	Disallowed           // locked or over quota
	Unsupported          // understood and not offered
	TooMany              // over a rate limit; After says when to come back
	Unavailable          // cannot answer now; After says when to come back
	Full                 // no space is left on the store
	Upstream             // a far registry or service failed
	kinds
)

var kindNames = [kinds]string{
	"internal error", "invalid", "unauthenticated", "denied", "blocked", "not found", "exists", "conflict",
	"precondition failed", "out of range", "too large", "disallowed", "unsupported", "too many requests",
	"unavailable", "storage full", "upstream failed",
}

// Kinds lists all kinds, so that a face's table can be tested for gaps.
func Kinds() []Kind {
	out := make([]Kind, kinds)
	for i := range out {
		out[i] = Kind(i)
	}
	return out
}

func (k Kind) Error() string                    { return kindNames[k] }
func (k Kind) reason() (kind Kind, code string) { return k, "" }

// Code is a failure's finer name on a wire, such as MANIFEST_UNKNOWN.
type Code struct {
	Kind Kind
	Name string
}

func (c Code) Error() string                    { return c.Name }
func (c Code) Is(target error) bool             { return target == error(c.Kind) }
func (c Code) reason() (kind Kind, code string) { return c.Kind, c.Name }

// Reason is a Kind or a Code.
type Reason interface {
	error
	reason() (kind Kind, code string)
}

// Error is a failure with a text for the user.
type Error struct {
	Kind    Kind
	Code    string        // "" where the kind says enough
	Message string        // for the user: names the thing, says what to do
	Detail  any           // what the data plane puts into "detail"
	After   time.Duration // for TooMany and Unavailable: when to come back; 0 = not known
	Err     error         // the cause, for logs only
}

// New makes an error. Its text is shown to the user; a trailing %w is kept as the cause.
func New(r Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	kind, code := r.reason()
	return &Error{Kind: kind, Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// With adds the detail that the data plane sends.
func (e *Error) With(detail any) *Error { e.Detail = detail; return e }

// In adds when to come back.
func (e *Error) In(after time.Duration) *Error { e.After = after; return e }

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Err }

// Is holds for the error's own Kind and Code.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case Kind:
		return e.Kind == t
	case Code:
		return e.Kind == t.Kind && e.Code == t.Name
	}
	return false
}

// Of finds the *Error in err's chain. Anything else comes back as Internal with err as its cause.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var r Reason
	if errors.As(err, &r) {
		kind, code := r.reason()
		return &Error{Kind: kind, Code: code, Message: err.Error(), Err: err}
	}
	return &Error{Kind: Internal, Message: Internal.Error(), Err: err}
}

// KindOf is the kind of err; Internal where nobody classified it.
func KindOf(err error) Kind { return Of(err).Kind }
