package main

import (
	"context"
	"fmt"
	"strings"
)

// measureAll runs the cases one after another, and within each the sites in turn, round by round.
func (b *bench) measureAll(ctx context.Context) *report {
	r := &report{Machine: describeMachine(b.dir), Targets: b.what, cases: b.cases}
	for _, s := range b.sites {
		r.order = append(r.order, s.name)
	}
	for _, c := range b.cases {
		if ctx.Err() != nil {
			break
		}
		l := b.measureCase(ctx, c)
		r.Figures = append(r.Figures, l...)
		b.say(c, l)
	}
	r.compare()
	return r
}

// turn is where one site stands within a case; an error ends its part in it.
type turn struct {
	site   *site
	rounds []sample
	err    error
}

func (b *bench) measureCase(ctx context.Context, c benchCase) []figure {
	turns := make([]turn, len(b.sites))
	for i, s := range b.sites {
		turns[i].site = s
		if c.prepare != nil {
			turns[i].err = c.prepare(ctx, s)
		}
	}
	rounds := b.rounds
	if c.once {
		rounds = 1
	}
	for range rounds {
		for i := range turns {
			turns[i].take(ctx, c, b.quiet)
		}
	}
	var l []figure
	for _, t := range turns {
		if t.err == nil && c.check != nil {
			t.err = c.check(ctx, t.site)
		}
		l = append(l, summarize(c, t.site.name, t.rounds, t.err))
	}
	return l
}

// take measures one round, and where others disturbed it more than quiet, up to two more; the calmest counts.
func (t *turn) take(ctx context.Context, c benchCase, quiet float64) {
	var best sample
	for try := range 3 {
		if t.err != nil {
			return
		}
		var s sample
		if s, t.err = c.round(ctx, t.site); t.err != nil {
			return
		}
		if try == 0 || s.others < best.others {
			best = s
		}
		if c.once || quiet == 0 || best.others <= quiet {
			break
		}
	}
	t.rounds = append(t.rounds, best)
}

func (b *bench) say(c benchCase, l []figure) {
	var parts []string
	for _, f := range l {
		parts = append(parts, f.Target+" "+cell(f, f.valid()))
	}
	fmt.Fprintf(b.progress, "%-20s %-9s %s\n", c.name, c.unit, strings.Join(parts, " · "))
	for _, f := range l {
		if f.Error != "" {
			fmt.Fprintf(b.progress, "  %s: %s\n", f.Target, f.Error)
		}
	}
}
