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

// versions are what clients are told that a provider serves, newest first; the first that is no preview is the default.
var versions = map[string][]string{
	Provider: {
		"2026-09-01-preview", "2026-03-01-preview", "2026-01-01-preview", "2025-12-01-preview", "2025-11-01", "2025-09-01-preview", "2025-06-01-preview",
		"2025-05-01-preview", "2025-04-01", "2025-03-01-preview", "2024-11-01-preview", "2023-11-01-preview", "2023-08-01-preview", "2023-07-01",
		"2023-06-01-preview", "2023-01-01-preview", "2022-12-01", "2022-02-01-preview", "2021-12-01-preview", "2021-09-01", "2021-08-01-preview",
		"2021-06-01-preview", "2020-11-01-preview", "2019-12-01-preview", "2019-06-01-preview", "2019-05-01", "2019-04-01", "2018-09-01", "2017-10-01",
	},
	Authorization:             {"2022-05-01-preview", "2022-04-01", "2020-05-01", "2020-04-01-preview", "2018-01-01-preview", "2017-04-01", "2016-09-01", "2015-07-01"},
	"Microsoft.Insights":      {"2021-05-01-preview", "2017-05-01-preview", "2015-04-01"},
	"Microsoft.ResourceGraph": {"2024-04-01", "2022-10-01", "2021-03-01"},
	Identity:                  {"2025-05-31-preview", "2024-11-30", "2023-01-31", "2018-11-30"},
	Resources:                 {"2025-04-01", "2024-11-01", "2023-07-01", "2022-12-01", "2022-09-01", "2021-04-01", "2019-11-01", "2016-06-01"},
}

// Versions lists the api-versions that clients are told of, newest first.
func Versions(provider string) []string {
	if v := versions[provider]; v != nil {
		return v
	}
	return []string{"2025-11-01"}
}

// DefaultVersion is the newest of Versions that is no preview.
func DefaultVersion(provider string) string {
	for _, v := range Versions(provider) {
		if !strings.HasSuffix(v, "-preview") {
			return v
		}
	}
	return ""
}
