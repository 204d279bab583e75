package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// sizes are how much of everything the cases use.
type sizes struct {
	round     time.Duration // of a case that reads
	large     int64         // bytes of a large blob
	chunk     int64         // bytes of a PATCH
	pushes    int           // blobs that a worker pushes in one round, at most
	images    int           // pushed in one round
	mounts    int           // in one round
	referrers int
	tags      int // in one repository
	repos     int
	workers   int // that push images, fill and delete
}

// site is one registry under load with what the cases have put there.
type site struct {
	name   string
	sizes  sizes
	source *source
	client *client
	proc   *process // nil when somebody else runs the server
	pid    int      // 0 when unknown
	prefix string   // first part of the names of repositories

	insecure bool

	reading memo[readSet]
	tagged  memo[filled]
	many    memo[filled]
	subject memo[subject]
	sets    [][]image // pushed and not deleted
	pushed  []blob    // by the last round of a case that pushes
	deleted image     // by the last round of the case that deletes
}

// errUnsupported says that a registry does not offer what the case measures; the figure is left empty.
var errUnsupported = errors.New("not offered by this registry")

// memo makes a thing once and remembers the failure to make it.
type memo[T any] struct {
	done  bool
	value T
	err   error
}

func (m *memo[T]) get(build func() (T, error)) (T, error) {
	if !m.done {
		m.value, m.err = build()
		m.done = true
	}
	return m.value, m.err
}

func (s *site) measure(ctx context.Context, l load) (sample, error) {
	return measure(ctx, s.pid, s.sizes.round, l)
}

// connect points the site at a server that has just been started.
func (s *site) connect(ctx context.Context, base *url.URL, user, password string) error {
	if s.client != nil {
		s.client.transport.CloseIdleConnections()
	}
	s.client = newClient(base, user, password, s.insecure)
	if err := s.client.login(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// restart stops a managed server, starts it on the same data and tells how long it took to answer.
func (s *site) restart(ctx context.Context) (time.Duration, error) {
	if s.proc == nil {
		return 0, errUnsupported
	}
	if err := s.proc.stop(); err != nil {
		return 0, err
	}
	base, took, err := s.proc.start(ctx)
	if err != nil {
		return 0, err
	}
	s.pid = s.proc.pid()
	return took, s.connect(ctx, base, s.proc.user, s.proc.password)
}

// readSet is the image that reading cases read: layers of 1 KiB, 1 MiB and the large size.
type readSet struct {
	image
	small, medium, large blob
}

func (s *site) readSet(ctx context.Context) (readSet, error) {
	return s.reading.get(func() (readSet, error) {
		im, err := s.source.image(s.prefix+"/read", "latest", kib, mib, s.sizes.large)
		if err != nil {
			return readSet{}, err
		}
		if _, err := s.client.pushImage(ctx, im); err != nil {
			return readSet{}, err
		}
		return readSet{im, im.layers[0], im.layers[1], im.layers[2]}, s.verify(ctx, im)
	})
}

// verify reads an image back, by tag and whole, and wants the digests.
func (s *site) verify(ctx context.Context, im image) error {
	if err := s.client.fetch(ctx, s.client.manifestCall(http.MethodGet, im.repo, im.tag), im.digest); err != nil {
		return err
	}
	for _, b := range im.blobs() {
		if err := s.client.fetch(ctx, s.client.blobCall(http.MethodGet, im.repo, b.digest), b.digest); err != nil {
			return err
		}
	}
	return nil
}

// filled is a number of manifests that stand somewhere, and what it took to put them there.
type filled struct {
	sample
	repo func(i int) string
	tag  func(i int) string
	last image // the last one, to look at
}

// tags fills one repository with manifests of its own for each tag.
func (s *site) tags(ctx context.Context) (filled, error) {
	return s.tagged.get(func() (filled, error) {
		f := filled{
			repo: func(int) string { return s.prefix + "/tags" },
			tag:  func(i int) string { return fmt.Sprintf("t%06d", i) },
		}
		return s.fill(ctx, f, s.sizes.tags)
	})
}

// repos makes repositories of one manifest each.
func (s *site) repos(ctx context.Context) (filled, error) {
	return s.many.get(func() (filled, error) {
		f := filled{
			repo: func(i int) string { return fmt.Sprintf("%s/many/group-%02d/r%06d", s.prefix, i%100, i) },
			tag:  func(int) string { return "latest" },
		}
		return s.fill(ctx, f, s.sizes.repos)
	})
}

// fill puts n manifests over one config and one layer; a repository gets those blobs by mounts. The
// measured part is all of it: mounts and manifests.
func (s *site) fill(ctx context.Context, f filled, n int) (filled, error) {
	base, err := s.source.image(s.prefix+"/base", "latest", kib)
	if err != nil {
		return f, err
	}
	if _, err := s.client.pushImage(ctx, base); err != nil {
		return f, err
	}
	oneRepo := f.repo(0) == f.repo(n-1)
	if oneRepo {
		if err := s.share(ctx, base, f.repo(0)); err != nil {
			return f, err
		}
	}
	f.sample, err = s.measure(ctx, load{workers: s.sizes.workers, count: n, op: func(ctx context.Context, i int) (int64, error) {
		if !oneRepo {
			if err := s.share(ctx, base, f.repo(i)); err != nil {
				return 0, err
			}
		}
		body, err := s.source.manifest(base, nil)
		if err != nil {
			return 0, err
		}
		return int64(len(body)), s.client.putManifest(ctx, f.repo(i), f.tag(i), body)
	}})
	if err != nil {
		return f, err
	}
	f.last = base
	f.last.repo, f.last.tag = f.repo(n-1), f.tag(n-1)
	if f.last.manifest, err = s.source.manifest(base, nil); err != nil {
		return f, err
	}
	f.last.digest = digestOf(f.last.manifest)
	if err := s.client.putManifest(ctx, f.last.repo, f.last.tag, f.last.manifest); err != nil {
		return f, err
	}
	return f, s.verify(ctx, f.last)
}

// share brings the blobs of im into another repository.
func (s *site) share(ctx context.Context, im image, repo string) error {
	for _, b := range im.blobs() {
		if err := s.client.ensureBlob(ctx, repo, im.repo, b); err != nil {
			return err
		}
	}
	return nil
}

// scatter spreads consecutive numbers over n places, so that neighbours in time are none in order.
func scatter(i, n int) int { return int(uint64(i) * 2654435761 % uint64(n)) }

// pushSet pushes one more set of small images, ten tags to a repository as build farms have them.
func (s *site) pushSet(ctx context.Context) (sample, error) {
	set := make([]image, s.sizes.images)
	id := s.source.unique()
	for i := range set {
		var err error
		repo := fmt.Sprintf("%s/small-%s/app-%d", s.prefix, id, i/10)
		if set[i], err = s.source.image(repo, fmt.Sprintf("v%d", i%10), 4*kib, 16*kib, 64*kib); err != nil {
			return sample{}, err
		}
	}
	smp, err := s.measure(ctx, load{workers: s.sizes.workers, count: len(set), op: func(ctx context.Context, i int) (int64, error) {
		return s.client.pushImage(ctx, set[i])
	}})
	if err == nil {
		s.sets = append(s.sets, set)
	}
	return smp, err
}

// lastSet is the set pushed last, pushed now if there is none.
func (s *site) lastSet(ctx context.Context) ([]image, error) {
	if len(s.sets) == 0 {
		if _, err := s.pushSet(ctx); err != nil {
			return nil, err
		}
	}
	return s.sets[len(s.sets)-1], nil
}

// subject is a manifest with many referrers.
type subject struct {
	sample
	image
	attached int // acknowledged
	listed   int // found afterwards
}

// referrers attaches them from several workers at once and counts what the registry then lists.
func (s *site) referrers(ctx context.Context) (subject, error) {
	return s.subject.get(func() (subject, error) {
		im, err := s.source.image(s.prefix+"/subject", "latest", kib)
		if err != nil {
			return subject{}, err
		}
		if _, err := s.client.pushImage(ctx, im); err != nil {
			return subject{}, err
		}
		empty := image{repo: im.repo, config: blobOf([]byte("{}"))}
		empty.layers = []blob{empty.config}
		if err := pushWhole(s.client, ctx, im.repo, empty.config); err != nil {
			return subject{}, err
		}
		switch _, err := s.client.countReferrers(ctx, im.repo, im.digest); {
		case status(err) == http.StatusNotFound || status(err) == http.StatusMethodNotAllowed:
			return subject{}, errUnsupported
		case err != nil:
			return subject{}, err
		}
		sub := subject{image: im, attached: s.sizes.referrers}
		of := &descriptor{typeManifest, im.digest, int64(len(im.manifest))}
		sub.sample, err = s.measure(ctx, load{workers: s.sizes.workers, count: sub.attached, op: func(ctx context.Context, _ int) (int64, error) {
			body, err := s.source.manifest(empty, of)
			if err != nil {
				return 0, err
			}
			return int64(len(body)), s.client.putManifest(ctx, im.repo, digestOf(body), body)
		}})
		if err != nil {
			return subject{}, err
		}
		sub.listed, err = s.client.countReferrers(ctx, im.repo, im.digest)
		return sub, err
	})
}
