package crash_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/crash"
)

// TestMain is also the process that is to end: with SPEC it arms a point and passes the points that it is told.
func TestMain(m *testing.M) {
	spec, ok := os.LookupEnv("SPEC")
	if !ok {
		os.Exit(m.Run())
	}
	if spec != "" {
		if err := crash.Arm(spec); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(2)
		}
	}
	for name := range strings.FieldsSeq(os.Getenv("PASS")) {
		crash.Point(name)
		os.Stdout.WriteString(name + " ")
	}
	os.Exit(0)
}

func TestPoint(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec, pass string
		code       int
		out        string // points passed, or the start of the error
	}{
		{"", "a b", 0, "a b "},
		{"a", "b a c", crash.Status, "b "},
		{"a:1", "a", crash.Status, ""},
		{"a:3", "a a b a a", crash.Status, "a a b "},
		{"a:3", "a a", 0, "a a "},
		{"a:0", "a", 2, ""},
		{"a:x", "a", 2, ""},
		{"a:", "a", 2, ""},
	} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = []string{"SPEC=" + c.spec, "PASS=" + c.pass}
		var errOut strings.Builder
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != c.code || string(out) != c.out {
			t.Errorf("armed with %q, passing %q: exit %d after %q, want %d after %q", c.spec, c.pass, code, out, c.code, c.out)
		}
		if code == 2 && !strings.Contains(errOut.String(), "write name or name:n") {
			t.Errorf("armed with %q: %s", c.spec, &errOut)
		}
	}
}
