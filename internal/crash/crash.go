// Package crash ends the process at named points, so that tests can see what is left behind. Unarmed, a point costs
// one load of a pointer.
package crash

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Status is the exit code at an armed point: what a shell shows for SIGKILL.
const Status = 137

type armed struct {
	name string
	left atomic.Int64
}

var point atomic.Pointer[armed]

// Arm has the process end at the nth passing of a point; spec is "name" or "name:n". Nothing is flushed or closed.
func Arm(spec string) error {
	name, count, found := strings.Cut(spec, ":")
	a := &armed{name: name}
	a.left.Store(1)
	if found {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return fmt.Errorf("crash point %q: write name or name:n", spec)
		}
		a.left.Store(int64(n))
	}
	point.Store(a)
	return nil
}

// Point is a place at which Arm may end the process.
func Point(name string) {
	if a := point.Load(); a != nil && a.name == name && a.left.Add(-1) == 0 {
		os.Exit(Status)
	}
}
