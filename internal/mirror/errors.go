package mirror

import (
	"context"
	"errors"

	"github.com/acre-registry/acre/internal/fault"
)

// What becomes of a source's failures. They are told to who asked for the copy, to whom a kind of this server's own would say
// something else.
var (
	SourceFailed       = fault.Code{Kind: fault.Invalid, Name: "SourceRegistryError"}
	sourceUnauthorized = fault.Code{Kind: fault.Invalid, Name: "SourceRegistryUnauthorized"}
	sourceUnknown      = fault.Code{Kind: fault.NotFound, Name: "SourceImageNotFound"}
)

// The documented texts of sources whose ranges are broken.
const (
	notCompliant     = "The remote server may not be RFC 7233 compliant"
	unexpectedStatus = "Unexpected response status code"
	unexpectedLength = "Unexpected length of body in response"
)

// FromSource is an error of the source, as the caller is told. One that is told already stays, and so does a source that
// asks to come back later, and what nobody classified.
func FromSource(err error) error {
	var e *fault.Error
	switch {
	case errors.As(err, new(*told)):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		e = fault.New(fault.Unavailable, "it did not answer in time")
	case !errors.As(err, &e) || e.Kind == fault.TooMany:
		return err
	}
	code := SourceFailed
	switch e.Kind {
	case fault.Blocked:
		return &told{e}
	case fault.Unauthenticated, fault.Denied:
		code = sourceUnauthorized
	case fault.NotFound:
		code = sourceUnknown
	}
	said := fault.New(code, "The source registry failed: %s", e.Message)
	said.Err = err
	return &told{said}
}

// told is an error of the source in its final words.
type told struct{ said *fault.Error }

func (t *told) Error() string { return t.said.Message }
func (t *told) Unwrap() error { return t.said }
