package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// figure is what one case came to at one target, over all rounds.
type figure struct {
	Case   string    `json:"case"`
	Target string    `json:"target"`
	Unit   string    `json:"unit"`
	Median float64   `json:"median"`
	Rounds []float64 `json:"rounds"`

	P50 float64 `json:"p50_ms,omitempty"` // medians over the rounds, as all below
	P99 float64 `json:"p99_ms,omitempty"`

	CPUPerRequest *float64 `json:"server_cpu_us_per_request,omitempty"`
	CPUPerGB      *float64 `json:"server_cpu_s_per_gb,omitempty"`
	Others        *float64 `json:"others_share,omitempty"` // of the machine, used by neither server nor harness: the noise

	OfCeiling *float64 `json:"ratio_to_ceiling,omitempty"` // how many times as good, for any unit
	OfAcre    *float64 `json:"ratio_to_acre,omitempty"`

	Unsupported bool   `json:"unsupported,omitempty"`
	Error       string `json:"error,omitempty"` // the figure is then invalid
}

func (f figure) valid() bool { return f.Error == "" && !f.Unsupported && len(f.Rounds) > 0 }

// summarize makes the figure of a case's rounds; err is what ended them early.
func summarize(c benchCase, target string, rounds []sample, err error) figure {
	f := figure{Case: c.name, Target: target, Unit: c.unit}
	switch {
	case errors.Is(err, errUnsupported):
		f.Unsupported = true
		return f
	case err != nil:
		f.Error = err.Error()
		return f
	}
	across := func(of func(sample) float64) float64 {
		var l []float64
		for _, s := range rounds {
			l = append(l, of(s))
		}
		return median(l)
	}
	for _, s := range rounds {
		f.Rounds = append(f.Rounds, c.figure(s))
	}
	f.Median, f.P50, f.P99 = median(f.Rounds), across(sample.typical), across(sample.tail)
	if !slices.ContainsFunc(rounds, func(s sample) bool { return s.cpu < 0 || s.requests == 0 }) {
		v := across(func(s sample) float64 { return s.cpu / float64(s.requests) * 1e6 })
		f.CPUPerRequest = &v
		if !slices.ContainsFunc(rounds, func(s sample) bool { return s.bytes < mib }) {
			v := across(func(s sample) float64 { return s.cpu / float64(s.bytes) * 1e9 })
			f.CPUPerGB = &v
		}
	}
	if !slices.ContainsFunc(rounds, func(s sample) bool { return s.others < 0 }) {
		v := across(func(s sample) float64 { return s.others })
		f.Others = &v
	}
	return f
}

// report is everything a run has to say.
type report struct {
	Machine machine           `json:"machine"`
	Targets map[string]string `json:"targets"` // what each is
	Figures []figure          `json:"figures"`

	order []string // of the targets
	cases []benchCase
}

func (r *report) find(name, target string) (figure, bool) {
	for _, f := range r.Figures {
		if f.Case == name && f.Target == target {
			return f, f.valid()
		}
	}
	return figure{}, false
}

// compare fills in the ratios. Above one is better than the reference, whichever way the unit points.
func (r *report) compare() {
	for i := range r.Figures {
		f := &r.Figures[i]
		if !f.valid() {
			continue
		}
		f.OfCeiling = r.ratio(*f, "ceiling")
		f.OfAcre = r.ratio(*f, "acre")
	}
}

func (r *report) ratio(f figure, reference string) *float64 {
	to, ok := r.find(f.Case, reference)
	if !ok {
		return nil
	}
	a, b := f.Median, to.Median
	if r.lower(f.Case) {
		a, b = b, a
	}
	if b == 0 {
		return nil
	}
	v := a / b
	return &v
}

func (r *report) lower(name string) bool {
	i := slices.IndexFunc(r.cases, func(c benchCase) bool { return c.name == name })
	return i >= 0 && r.cases[i].lower
}

// verdict says whether acre keeps the budget of a case: "kept", "missed", or "" where it cannot be told.
func (r *report) verdict(c benchCase) string {
	f, ok := r.find(c.name, "acre")
	if !ok || c.budget == (budget{}) {
		return ""
	}
	b := c.budget
	kept := (b.least == 0 || f.Median >= b.least) && (b.most == 0 || f.Median <= b.most) && (!b.none || f.Median == 0)
	if b.ofCeiling > 0 {
		if f.OfCeiling == nil {
			return ""
		}
		kept = kept && *f.OfCeiling >= b.ofCeiling
	}
	if b.ofCase != "" {
		base, ok := r.find(b.ofCase, "acre")
		if !ok {
			return ""
		}
		kept = kept && f.Median >= nearlyAll*base.Median
	}
	if kept {
		return "kept"
	}
	return "missed"
}

// reference is what ratios in tables are to: the ceiling if it ran, else acre, else nothing.
func (r *report) reference() string {
	for _, name := range []string{"ceiling", "acre"} {
		if slices.Contains(r.order, name) && len(r.order) > 1 {
			return name
		}
	}
	return ""
}

// failures are the figures that mean nothing.
func (r *report) failures() []figure {
	return slices.DeleteFunc(slices.Clone(r.Figures), func(f figure) bool { return f.Error == "" })
}

// table is what people look at: a row a case, a column a target.
func (r *report) table() grid {
	g := grid{head: []string{"case", "unit"}, left: 2}
	ref := r.reference()
	for _, t := range r.order {
		g.head = append(g.head, t)
		if ref != "" && t != ref {
			g.head = append(g.head, "/ "+ref)
		}
	}
	if slices.Contains(r.order, "acre") {
		g.head = append(g.head, "budget", "")
	}
	for _, c := range r.cases {
		row := []string{c.name, c.unit}
		for _, t := range r.order {
			f, ok := r.find(c.name, t)
			row = append(row, cell(f, ok))
			if ref == "" || t == ref {
				continue
			}
			if v := r.ratio(f, ref); ok && v != nil {
				row = append(row, fmt.Sprintf("%.2f", *v))
			} else {
				row = append(row, "")
			}
		}
		if slices.Contains(r.order, "acre") {
			row = append(row, c.budget.String(), r.verdict(c))
		}
		g.rows = append(g.rows, row)
	}
	return g
}

func cell(f figure, ok bool) string {
	switch {
	case ok:
		return amount(f.Median)
	case f.Error != "":
		return "error"
	}
	return "–"
}

// details is what says how far the figures can be trusted.
func (r *report) details() grid {
	g := grid{head: []string{"case", "target", "median", "lowest", "highest", "p50 ms", "p99 ms", "server µs/req", "server s/GB", "others"}, left: 2}
	for _, f := range r.Figures {
		if !f.valid() {
			continue
		}
		g.rows = append(g.rows, []string{
			f.Case, f.Target, amount(f.Median), amount(slices.Min(f.Rounds)), amount(slices.Max(f.Rounds)),
			nonzero(f.P50), nonzero(f.P99), optional(f.CPUPerRequest, 1), optional(f.CPUPerGB, 1), percent(f.Others),
		})
	}
	return g
}

func nonzero(v float64) string {
	if v == 0 {
		return "–"
	}
	return amount(v)
}

func optional(v *float64, factor float64) string {
	if v == nil {
		return "–"
	}
	return amount(*v * factor)
}

func percent(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", *v*100)
}

// amount writes a number with three digits that count, and thousands set apart.
func amount(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case math.Abs(v) < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// write prints the report as a table, as Markdown or as JSON.
func (r *report) write(w io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	m := r.Machine
	var b strings.Builder
	render, item := grid.text, ""
	if format == "md" {
		render, item = grid.markdown, "- "
	}
	fmt.Fprintf(&b, "%s%s × %d, kernel %s, %s, data on %s\n", item, m.Processor, m.Processors, m.Kernel, m.Go, m.Filesystem)
	for _, t := range r.order {
		fmt.Fprintf(&b, "%s%s: %s\n", item, t, r.Targets[t])
	}
	b.WriteString("\n" + render(r.table()) + "\n" + render(r.details()))
	said := map[string]bool{} // what could not be prepared fails many cases alike
	for _, f := range r.failures() {
		if key := f.Target + f.Error; !said[key] {
			said[key] = true
			fmt.Fprintf(&b, "\n%s at %s is invalid: %s\n", f.Case, f.Target, f.Error)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
