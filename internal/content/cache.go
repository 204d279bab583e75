package content

import (
	"hash/maphash"
	"sync"
	"time"
)

// cache remembers what was read of the store, bounded by bytes. Out goes first what was not used since it last came up
// for it (second chance), so that a hit writes to its own entry only.
//
// Where this process is the store's only writer it is exact: whoever changes a row drops its key after the commit and
// before the answer, and what was read before the drop is not taken in after it. Where nodes share the store an
// entry is believed for a short time only, and tags, which move, are not kept at all.
type cache struct {
	now    func() time.Time
	ttl    time.Duration // 0: for good
	seed   maphash.Seed
	shards [16]shard
}

// key names what was read: kind tells of what, ref is a tag or digest.
type key struct {
	registry  int64
	kind      byte
	repo, ref string
}

// Kinds of keys.
const (
	aManifest  = 'm' // by tag or digest: *manifest
	aBlob      = 'b' // by digest: *meta.Blob
	aReferrers = 'r' // by the subject's fallback tag: *pages
	aLock      = 'l' // acr.Locks of the repository
)

type entry struct {
	key        key
	sum        uint64 // of the key
	value      any
	cost       int64
	read       int64 // when, in nanoseconds since 1970
	prev, next *entry
	used       bool // since it was put at the front of the ring
}

// shard finds its entries by their keys' hashes: that is a third of what keys are in memory, without pointers for the collector
// of garbage to follow. Where two keys have the same, the later one is kept.
type shard struct {
	mu    sync.Mutex
	by    map[uint64]*entry
	ring  entry // sentinel: next is the most recent
	bytes int64
	max   int64
	gen   uint64 // counts drops, so that a slower read does not undo one
}

// overhead is about what an entry costs besides its value, in bytes.
const overhead = 256

func newCache(bytes int64, ttl time.Duration, now func() time.Time) *cache {
	c := &cache{now: now, ttl: ttl, seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.by, s.max = map[uint64]*entry{}, bytes/int64(len(c.shards))
		s.ring.prev, s.ring.next = &s.ring, &s.ring
	}
	return c
}

func (c *cache) shard(k key) (s *shard, sum uint64) {
	sum = maphash.Comparable(c.seed, k)
	return &c.shards[sum%uint64(len(c.shards))], sum
}

// of finds a key's entry.
func (s *shard) of(sum uint64, k key) *entry {
	if e := s.by[sum]; e != nil && e.key == k {
		return e
	}
	return nil
}

// get finds a value. Where there is none, ticket goes to put with what is read now.
func (c *cache) get(k key) (value any, ticket uint64) {
	s, sum := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.of(sum, k)
	if e == nil {
		return nil, s.gen
	}
	if c.ttl > 0 && c.now().UnixNano()-e.read > int64(c.ttl) {
		s.remove(e)
		return nil, s.gen
	}
	e.used = true
	return e.value, s.gen
}

// put remembers a value that was read after get gave the ticket, unless something was dropped since.
func (c *cache) put(k key, value any, cost int64, ticket uint64) {
	s, sum := c.shard(k)
	cost += overhead
	if cost > s.max/4 {
		return
	}
	e := &entry{key: k, sum: sum, value: value, cost: cost}
	if c.ttl > 0 {
		e.read = c.now().UnixNano()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == ticket {
		s.add(e)
	}
}

// set remembers what a commit has just made true. It is called in the order of the commits, and only where this process
// is the store's only writer.
func (c *cache) set(k key, value any, cost int64) {
	s, sum := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	if cost += overhead; cost <= s.max/4 {
		s.add(&entry{key: k, sum: sum, value: value, cost: cost})
	}
}

func (s *shard) add(e *entry) {
	if old := s.by[e.sum]; old != nil {
		s.remove(old)
	}
	s.by[e.sum] = e
	e.link(&s.ring)
	s.bytes += e.cost
	for s.bytes > s.max {
		last := s.ring.prev
		if !last.used {
			s.remove(last)
			continue
		}
		last.used = false
		last.unlink()
		last.link(&s.ring)
	}
}

// drop forgets keys, and what is being read of them.
func (c *cache) drop(keys ...key) {
	for _, k := range keys {
		s, sum := c.shard(k)
		s.mu.Lock()
		s.gen++
		if e := s.of(sum, k); e != nil {
			s.remove(e)
		}
		s.mu.Unlock()
	}
}

// dropRepository forgets all that was read of a repository, and what is being read. It looks through all entries.
func (c *cache) dropRepository(registry int64, repo string) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.gen++
		for e := s.ring.next; e != &s.ring; {
			next := e.next
			if e.key.registry == registry && e.key.repo == repo {
				s.remove(e)
			}
			e = next
		}
		s.mu.Unlock()
	}
}

func (s *shard) remove(e *entry) {
	delete(s.by, e.sum)
	e.unlink()
	s.bytes -= e.cost
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (e *entry) link(ring *entry) {
	e.prev, e.next = ring, ring.next
	ring.next.prev = e
	ring.next = e
}
