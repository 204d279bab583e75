package arm

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Version is an api-version, such as 2025-11-01 or 2026-09-01-preview: any that is well-formed is served, in one superset
// of shapes; what really differs by version asks it.
type Version string

// Faults of a request's api-version.
var (
	MissingVersion = fault.Code{Kind: fault.Invalid, Name: "MissingApiVersionParameter"}
	InvalidVersion = fault.Code{Kind: fault.Invalid, Name: "InvalidApiVersionParameter"}
)

// ParseVersion reads an api-version. Errors: MissingVersion, InvalidVersion.
func ParseVersion(s string) (Version, error) {
	if s == "" {
		return "", fault.New(MissingVersion, "The api-version query parameter (?api-version=) is required for all requests.")
	}
	date, suffix := s, ""
	if len(s) > len(time.DateOnly) {
		date, suffix = s[:len(time.DateOnly)], strings.ToLower(s[len(time.DateOnly):])
	}
	_, err := time.Parse(time.DateOnly, date)
	switch suffix {
	case "", "-preview", "-alpha", "-beta", "-rc", "-privatepreview":
	default:
		err = fault.Invalid
	}
	if err != nil {
		return "", fault.New(InvalidVersion, "The api-version '%.60s' is invalid. It is a date in the form yyyy-MM-dd, and may end in -preview.", s)
	}
	return Version(date + suffix), nil
}

// Date is the version without its suffix; dates compare as strings do.
func (v Version) Date() string { return string(v)[:min(len(v), len(time.DateOnly))] }

// Since tells whether the version is of a date or later.
func (v Version) Since(date string) bool { return v.Date() >= date }
