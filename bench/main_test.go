package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/acre-registry/acre/bench/ceiling"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the test binary be the ceiling, as the harness starts itself for that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ceilingVerb {
		if err := ceiling.Main(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestRunMeasuresEveryCase(t *testing.T) {
	t.Parallel()
	var out, progress bytes.Buffer
	dir := t.TempDir()
	code := run(t.Context(), []string{"--quick", "--start", "ceiling", "--start", "ceiling-nosync", "--dir", dir, "-o", "json"}, &out, &progress)
	if code != 0 {
		t.Fatalf("exit code %d; progress:\n%s", code, progress.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("report: %v\n%s", err, out.String())
	}
	got := map[string]figure{}
	for _, f := range r.Figures {
		got[f.Case+" "+f.Target] = f
	}
	proc := usageOf(os.Getpid()).ok
	for _, c := range allCases(sizes{}) {
		for _, target := range []string{"ceiling", "ceiling-nosync"} {
			f, ok := got[c.name+" "+target]
			if !ok {
				t.Errorf("%s at %s is not reported", c.name, target)
				continue
			}
			if f.Unsupported && !proc && strings.HasPrefix(c.name, "memory.") {
				continue
			}
			if !f.valid() {
				t.Errorf("%s at %s is invalid: unsupported %v, error %q", c.name, target, f.Unsupported, f.Error)
			}
			if c.name != "referrers.lost" && f.Median <= 0 {
				t.Errorf("%s at %s: median %v, want more than nothing", c.name, target, f.Median)
			}
		}
	}
	if lost := got["referrers.lost ceiling"]; lost.Median != 0 {
		t.Errorf("the ceiling lost %v referrers", lost.Median)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("data left behind: %v, %v", left, err)
	}
}

func TestRunTellsWhatIsInvalid(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Error(w, "out of order", http.StatusInternalServerError)
		}
	}))
	defer broken.Close()
	var out, progress bytes.Buffer
	code := run(t.Context(), []string{"--quick", "--target", "broken=" + broken.URL, "--cases", "ping.*,push.1m.*"}, &out, &progress)
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"push.1m.c8 at broken is invalid: POST /v2/", "status 500 out of order"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "ping.c8 at broken") {
		t.Errorf("the figure of the ping is called invalid:\n%s", out.String())
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"no case", []string{"--cases", "nothing.*"}, "no case matches"},
		{"bad pattern", []string{"--cases", "["}, "case pattern"},
		{"argument", []string{"acre"}, "unexpected argument"},
		{"format", []string{"-o", "xml"}, "want table, md or json"},
		{"rounds", []string{"--rounds", "0"}, "must be above zero"},
		{"scale", []string{"--scale", "10"}, "want more than 1000"},
		{"same name", []string{"--start", "ceiling", "--start", "ceiling"}, "two targets are called ceiling"},
		{"unknown server", []string{"--start", "harbour"}, "name others with --target"},
		{"no binary", []string{"--start", "acre", "--acre", "/nonexistent/acre"}, "make build"},
		{"no server", []string{"--target", "gone=http://127.0.0.1:1"}, "GET /v2/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			if code := run(t.Context(), tc.args, &out, &errs); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if !strings.Contains(errs.String(), tc.want) {
				t.Errorf("said %q, want it to contain %q", errs.String(), tc.want)
			}
		})
	}
}

func TestListNamesTheCases(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--list", "--cases", "push.*"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if s := out.String(); !strings.Contains(s, "push.large.c4") || !strings.Contains(s, "≥ 0.90 × ceiling") || strings.Contains(s, "ping") {
		t.Errorf("list:\n%s", s)
	}
}

func TestScaleComparesCosts(t *testing.T) {
	t.Parallel()
	var out, progress bytes.Buffer
	code := run(t.Context(), []string{"--quick", "--scale", "1200", "--start", "ceiling-nosync", "--dir", t.TempDir()}, &out, &progress)
	if code != 0 {
		t.Fatalf("exit code %d; progress:\n%s", code, progress.String())
	}
	for _, p := range probes() {
		if !strings.Contains(out.String(), p.name) {
			t.Errorf("no row for %q:\n%s", p.name, out.String())
		}
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in, name, base, user, password string
		pid                            int
		fails                          bool
	}{
		{in: "zot=http://127.0.0.1:5000", name: "zot", base: "http://127.0.0.1:5000"},
		{in: "a=https://h:5443,u:p:q,pid=12", name: "a", base: "https://h:5443", user: "u", password: "p:q", pid: 12},
		{in: "a=http://h,pid=7", name: "a", base: "http://h", pid: 7},
		{in: "http://h", fails: true},
		{in: "a=h:5000", fails: true},
		{in: "a=http://h,pid=x", fails: true},
		{in: "a=http://h,nobody", fails: true},
	} {
		t.Run(tc.in, func(t *testing.T) {
			t.Parallel()
			got, err := parseTarget(tc.in)
			if tc.fails {
				if err == nil {
					t.Fatalf("parsed as %+v, want an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.name != tc.name || got.base.String() != tc.base || got.user != tc.user || got.password != tc.password || got.pid != tc.pid {
				t.Errorf("got %+v", got)
			}
		})
	}
}
