package acr

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/acre-registry/acre/internal/fault"
)

// Schedule is a cron expression of five fields, in UTC.
type Schedule struct {
	Spec string // with single blanks
	cron.Schedule
}

// maxSchedule bounds a schedule, in bytes.
const maxSchedule = 256

// ParseSchedule reads minute, hour, day, month and weekday. Errors: Invalid, also where no such moment ever comes.
func ParseSchedule(spec string) (Schedule, error) {
	fields := strings.Fields(spec)
	bad := func(why any) error {
		return fault.New(fault.Invalid, "the schedule %.100q is not valid: it is a cron expression of minute, hour, day, month and weekday, such as '0 3 * * *': %v", spec, why)
	}
	if len(spec) > maxSchedule {
		return Schedule{}, bad(fmt.Sprintf("it has %d bytes, and %d are allowed", len(spec), maxSchedule))
	}
	if len(fields) != 5 || strings.Contains(spec, "=") { // a time zone is none of them
		return Schedule{}, bad(fmt.Sprintf("it has %d fields", len(fields)))
	}
	spec = strings.Join(fields, " ")
	parsed, err := cron.ParseStandard(spec)
	if err != nil {
		return Schedule{}, bad(err)
	}
	if parsed.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, bad("no such day ever comes")
	}
	return Schedule{spec, parsed}, nil
}
