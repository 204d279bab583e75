package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// scaleBase is the number of manifests that costs are compared with.
const scaleBase = 1000

// scaleLimit is how many times dearer acre allows itself to become, however many manifests there are.
const scaleLimit = 1.5

// growth is a registry that is being filled: half of its manifests are tags of one repository, the other
// half have a repository each.
type growth struct {
	*site
	base  image
	count int // manifests in each half
}

func (g *growth) tagRepo() string      { return g.prefix + "/scale-tags" }
func (g *growth) tag(i int) string     { return fmt.Sprintf("t%08d", i) }
func (g *growth) oneRepo(i int) string { return fmt.Sprintf("%s/scale/r%08d", g.prefix, i) }

// start pushes the image whose blobs all manifests share.
func (g *growth) start(ctx context.Context) (err error) {
	if g.base, err = g.source.image(g.tagRepo(), "base", kib); err != nil {
		return err
	}
	_, err = g.client.pushImage(ctx, g.base)
	return err
}

// grow fills each half up to n.
func (g *growth) grow(ctx context.Context, n int) error {
	from := g.count
	_, err := g.measure(ctx, load{workers: g.sizes.workers, count: 2 * (n - from), op: func(ctx context.Context, i int) (int64, error) {
		repo, tag := g.tagRepo(), g.tag(from+i/2)
		if i%2 == 1 {
			repo, tag = g.oneRepo(from+i/2), "latest"
			if err := g.share(ctx, g.base, repo); err != nil {
				return 0, err
			}
		}
		body, err := g.source.manifest(g.base, nil)
		if err != nil {
			return 0, err
		}
		return 0, g.client.putManifest(ctx, repo, tag, body)
	}})
	g.count = n
	return err
}

// probe is one cost that must not grow: the median time of a call.
type probe struct {
	name    string
	workers int
	op      func(ctx context.Context, g *growth, i int) error
}

func probes() []probe {
	page := func(at func(*growth) string, last func(*growth, int) string) func(context.Context, *growth, int) error {
		return func(ctx context.Context, g *growth, i int) error {
			// From anywhere that leaves a whole page to read.
			q := pageQuery + "&last=" + last(g, scatter(i, g.count-pageSize))
			_, _, err := g.client.call1(ctx, call{method: http.MethodGet, to: g.client.at(at(g), q), scope: pageScope(g, at(g))}, http.StatusOK)
			return err
		}
	}
	return []probe{
		{"GET a manifest by tag, one repository", 8, func(ctx context.Context, g *growth, i int) error {
			_, err := g.client.manifest(ctx, http.MethodGet, g.tagRepo(), g.tag(scatter(i, g.count)), http.StatusOK)
			return err
		}},
		{"GET a manifest by tag, all repositories", 8, func(ctx context.Context, g *growth, i int) error {
			_, err := g.client.manifest(ctx, http.MethodGet, g.oneRepo(scatter(i, g.count)), "latest", http.StatusOK)
			return err
		}},
		{"push a small image", 8, func(ctx context.Context, g *growth, i int) error {
			im, err := g.source.image(g.prefix+"/scale-push", "t"+g.source.unique(), 4*kib, 16*kib)
			if err != nil {
				return err
			}
			_, err = g.client.pushImage(ctx, im)
			return err
		}},
		{"page of tags", 1, page(func(g *growth) string { return "/v2/" + g.tagRepo() + "/tags/list" }, (*growth).tag)},
		{"page of the catalog", 1, page(func(*growth) string { return "/v2/_catalog" }, (*growth).oneRepo)},
	}
}

func pageScope(g *growth, path string) scope {
	if path == "/v2/_catalog" {
		return scope{}
	}
	return scope{repo: g.tagRepo()}
}

// cost is the median over the rounds of a probe's median time, in milliseconds.
func (b *bench) cost(ctx context.Context, g *growth, p probe) (float64, error) {
	var l []float64
	for range b.rounds {
		s, err := g.measure(ctx, load{workers: p.workers, op: func(ctx context.Context, i int) (int64, error) { return 0, p.op(ctx, g, i) }})
		if err != nil {
			return 0, fmt.Errorf("%s: %s: %w", g.name, p.name, err)
		}
		l = append(l, s.typical())
	}
	return median(l), nil
}

// runScale prints what calls cost with a thousand manifests and with many. The ceiling shows how much of
// the growth is the machine's own.
func (b *bench) runScale(ctx context.Context, out io.Writer) int {
	g := grid{head: []string{"cost, ms", "target", "at " + strconv.Itoa(scaleBase), "at " + strconv.Itoa(b.scale), "factor", "limit"}, left: 2}
	code := 0
	for _, s := range b.sites {
		rows, err := b.scaleSite(ctx, &growth{site: s})
		g.rows = append(g.rows, rows...)
		if err != nil {
			fmt.Fprintln(b.progress, "bench:", err)
			code = 1
		}
	}
	slices.SortStableFunc(g.rows, func(x, y []string) int { return probeIndex(x[0]) - probeIndex(y[0]) })
	text := g.text()
	if b.format == "md" {
		text = g.markdown()
	}
	fmt.Fprint(out, text)
	return code
}

func probeIndex(name string) int {
	return slices.IndexFunc(probes(), func(p probe) bool { return p.name == name })
}

func (b *bench) scaleSite(ctx context.Context, g *growth) ([][]string, error) {
	if err := g.start(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	all := probes()
	costs := [2][]float64{}
	for stage, n := range []int{scaleBase, b.scale} {
		fmt.Fprintf(b.progress, "%s: filling to %d manifests\n", g.name, n)
		if err := g.grow(ctx, n/2); err != nil {
			return nil, fmt.Errorf("%s: filling: %w", g.name, err)
		}
		for _, p := range all {
			ms, err := b.cost(ctx, g, p)
			if err != nil {
				return nil, err
			}
			costs[stage] = append(costs[stage], ms)
		}
	}
	var rows [][]string
	for i, p := range all {
		few, many := costs[0][i], costs[1][i]
		rows = append(rows, []string{p.name, g.name, amount(few), amount(many), fmt.Sprintf("%.2f", many/few), fmt.Sprintf("≤ %.1f", scaleLimit)})
	}
	return rows, nil
}
