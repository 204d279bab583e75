package acr

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

var duration = regexp.MustCompile(`^P(?:(\d{1,5})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?$`)

// ParseDuration reads a duration of ISO 8601, such as P2D or PT4H; years and months have no fixed length and are refused.
// Errors: Invalid.
func ParseDuration(what, s string) (time.Duration, error) {
	m := duration.FindStringSubmatch(strings.ToUpper(strings.TrimSpace(s)))
	if m == nil || strings.Join(m[1:], "") == "" || strings.HasSuffix(m[0], "T") {
		return 0, fault.New(fault.Invalid, "%s: the duration %.60q is not valid: use ISO 8601, such as P2D for two days or PT4H for four hours", what, s)
	}
	var d time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.ParseInt("0"+m[i+1], 10, 64) // digits, and few
		d += time.Duration(n) * unit
	}
	return d, nil
}

// FormatDuration writes a duration as ISO 8601 does, in days and less.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	out := "P"
	if d >= day {
		out += strconv.FormatInt(int64(d/day), 10) + "D"
		d %= day
	}
	if d == 0 && out != "P" {
		return out
	}
	out += "T"
	for _, part := range []struct {
		unit time.Duration
		mark string
	}{{time.Hour, "H"}, {time.Minute, "M"}, {time.Second, "S"}} {
		if n := d / part.unit; n > 0 || part.mark == "S" && out == "PT" {
			out += strconv.FormatInt(int64(n), 10) + part.mark
		}
		d %= part.unit
	}
	return out
}
