package acr

import (
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// TimerSchedule is when a timer trigger fires, in UTC: bits of the minutes, hours, days of the month, months and days of the
// week that must all match, unlike those of cron, where either kind of day is enough.
type TimerSchedule [5]uint64

// timerFields are those of a schedule. A name stands for its place in the list, counted from min, and may be cut off behind
// any letter.
var timerFields = [5]struct {
	what     string
	min, max int
	names    []string
}{
	{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}},
	{"day of the week", 0, 6, []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}},
}

// ParseTimer reads five fields: lists of *, of values and of ranges a-b, each with a step behind a slash. Sunday is 0, and 7
// is no day. Errors: Invalid.
func ParseTimer(s string) (TimerSchedule, error) {
	var out TimerSchedule
	parts := strings.Fields(s)
	if len(parts) != len(timerFields) || len(s) > maxSchedule {
		return out, fault.New(fault.Invalid, "schedule %.80q does not have five fields: minute, hour, day of the month, month, day of the week, such as 0 12 * * Mon-Fri", s)
	}
	for i, part := range parts {
		for item := range strings.SplitSeq(part, ",") {
			set := timerSet(i, item)
			if set == 0 {
				f := timerFields[i]
				return out, fault.New(fault.Invalid, "schedule %.80q: %.40q is no %s: use *, %d to %d, ranges such as %d-%d, and steps such as */2",
					s, item, f.what, f.min, f.max, f.min, f.max)
			}
			out[i] |= set
		}
	}
	return out, nil
}

// timerSet reads an item of a field, from-to/step; 0 is none. A single value with a step goes on to the field's end.
func timerSet(field int, item string) (set uint64) {
	f := timerFields[field]
	span, every, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		n, err := strconv.ParseUint(every, 10, 8)
		if err != nil || n < 1 || int(n) > f.max {
			return 0
		}
		step = int(n)
	}
	from, to := f.min, f.max
	if span != "*" {
		first, last, ranged := strings.Cut(span, "-")
		if from = timerValue(field, first); from < 0 {
			return 0
		}
		switch {
		case ranged:
			to = timerValue(field, last)
		case !stepped:
			to = from
		}
	}
	for v := from; v <= to; v += step {
		set |= 1 << v
	}
	return set
}

// timerValue reads a number or a name; -1 is none.
func timerValue(field int, s string) int {
	f := timerFields[field]
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		if v := int(n); v >= f.min && v <= f.max {
			return v
		}
		return -1
	}
	for i, name := range f.names {
		if s != "" && strings.HasPrefix(name, strings.ToLower(s)) {
			return f.min + i
		}
	}
	return -1
}
