package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func sampleReport() *report {
	cases := []benchCase{
		{name: "manifest.tag.c8", unit: "req/s", budget: budget{ofCeiling: 0.75}, figure: sample.itself},
		{name: "tags.get.c8", unit: "req/s", budget: budget{ofCase: "manifest.tag.c8"}, figure: sample.itself},
		{name: "start", unit: "ms", lower: true, budget: budget{most: 150}, figure: sample.itself},
		{name: "referrers.lost", unit: "lost", lower: true, budget: budget{none: true}, figure: sample.itself},
		{name: "push.large.c4", unit: "MB/s", budget: budget{ofCeiling: 0.9}, figure: sample.itself},
		{name: "ping.c8", unit: "req/s", figure: sample.itself},
	}
	r := &report{
		Machine: machine{Processor: "a processor", Processors: 2, Kernel: "6.1", Go: "go1.26", Filesystem: "ext4"},
		Targets: map[string]string{"acre": "acre 1.0", "ceiling": "the least", "peer": "http://127.0.0.1:5000"},
		order:   []string{"acre", "ceiling", "peer"}, cases: cases,
	}
	values := map[string][][]float64{
		"manifest.tag.c8": {{31000, 30000, 32000}, {40000, 39000, 41000}, {4900}},
		"tags.get.c8":     {{25000}, {38000}, {5900}},
		"start":           {{100}, {5}, {210}},
		"referrers.lost":  {{0}, {0}, nil},
		"push.large.c4":   {{603.4}, {670}, {9.876}},
		"ping.c8":         {{42000.4}, {45000}, nil},
	}
	for _, c := range cases {
		for i, target := range r.order {
			var rounds []sample
			for _, v := range values[c.name][i] {
				s := sample{direct: v, requests: 1000, bytes: 5 * mib, p50: 210 * time.Microsecond, p99: 1500 * time.Microsecond, cpu: 0.5, others: 0.034}
				if target == "peer" {
					s.cpu, s.others = -1, -1
				}
				rounds = append(rounds, s)
			}
			var err error
			switch {
			case c.name == "ping.c8" && target == "peer":
				err = errors.New("GET /v2/: status 500")
			case values[c.name][i] == nil:
				err = errUnsupported
			}
			r.Figures = append(r.Figures, summarize(c, target, rounds, err))
		}
	}
	r.compare()
	return r
}

func TestReportIsRendered(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"table", "md", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			if err := sampleReport().write(&got, format); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "report."+format+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"manifest.tag.c8": "kept", // 31,000 of 40,000
		"tags.get.c8":     "missed",
		"start":           "kept",
		"referrers.lost":  "kept",
		"push.large.c4":   "kept", // 603.4 of 670 is 0.9006
		"ping.c8":         "",     // nothing is promised
	}
	r := sampleReport()
	for _, c := range r.cases {
		if got := r.verdict(c); got != want[c.name] {
			t.Errorf("%s: %q, want %q", c.name, got, want[c.name])
		}
	}
	r.Figures = r.Figures[3:] // without the case that tags.get.c8 is held against
	if got := r.verdict(r.cases[1]); got != "" {
		t.Errorf("tags.get.c8 without its base: %q, want no verdict", got)
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 0.034: "0.03", 9.876: "9.88", 12.34: "12.3", 123.4: "123", 999.6: "1,000", 1234567: "1,234,567", -1234: "-1,234",
	} {
		if got := amount(v); got != want {
			t.Errorf("amount(%v) is %q, want %q", v, got, want)
		}
	}
}
