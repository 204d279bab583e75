// Package content holds the rules of what registries contain: repositories, manifests, tags, blobs, uploads,
// referrers, and the collection of what nothing names any more. A Registry from In is one registry's contents as
// oci.Registry; every method asks the policy first.
//
// Bytes come before rows: a blob's object is durable before the transaction that names it, a small blob's bytes are in
// that transaction, and a manifest goes in only where every blob it names is a member of its repository. What is taken
// out leaves first the rows, then, after a grace period, the bucket.
package content

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// Options of the service; zero values are defaults.
type Options struct {
	DB           *meta.DB
	Blobs        *blob.Store
	Log          *slog.Logger
	CacheBytes   int64          // for manifests, blob rows and small blobs; 14 MiB
	MaxBlob      int64          // bytes; 200 GiB
	Grace        *time.Duration // how long a blob may be without a manifest; 1 hour
	UploadExpiry time.Duration  // how long an upload may rest; 7 days
	Encrypt      bool           // whether registries seal what is pushed; those with a customer's key always do
	LogRetention time.Duration  // how long events are kept; 90 days
	Hurry        func() bool    // whether space is short, so that no collection rests; never
}

// Defaults, as the real service has them where it says.
const (
	DefaultMaxBlob      = 200 << 30
	DefaultGrace        = time.Hour
	DefaultUploadExpiry = 7 * 24 * time.Hour
	DefaultLogRetention = 90 * 24 * time.Hour
	defaultCache        = 14 << 20
	rememberedIDs       = 4096
	sharedTTL           = 2 * time.Second
)

// Service keeps the contents of all registries.
type Service struct {
	opt    Options
	db     *meta.DB
	blobs  *blob.Store
	policy auth.Policy
	cache  *cache
	stats  metrics

	uploadKey []byte                    // signs the IDs of uploads
	rowless   *lru.Cache[string, stage] // what is known of the last uploads of which no row tells

	mu    sync.Mutex
	holds map[string]*hold // uploads that somebody in this process works on
}

// stage is how far an upload without a row is.
type stage byte

const (
	_     stage = iota
	begun       // here, where this process is the store's only writer: there is no row
	ended       // as a blob
)

// New makes the service.
func New(opt Options) *Service {
	orDefault(&opt.CacheBytes, defaultCache)
	orDefault(&opt.MaxBlob, DefaultMaxBlob)
	if opt.Grace == nil {
		opt.Grace = new(DefaultGrace)
	}
	if opt.Hurry == nil {
		opt.Hurry = func() bool { return false }
	}
	orDefault(&opt.UploadExpiry, DefaultUploadExpiry)
	orDefault(&opt.LogRetention, DefaultLogRetention)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	var ttl time.Duration
	if opt.DB.Shared() {
		ttl = sharedTTL
	}
	rowless, err := lru.New[string, stage](rememberedIDs)
	if err != nil {
		panic(err) // only a size below one is an error
	}
	return &Service{
		opt: opt, rowless: rowless, db: opt.DB, blobs: opt.Blobs, stats: newMetrics(), uploadKey: opt.DB.DerivedKey("upload IDs"),
		cache: newCache(opt.CacheBytes, ttl, opt.DB.Now), holds: map[string]*hold{},
	}
}

func orDefault[T int64 | time.Duration](v *T, or T) {
	if *v == 0 {
		*v = or
	}
}

// Registry is the contents of one registry.
type Registry struct {
	s    *Service
	name string // lower case
	id   int64
	seal sealer
	lock error // why nothing of it can be had
}

var _ oci.Registry = Registry{}

// In is the contents of a registry.
func (s *Service) In(reg *auth.Registry) Registry {
	r := Registry{s: s, name: reg.Key, id: reg.ID, lock: reg.Locked}
	if reg.ContentKey != nil {
		r.seal, r.lock = newSealer(reg.ContentKey, s.opt.Encrypt || reg.Encryption.Enabled())
	}
	return r
}

// may checks the repository's name and asks the policy.
func (r Registry) may(ctx context.Context, repo string, acts ...acr.Action) error {
	return r.mayOn(ctx, repo, oci.Ref{}, acts...)
}

// mayOn is may for what a tag or digest names, which conditions of roles may speak of.
func (r Registry) mayOn(ctx context.Context, repo string, ref oci.Ref, acts ...acr.Action) error {
	if err := oci.CheckName(repo); err != nil {
		return err
	}
	on := acr.Repository(repo)
	on.Tag, on.Digest = ref.Tag, ref.Digest
	if err := r.s.policy.Allow(ctx, r.name, on, acts...); err != nil {
		return err
	}
	return r.lock
}

func (r Registry) key(kind byte, repo, ref string) key { return key{r.id, kind, repo, ref} }

// event fills in what every event says of who did it.
func (r Registry) event(ctx context.Context, e acr.Event) *acr.Event {
	e.Registry = r.name
	e.Actor, e.RequestID = auth.Actor(ctx)
	e.Request = auth.Call(ctx)
	return &e
}

// Repositories lists repositories that have a manifest: all, or those that the caller may read.
func (r Registry) Repositories(ctx context.Context, p oci.Page) (names []string, more bool, err error) {
	sees, err := r.s.policy.Lists(ctx, r.name)
	if err = cmp.Or(err, r.lock); err != nil {
		return nil, false, err
	}
	batch := p.Limit + 1
	if sees != nil {
		batch = filterBatch
	}
	for after, done := p.After, false; !done && len(names) <= p.Limit; {
		var some []string
		err := r.s.db.Look(ctx, func(tx *meta.Tx) (err error) {
			some, err = tx.Repositories(r.id, after, batch)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		if done = len(some) < batch; !done {
			after = some[len(some)-1]
		}
		for _, name := range some {
			if sees == nil || sees(name) {
				names = append(names, name)
			}
		}
	}
	names, more = cut(names, p.Limit)
	return names, more, nil
}

// filterBatch is how many names are read at once where not all of them are seen.
const filterBatch = 1000

// Tags lists a repository's tags.
func (r Registry) Tags(ctx context.Context, repo string, p oci.Page) (names []string, more bool, err error) {
	if err := r.may(ctx, repo, acr.MetadataRead); err != nil {
		return nil, false, err
	}
	err = r.s.db.View(ctx, func(tx *meta.Tx) error {
		row, err := tx.Repository(r.id, repo)
		if err != nil {
			return err
		}
		if row.Manifests == 0 {
			return meta.NameUnknown(repo)
		}
		names, err = tx.Tags(row.ID, p.After, p.Limit+1)
		return err
	})
	names, more = cut(names, p.Limit)
	return names, more, err
}

// cut takes one page of a list that was read one longer.
func cut(names []string, limit int) ([]string, bool) {
	if len(names) > limit {
		return names[:limit], true
	}
	return names, false
}

// DeleteRepository removes everything under a name, some hundred manifests a transaction. What is pushed meanwhile
// goes too. Where anything in it is locked nothing goes.
func (r Registry) DeleteRepository(ctx context.Context, repo string) (oci.Deleted, error) {
	if err := r.may(ctx, repo, acr.Delete); err != nil {
		return oci.Deleted{}, err
	}
	return r.deleteRepository(ctx, repo, false)
}

func (r Registry) deleteRepository(ctx context.Context, repo string, force bool) (oci.Deleted, error) {
	var gone oci.Deleted
	for done := false; !done; {
		var step deleted
		err := r.s.db.Change(ctx, r.id, func(tx *meta.Tx) error {
			step = deleted{force: force}
			row, err := tx.Repository(r.id, repo)
			if err != nil {
				return err
			}
			if row.Manifests == 0 && len(gone.Manifests) == 0 {
				return meta.NameUnknown(repo)
			}
			if !force {
				if locked, err := tx.HasLocked(row.ID, frozen); err != nil || locked {
					return cmp.Or(err, refused(frozen, frozen))
				}
				if err := refused(row.Locks, frozen); err != nil {
					return err
				}
			}
			done, err = r.deleteSome(ctx, tx, row, &step)
			return err
		})
		if err != nil {
			return gone, err
		}
		gone.Manifests = append(gone.Manifests, step.manifests...)
		gone.Tags = append(gone.Tags, step.tags...)
	}
	return gone, nil
}

// deleteSome removes manifests of a repository, and once there are none its memberships.
func (r Registry) deleteSome(ctx context.Context, tx *meta.Tx, row meta.Repository, step *deleted) (done bool, err error) {
	list, err := tx.Manifests(row.ID, "", treeBatch)
	if err != nil {
		return false, err
	}
	for _, m := range list {
		if err := r.deleteOne(ctx, tx, row, m, step); err != nil {
			return false, err
		}
	}
	if len(list) == treeBatch {
		return false, nil
	}
	members, err := tx.Members(row.ID, treeBatch)
	if err != nil {
		return false, err
	}
	for _, d := range members {
		if _, err := tx.DeleteMember(r.id, row.ID, d); err != nil {
			return false, err
		}
		tx.OnCommit(func() { r.s.cache.drop(r.key(aBlob, row.Name, string(d))) })
	}
	if len(members) == treeBatch {
		return false, nil
	}
	return true, tx.Append(r.event(ctx, acr.Event{Kind: acr.RepositoryDeleted, Repository: row.Name}))
}

// manifestUnknown is the error for a tag or digest that is not there.
func manifestUnknown(repo string, ref oci.Ref) error {
	if ref.Tag != "" {
		return fault.New(fault.ManifestUnknown, "manifest tagged by %q is not found", ref.Tag).
			With(map[string]string{"Name": repo, "Tag": ref.Tag})
	}
	return fault.New(fault.ManifestUnknown, "manifest %s is not found", ref.Digest).
		With(map[string]string{"Name": repo, "Revision": string(ref.Digest)})
}

// orUnknown is unknown where the repository is, else err.
func orUnknown(err, unknown error) error {
	if errors.Is(err, fault.NameUnknown) {
		return unknown
	}
	return err
}
