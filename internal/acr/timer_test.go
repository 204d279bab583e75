package acr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

func TestParseTimer(t *testing.T) {
	t.Parallel()
	bits := func(list ...int) (set uint64) {
		for _, n := range list {
			set |= 1 << n
		}
		return set
	}
	all := func(from, to int) (set uint64) {
		for n := from; n <= to; n++ {
			set |= 1 << n
		}
		return set
	}
	for s, want := range map[string]acr.TimerSchedule{
		"* * * * *":                 {all(0, 59), all(0, 23), all(1, 31), all(1, 12), all(0, 6)},
		"0 12 * * Mon-Fri":          {bits(0), bits(12), all(1, 31), all(1, 12), all(1, 5)},
		"5/10 */6 1,15 jan-MARCH 0": {bits(5, 15, 25, 35, 45, 55), bits(0, 6, 12, 18), bits(1, 15), bits(1, 2, 3), bits(0)},
		"0-30/15 8-9,20 31 dec sat": {bits(0, 15, 30), bits(8, 9, 20), bits(31), bits(12), bits(6)},
		" 59  23 1 J monday ":       {bits(59), bits(23), bits(1), bits(1), bits(1)}, // the first name that begins so
		"0 0 */31 * sunday,Wed":     {bits(0), bits(0), bits(1), all(1, 12), bits(0, 3)},
	} {
		if got, err := acr.ParseTimer(s); err != nil || got != want {
			t.Errorf("%s: %x, %v, want %x", s, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "* * * *", "* * * * * *", "@daily", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *", "* * * * 7",
		"*/0 * * * *", "*/60 * * * *", "*/x * * * *", "5-1 * * * *", "* * * * Fri-Mon", "1- * * * *", "-1 * * * *", "*-5 * * * *", ", * * * *", "1, * * * *", "* * ? * *",
		"* * L * *", "* * 1W * *", "* * * Foo *", "* * * * Mondays", "+1 * * * *", "0x1 * * * *", "1.5 * * * *", "999999999999999999999 * * * *",
		"* * * * */" + strings.Repeat("1", 300),
	} {
		if _, err := acr.ParseTimer(bad); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "schedule") {
			t.Errorf("%q: %v, want Invalid", bad, err)
		}
	}
}

// Whatever is sent is read or refused, and what is read fires some time.
func FuzzTimer(f *testing.F) {
	for _, s := range []string{"* * * * *", "5/10 */6 1,15 jan-MARCH 0", "0 12 * * Mon-Fri", "", "-/,-/ * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := acr.ParseTimer(s)
		for i, set := range got {
			if err == nil && (set == 0 || set>>60 != 0) {
				t.Errorf("%q: field %d is %x", s, i, set)
			}
		}
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	})
}
