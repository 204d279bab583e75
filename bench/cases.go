package main

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// benchCase is one row of the table: a kind of work and the figure that comes of it.
type benchCase struct {
	name   string // parts joined by dots, so that patterns pick groups
	what   string
	unit   string
	lower  bool // lower is better
	once   bool // one round, because the work leaves something behind that a second one would find
	budget budget

	prepare func(ctx context.Context, s *site) error // not measured
	round   func(ctx context.Context, s *site) (sample, error)
	figure  func(sample) float64
	check   func(ctx context.Context, s *site) error // not measured, after the rounds: was the work real?
}

// budget is what acre promises in a case. Zero fields promise nothing.
type budget struct {
	ofCeiling float64 // at least this share of the ceiling's figure in the same run
	ofCase    string  // at least 0.9 of acre's own figure in that case
	least     float64
	most      float64
	none      bool // exactly zero
}

func (b budget) String() string {
	var l []string
	if b.ofCeiling > 0 {
		l = append(l, fmt.Sprintf("≥ %.2f × ceiling", b.ofCeiling))
	}
	if b.ofCase != "" {
		l = append(l, fmt.Sprintf("≥ %.1f × %s", nearlyAll, b.ofCase))
	}
	if b.least > 0 {
		l = append(l, "≥ "+amount(b.least))
	}
	if b.most > 0 {
		l = append(l, "≤ "+amount(b.most))
	}
	if b.none {
		l = append(l, "0")
	}
	return strings.Join(l, ", ")
}

// nearlyAll is how near ofCase must come.
const nearlyAll = 0.9

// allCases are the cases in the order in which they run: memory before anything, starting again at the end.
func allCases(z sizes) []benchCase {
	return slices.Concat(
		[]benchCase{memoryCase("memory.idle", "resident memory before any work", 40, func(u usage) float64 { return u.rss })},
		requestCases(), manifestCases(), blobCases(z), pushCases(z), tagCases(z), repoCases(z), imageCases(z), otherCases(z),
		[]benchCase{
			memoryCase("memory.after", "resident memory after all of this", 90, func(u usage) float64 { return u.rss }),
			memoryCase("memory.peak", "highest resident memory", 0, func(u usage) float64 { return u.peak }),
			startCase(),
		},
	)
}

// pick keeps the cases that match one of the comma-separated patterns.
func pick(cases []benchCase, patterns string) ([]benchCase, error) {
	var kept []benchCase
	for _, c := range cases {
		for p := range strings.SplitSeq(patterns, ",") {
			ok, err := path.Match(strings.TrimSpace(p), c.name)
			if err != nil {
				return nil, fmt.Errorf("case pattern %q: %w", p, err)
			}
			if ok {
				kept = append(kept, c)
				break
			}
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("no case matches %q; --list shows them", patterns)
	}
	return kept, nil
}

func memoryCase(name, what string, most float64, of func(usage) float64) benchCase {
	return benchCase{
		name: name, what: what, unit: "MiB", lower: true, once: true, budget: budget{most: most}, figure: sample.itself,
		round: func(_ context.Context, s *site) (sample, error) {
			u := usageOf(s.pid)
			if !u.ok {
				return sample{}, errUnsupported
			}
			return sample{direct: of(u), cpu: -1, others: -1}, nil
		},
	}
}

// requests is a case of one kind of small request over the image that reading cases share.
func requests(name, what string, workers int, op func(ctx context.Context, s *site, r readSet, i int) (int64, error)) benchCase {
	return benchCase{
		name: fmt.Sprintf("%s.c%d", name, workers), what: what, unit: "req/s", figure: sample.perSecond,
		prepare: prepareReading,
		round: func(ctx context.Context, s *site) (sample, error) {
			r, err := s.readSet(ctx)
			if err != nil {
				return sample{}, err
			}
			return s.measure(ctx, load{workers: workers, op: func(ctx context.Context, i int) (int64, error) { return op(ctx, s, r, i) }})
		},
	}
}

func prepareReading(ctx context.Context, s *site) error {
	_, err := s.readSet(ctx)
	return err
}

func requestCases() []benchCase {
	ping := requests("ping", "GET /v2/", 8, func(ctx context.Context, s *site, _ readSet, _ int) (int64, error) {
		return 0, s.client.ping(ctx)
	})
	ping.prepare = nil
	ping.round = func(ctx context.Context, s *site) (sample, error) {
		return s.measure(ctx, load{workers: 8, op: func(ctx context.Context, _ int) (int64, error) { return 0, s.client.ping(ctx) }})
	}
	return []benchCase{ping}
}

// manifestByTag is the row that others are measured by.
const manifestByTag = "manifest.tag.c8"

func manifestCases() []benchCase {
	byTag := func(ctx context.Context, s *site, r readSet, _ int) (int64, error) {
		return s.client.manifest(ctx, http.MethodGet, r.repo, r.tag, http.StatusOK)
	}
	l := []benchCase{
		requests("manifest.tag", "GET a manifest by tag", 1, byTag),
		requests("manifest.tag", "GET a manifest by tag", 8, byTag),
		requests("manifest.tag", "GET a manifest by tag", 64, byTag),
		requests("manifest.digest", "GET a manifest by digest", 8, func(ctx context.Context, s *site, r readSet, _ int) (int64, error) {
			return s.client.manifest(ctx, http.MethodGet, r.repo, r.digest, http.StatusOK)
		}),
		requests("manifest.head", "HEAD a manifest by tag", 8, func(ctx context.Context, s *site, r readSet, _ int) (int64, error) {
			return s.client.manifest(ctx, http.MethodHead, r.repo, r.tag, http.StatusOK)
		}),
		requests("manifest.missing", "GET a tag that is not there", 8, func(ctx context.Context, s *site, r readSet, _ int) (int64, error) {
			return s.client.manifest(ctx, http.MethodGet, r.repo, "missing", http.StatusNotFound)
		}),
	}
	for i := range l {
		if l[i].name == manifestByTag {
			l[i].budget.ofCeiling = 0.75
		}
	}
	return l
}

func blobCases(z sizes) []benchCase {
	get := func(of func(readSet) blob) func(context.Context, *site, readSet, int) (int64, error) {
		return func(ctx context.Context, s *site, r readSet, _ int) (int64, error) {
			return s.client.getBlob(ctx, r.repo, of(r))
		}
	}
	small := requests("blob.get.1k", "GET a blob of 1 KiB", 8, get(func(r readSet) blob { return r.small }))
	small.budget.ofCeiling = 0.75
	medium := requests("blob.get.1m", "GET a blob of 1 MiB", 8, get(func(r readSet) blob { return r.medium }))
	large := requests("blob.get.large", "GET a blob of "+bytesOf(z.large), 4, get(func(r readSet) blob { return r.large }))
	for _, c := range []*benchCase{&medium, &large} {
		c.unit, c.figure, c.budget.ofCeiling = "MB/s", sample.megabytes, 0.9
	}
	const window = 64 * kib
	ranges := requests("blob.range.64k", "GET 64 KiB out of a blob of "+bytesOf(z.large), 8, func(ctx context.Context, s *site, r readSet, i int) (int64, error) {
		off := int64(scatter(i, int((r.large.size()-window)/4096)+1)) * 4096
		return s.client.getRange(ctx, r.repo, r.large.digest, off, window)
	})
	head := requests("blob.head", "HEAD a blob", 8, func(ctx context.Context, s *site, r readSet, _ int) (int64, error) {
		found, err := s.client.headBlob(ctx, r.repo, r.medium.digest)
		if err == nil && !found {
			err = fmt.Errorf("blob %s is gone", r.medium.digest)
		}
		return 0, err
	})
	return []benchCase{small, medium, large, ranges, head}
}

func pushCases(z sizes) []benchCase {
	large := bytesOf(z.large)
	return []benchCase{
		pushCase("push.large.c4", "push blobs of "+large+", POST and PUT", z.large, 4, 2, pushWhole, 0.9),
		pushCase("push.large.c1", "push blobs of "+large+", POST and PUT", z.large, 1, 3, pushWhole, 0),
		pushCase("push.1m.c8", "push blobs of 1 MiB, POST and PUT", mib, 8, 50, pushWhole, 0.85),
		pushCase("push.chunk.c1", fmt.Sprintf("push blobs of %s in PATCHes of %s", large, bytesOf(z.chunk)), z.large, 1, 3, pushChunks(z.chunk), 0.85),
		pushCase("push.stream.c1", "push blobs of "+large+" in one PATCH of unknown length", z.large, 1, 3, pushStream, 0),
	}
}

// pushCase has every worker push a number of blobs.
func pushCase(name, what string, size int64, workers, each int, how push, ofCeiling float64) benchCase {
	return benchCase{
		name: name, what: what, unit: "MB/s", budget: budget{ofCeiling: ofCeiling}, figure: sample.megabytes,
		round: func(ctx context.Context, s *site) (sample, error) {
			n := workers * min(each, s.sizes.pushes)
			s.pushed = make([]blob, n)
			for i := range s.pushed {
				var err error
				if s.pushed[i], err = s.source.blob(size); err != nil {
					return sample{}, err
				}
			}
			return s.measure(ctx, load{workers: workers, count: n, op: func(ctx context.Context, i int) (int64, error) {
				return size, how(s.client, ctx, s.prefix+"/push", s.pushed[i])
			}})
		},
		check: func(ctx context.Context, s *site) error {
			b := s.pushed[len(s.pushed)-1]
			return s.client.fetch(ctx, s.client.blobCall(http.MethodGet, s.prefix+"/push", b.digest), b.digest)
		},
	}
}

// fillCases are the three rows of something that was filled: what it took, reading round it, walking it.
type fillCases struct {
	name, things string
	count        int
	of           func(*site, context.Context) (filled, error)
	list         func(s *site, f filled) (path, repo, field string)
	least        func(s *site, f filled, found map[string]bool) error
	walkBudget   float64
}

func (f fillCases) cases() []benchCase {
	prepare := func(ctx context.Context, s *site) error {
		_, err := f.of(s, ctx)
		return err
	}
	return []benchCase{
		{
			name: f.name + ".fill", what: fmt.Sprintf("make %s, a manifest each", f.things), unit: "req/s", once: true, figure: sample.perSecond,
			round: func(ctx context.Context, s *site) (sample, error) {
				got, err := f.of(s, ctx)
				return got.sample, err
			},
		},
		{
			name: f.name + ".get.c8", what: "GET manifests by tag, round " + f.things, unit: "req/s", figure: sample.perSecond,
			budget: budget{ofCase: manifestByTag}, prepare: prepare,
			round: func(ctx context.Context, s *site) (sample, error) {
				got, err := f.of(s, ctx)
				if err != nil {
					return sample{}, err
				}
				return s.measure(ctx, load{workers: 8, op: func(ctx context.Context, i int) (int64, error) {
					i = scatter(i, f.count)
					return s.client.manifest(ctx, http.MethodGet, got.repo(i), got.tag(i), http.StatusOK)
				}})
			},
		},
		{
			name: f.name + ".list", what: fmt.Sprintf("list %s in pages of %d", f.things, pageSize), unit: "ms", lower: true,
			budget: budget{most: f.walkBudget}, figure: sample.typical,
			prepare: func(ctx context.Context, s *site) error {
				got, err := f.of(s, ctx)
				if err != nil {
					return err
				}
				at, repo, field := f.list(s, got)
				found, err := s.client.names(ctx, at, pageQuery, repo, field)
				if err != nil {
					return err
				}
				return f.least(s, got, found)
			},
			round: func(ctx context.Context, s *site) (sample, error) {
				got, err := f.of(s, ctx)
				if err != nil {
					return sample{}, err
				}
				at, repo, _ := f.list(s, got)
				return s.measure(ctx, load{workers: 1, op: func(ctx context.Context, _ int) (int64, error) {
					_, n, err := s.client.walk(ctx, at, pageQuery, repo, nil)
					return n, err
				}})
			},
		},
	}
}

// Pages of the walks over lists.
const pageSize = 100

var pageQuery = fmt.Sprintf("n=%d", pageSize)

func tagCases(z sizes) []benchCase {
	return fillCases{
		name: "tags", things: fmt.Sprintf("%d tags of one repository", z.tags), count: z.tags, of: (*site).tags, walkBudget: 60,
		list: func(_ *site, f filled) (string, string, string) {
			return "/v2/" + f.repo(0) + "/tags/list", f.repo(0), "tags"
		},
		least: func(_ *site, f filled, found map[string]bool) error { return allThere(z.tags, f.tag, found) },
	}.cases()
}

func repoCases(z sizes) []benchCase {
	return fillCases{
		name: "repos", things: fmt.Sprintf("%d repositories", z.repos), count: z.repos, of: (*site).repos, walkBudget: 100,
		list: func(*site, filled) (string, string, string) { return "/v2/_catalog", "", "repositories" },
		least: func(_ *site, f filled, found map[string]bool) error {
			return allThere(z.repos, f.repo, found)
		},
	}.cases()
}

func allThere(n int, name func(int) string, found map[string]bool) error {
	for i := range n {
		if !found[name(i)] {
			return fmt.Errorf("the list leaves out %s", name(i))
		}
	}
	return nil
}

func imageCases(z sizes) []benchCase {
	images := fmt.Sprintf("%d small images (3 layers, config, manifest), %d at a time", z.images, z.workers)
	return []benchCase{
		{
			name: "images.push", what: "push " + images, unit: "images/s", budget: budget{ofCeiling: 0.6, least: 400}, figure: sample.perSecond,
			round: func(ctx context.Context, s *site) (sample, error) { return s.pushSet(ctx) },
			check: func(ctx context.Context, s *site) error { return s.verify(ctx, s.sets[len(s.sets)-1][z.images-1]) },
		},
		{
			name: "images.pull", what: "pull " + images, unit: "images/s", budget: budget{ofCeiling: 0.7}, figure: sample.perSecond,
			prepare: func(ctx context.Context, s *site) error {
				_, err := s.lastSet(ctx)
				return err
			},
			round: func(ctx context.Context, s *site) (sample, error) {
				set, err := s.lastSet(ctx)
				if err != nil {
					return sample{}, err
				}
				return s.measure(ctx, load{workers: z.workers, count: len(set), op: func(ctx context.Context, i int) (int64, error) {
					return s.client.pullImage(ctx, set[i])
				}})
			},
		},
	}
}

func deleteCase(z sizes) benchCase {
	return benchCase{
		name: "images.delete", what: fmt.Sprintf("DELETE manifests of images by digest, %d at a time", z.workers), unit: "req/s", figure: sample.perSecond,
		round: func(ctx context.Context, s *site) (sample, error) {
			set, err := s.lastSet(ctx)
			if err != nil {
				return sample{}, err
			}
			s.sets, s.deleted = s.sets[:len(s.sets)-1], set[0]
			smp, err := s.measure(ctx, load{workers: z.workers, count: len(set), op: func(ctx context.Context, i int) (int64, error) {
				return 0, s.client.deleteManifest(ctx, set[i].repo, set[i].digest)
			}})
			if status(err) == http.StatusMethodNotAllowed {
				err = errUnsupported
			}
			return smp, err
		},
		check: func(ctx context.Context, s *site) error {
			_, err := s.client.manifest(ctx, http.MethodGet, s.deleted.repo, s.deleted.digest, http.StatusNotFound)
			return err
		},
	}
}

func otherCases(z sizes) []benchCase {
	return slices.Concat([]benchCase{mountCase(z)}, referrerCases(z), mixedCases(), []benchCase{latencyCase(z), deleteCase(z)})
}

func mountCase(z sizes) benchCase {
	return benchCase{
		name: "mount.c8", what: "mount a blob into a new repository", unit: "req/s", budget: budget{least: 5000}, figure: sample.perSecond,
		prepare: prepareReading,
		round: func(ctx context.Context, s *site) (sample, error) {
			r, err := s.readSet(ctx)
			if err != nil {
				return sample{}, err
			}
			to := s.prefix + "/mount-" + s.source.unique()
			return s.measure(ctx, load{workers: 8, count: z.mounts, op: func(ctx context.Context, i int) (int64, error) {
				return 0, s.client.mount(ctx, fmt.Sprintf("%s/r%d", to, i), r.repo, r.medium.digest)
			}})
		},
	}
}

func referrerCases(z sizes) []benchCase {
	prepare := func(ctx context.Context, s *site) error {
		_, err := s.referrers(ctx)
		return err
	}
	get := benchCase{
		name: "referrers.get.c8", what: "GET the referrers of that manifest", unit: "req/s", budget: budget{least: 5000}, figure: sample.perSecond, prepare: prepare,
		round: func(ctx context.Context, s *site) (sample, error) {
			sub, err := s.referrers(ctx)
			if err != nil {
				return sample{}, err
			}
			return s.measure(ctx, load{workers: 8, op: func(ctx context.Context, _ int) (int64, error) {
				_, n, err := s.client.walk(ctx, "/v2/"+sub.repo+"/referrers/"+sub.digest, "", sub.repo, nil)
				return n, err
			}})
		},
	}
	return []benchCase{
		{
			name: "referrers.put", what: fmt.Sprintf("attach %d referrers to one manifest, %d at a time", z.referrers, z.workers), unit: "req/s", once: true, figure: sample.perSecond,
			round: func(ctx context.Context, s *site) (sample, error) {
				sub, err := s.referrers(ctx)
				return sub.sample, err
			},
		},
		{
			name: "referrers.lost", what: "of those, how many are not listed afterwards", unit: "lost", lower: true, once: true, budget: budget{none: true}, figure: sample.itself,
			round: func(ctx context.Context, s *site) (sample, error) {
				sub, err := s.referrers(ctx)
				return sample{direct: float64(sub.attached - sub.listed), cpu: -1, others: -1}, err
			},
		},
		get,
	}
}

// pushing is an op for beside: it pushes one new blob of the size.
func (s *site) pushing(size int64) func(context.Context) error {
	return func(ctx context.Context) error {
		b, err := s.source.blob(size)
		if err != nil {
			return err
		}
		return pushWhole(s.client, ctx, s.prefix+"/push", b)
	}
}

// mixedCases are two figures of the same work.
func mixedCases() []benchCase {
	rate := benchCase{
		name: "mixed", what: "4 workers GET manifests (their figure) while 2 push and 2 pull blobs of 1 MiB", unit: "req/s",
		budget: budget{ofCeiling: 0.6}, figure: sample.perSecond, prepare: prepareReading,
		round: func(ctx context.Context, s *site) (sample, error) {
			r, err := s.readSet(ctx)
			if err != nil {
				return sample{}, err
			}
			pull := func(ctx context.Context) error {
				_, err := s.client.getBlob(ctx, r.repo, r.medium)
				return err
			}
			push := s.pushing(mib)
			return s.manifestsBeside(ctx, load{workers: 4}, push, push, pull, pull)
		},
	}
	tail := rate
	tail.name, tail.what, tail.unit, tail.lower = "mixed.p99", "p99 of those manifests", "ms p99", true
	tail.budget, tail.figure = budget{most: 6}, sample.tail
	return []benchCase{rate, tail}
}

// manifestsBeside measures GETs of a manifest while other work goes on. The server's time is not theirs alone.
func (s *site) manifestsBeside(ctx context.Context, l load, ops ...func(context.Context) error) (sample, error) {
	r, err := s.readSet(ctx)
	if err != nil {
		return sample{}, err
	}
	l.op = func(ctx context.Context, _ int) (int64, error) {
		return s.client.manifest(ctx, http.MethodGet, r.repo, r.tag, http.StatusOK)
	}
	stop := beside(ctx, ops...)
	smp, err := s.measure(ctx, l)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	smp.cpu = -1
	return smp, err
}

func latencyCase(z sizes) benchCase {
	return benchCase{
		name: "latency.push", what: "p99 of GET a manifest, 400 a second over 4 connections, while 2 push blobs of " + bytesOf(z.large), unit: "ms p99",
		lower: true, figure: sample.tail, prepare: prepareReading,
		round: func(ctx context.Context, s *site) (sample, error) {
			push := s.pushing(s.sizes.large)
			return s.manifestsBeside(ctx, load{workers: 4, pace: 10 * time.Millisecond}, push, push)
		},
	}
}

func startCase() benchCase {
	return benchCase{
		name: "start", what: "from exec to an answer on /v2/, on what this run has left behind", unit: "ms", lower: true,
		budget: budget{most: 150}, figure: sample.typical,
		round: func(ctx context.Context, s *site) (sample, error) {
			took, err := s.restart(ctx)
			return sample{p50: took, p99: took, cpu: -1, others: -1}, err
		},
		check: func(ctx context.Context, s *site) error {
			if !s.many.done || s.many.err != nil || s.proc.forgets {
				return nil
			}
			return s.verify(ctx, s.many.value.last)
		},
	}
}

// bytesOf writes a size as people do.
func bytesOf(n int64) string {
	if n >= mib {
		return fmt.Sprintf("%d MiB", n/mib)
	}
	return fmt.Sprintf("%d KiB", n/kib)
}
