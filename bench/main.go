// Command bench puts the same work on several registries in one run, case by case and round by round in
// turn, and prints what each came to beside the others: figures of one run on one machine can be
// compared, figures of two hours cannot. README.md says how to run it and how to read it.
//
// It measures and prints. It asserts one thing only: that the work was done, for an answer that was not
// the one wanted makes the figure invalid and the exit code 1.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/acre-registry/acre/bench/ceiling"
)

// ceilingVerb makes this program the ceiling instead of the harness.
const ceilingVerb = "ceiling"

func main() {
	if len(os.Args) > 1 && os.Args[1] == ceilingVerb {
		if err := ceiling.Main(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	targets      []target
	acre         string
	distribution string
	dir          string
	keep         bool
	insecure     bool
	cases        string
	list         bool
	rounds       int
	quick        bool
	quiet        float64
	scale        int
	format       string
	sizes        sizes
}

func parseOptions(args []string, errs io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	add := func(parse func(string) (target, error)) func(string) error {
		return func(s string) error {
			t, err := parse(s)
			o.targets = append(o.targets, t)
			return err
		}
	}
	flags.Func("target", "a running registry: `name=URL[,user:password][,pid=N]`; may be repeated", add(parseTarget))
	flags.Func("start", "a registry to start: acre, acre-pg=postgres://…, distribution, ceiling, ceiling-nosync (`name`); may be repeated (default acre, ceiling, distribution)", add(parseManaged))
	flags.StringVar(&o.acre, "acre", "./bin/acre", "binary of acre")
	flags.StringVar(&o.distribution, "distribution", "docker-registry", "binary of distribution")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "where managed servers keep their data; a real disk, or flushes cost nothing")
	flags.BoolVar(&o.keep, "keep", false, "leave the data of managed servers behind")
	flags.BoolVar(&o.insecure, "insecure", false, "accept any certificate")
	flags.StringVar(&o.cases, "cases", "*", "comma-separated names or patterns of cases")
	flags.BoolVar(&o.list, "list", false, "list the cases and stop")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of each case; the median is printed")
	flags.DurationVar(&o.sizes.round, "time", 2*time.Second, "length of a round of a case that reads")
	flags.IntVar(&o.sizes.images, "images", 1000, "small images pushed in a round")
	flags.IntVar(&o.sizes.tags, "tags", 10000, "tags in one repository")
	flags.IntVar(&o.sizes.repos, "repos", 10000, "repositories")
	flags.IntVar(&o.sizes.workers, "workers", 8, "workers that push images, attach referrers, fill and delete")
	flags.BoolVar(&o.quick, "quick", false, "everything small, one round: shows that all works, not how fast")
	flags.Float64Var(&o.quiet, "quiet", 0, "`share` of the machine: a round during which others used more is measured again, twice at most (0: never)")
	flags.IntVar(&o.scale, "scale", 0, "instead of the cases: compare costs at 1,000 manifests and at `N`")
	flags.StringVar(&o.format, "o", "table", "output: table, md or json")
	md := flags.Bool("md", false, "the same as -o md")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *md {
		o.format = "md"
	}
	return o.complete(flags.Args())
}

// complete fills in what follows from the rest and refuses what makes no sense.
func (o options) complete(rest []string) (options, error) {
	switch {
	case len(rest) > 0:
		return o, fmt.Errorf("unexpected argument %q; --help lists the flags", rest[0])
	case o.format != "table" && o.format != "md" && o.format != "json":
		return o, fmt.Errorf("-o %s: want table, md or json", o.format)
	case min(o.rounds, o.sizes.images, o.sizes.tags, o.sizes.repos, o.sizes.workers) < 1 || o.sizes.round <= 0:
		return o, errors.New("--rounds, --time, --images, --tags, --repos and --workers must be above zero")
	case o.scale != 0 && o.scale <= scaleBase:
		return o, fmt.Errorf("--scale %d: want more than %d", o.scale, scaleBase)
	}
	o.sizes.large, o.sizes.chunk, o.sizes.pushes = 100*mib, 8*mib, math.MaxInt
	o.sizes.mounts, o.sizes.referrers = 2000, 200
	if o.quick {
		o.rounds = 1
		o.sizes = sizes{
			round: 50 * time.Millisecond, large: 4 * mib, chunk: mib, pushes: 2,
			images: 20, mounts: 20, referrers: 20, tags: 250, repos: 250, workers: o.sizes.workers,
		}
	}
	if len(o.targets) == 0 {
		o.targets = []target{{name: "acre"}, {name: "ceiling"}, {name: "distribution"}}
	}
	seen := map[string]bool{}
	for _, t := range o.targets {
		if seen[t.name] {
			return o, fmt.Errorf("two targets are called %s; give each a name of its own", t.name)
		}
		seen[t.name] = true
	}
	return o, nil
}

// run is the program; it returns the exit code: 1 when a figure is invalid, 2 when it could not begin.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	o, err := parseOptions(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 2
	}
	cases, err := pick(allCases(o.sizes), o.cases)
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 2
	}
	if o.list {
		g := grid{head: []string{"case", "unit", "what", "acre's budget"}, left: 4}
		for _, c := range cases {
			g.rows = append(g.rows, []string{c.name, c.unit, c.what, c.budget.String()})
		}
		fmt.Fprint(out, g.text())
		return 0
	}
	debug.SetGCPercent(400) // the harness shares the machine with what it measures
	b := &bench{options: o, cases: cases, progress: errs}
	defer b.close()
	if err := b.open(ctx); err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 2
	}
	if o.scale > 0 {
		return b.runScale(ctx, out)
	}
	r := b.measureAll(ctx)
	if err := r.write(out, o.format); err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	if len(r.failures()) > 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}

// bench is one run over its sites.
type bench struct {
	options
	cases    []benchCase
	sites    []*site
	what     map[string]string
	progress io.Writer
}

func (b *bench) open(ctx context.Context) error {
	src := newSource(strings.ToLower(rand.Text()[:6])) // part of repository names
	b.what = map[string]string{}
	for _, t := range b.targets {
		s, what, err := t.open(ctx, b.options, src)
		if s != nil {
			b.sites = append(b.sites, s) // to be closed, whatever happened
		}
		if err != nil {
			return err
		}
		b.what[t.name] = what
	}
	return nil
}

func (b *bench) close() {
	for _, s := range b.sites {
		s.close(b.keep, b.progress)
	}
}
