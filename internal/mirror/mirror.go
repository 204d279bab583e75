// Package mirror copies over the plain protocol: what one registry holds into another, near or far.
//
// A copy moves a blob only where the target has it nowhere, from whole digests to whole digests: what came is held against its
// digest before it can be seen, children come before what names them, and tags last. So a copy that ends half-way leaves
// nothing but blobs that nothing names, which are not moved again if it is begun anew, and which collection takes in time.
package mirror

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/oci"
)

// Source is what is read of a registry.
type Source interface {
	oci.Reader
	oci.Lister
}

// Target is what takes copies in.
type Target interface {
	oci.Reader
	oci.Writer
	// PutManifestOnce is PutManifest under a tag that names no other manifest yet. Errors: fault.Exists where it does.
	PutManifestOnce(ctx context.Context, repo string, ref oci.Ref, mediaType string, body []byte) (oci.Descriptor, error)
}

// Copy is an import under way.
type Copy struct {
	From Source
	To   Target
	// Link makes a blob of the source readable in the target without moving it; nil where it cannot. Errors: BLOB_UNKNOWN where
	// it is to be moved after all.
	Link func(ctx context.Context, repo, fromRepo string, d oci.Digest) error
	// ReadAs and WriteAs give a context who asks the source, and who asks the target; nil: whoever calls.
	ReadAs, WriteAs func(context.Context) context.Context

	Import acr.Import
	Before acr.ImportProgress // how far an earlier try came
	// Progress hears how far it is, now and then, from one goroutine at a time.
	Progress func(acr.ImportProgress)
	Stall    time.Duration // how long a source may send nothing; 0: 30 seconds
	Pause    time.Duration // after a download first broke; 0: 200 ms
}

// How much is done at once.
const (
	imagesAtOnce = 4
	blobsAtOnce  = 6
	defaultStall = 30 * time.Second
	defaultPause = 200 * time.Millisecond
)

// run is a copy with what it keeps in mind.
type run struct {
	Copy
	from      acr.ImportName
	platforms []acr.Platform
	slots     chan struct{} // of blobs that move

	mu       sync.Mutex
	progress acr.ImportProgress
	blobs    map[place]*once // those that were seen, by the repository that they go to
	trees    map[place]*once // manifests that are there, with all below
	referred map[place]bool  // manifests whose referrers somebody sees to
}

// place is something in a repository of the target.
type place struct {
	repo   string
	digest oci.Digest
}

// once is something that many want and one does.
type once struct {
	sync.Mutex
	done bool
}

// Run copies. Errors: those of the source as SourceFailed or a finer one of its kind, fault.NotFound for what it does not have,
// fault.Exists for a tag that is in the way, those of the target.
func (c Copy) Run(ctx context.Context) error {
	if c.Stall == 0 {
		c.Stall = defaultStall
	}
	if c.Pause == 0 {
		c.Pause = defaultPause
	}
	same := func(ctx context.Context) context.Context { return ctx }
	if c.ReadAs == nil {
		c.ReadAs = same
	}
	if c.WriteAs == nil {
		c.WriteAs = same
	}
	if c.Progress == nil {
		c.Progress = func(acr.ImportProgress) {}
	}
	r := &run{Copy: c, slots: make(chan struct{}, blobsAtOnce), blobs: map[place]*once{}, trees: map[place]*once{}, referred: map[place]bool{}}
	var err error
	if r.from, err = c.Import.From(); err != nil {
		return err
	}
	for _, p := range c.Import.Platforms {
		platform, err := acr.ParsePlatform(p)
		if err != nil {
			return err
		}
		r.platforms = append(r.platforms, platform)
	}
	images, err := r.plan(ctx)
	if err != nil {
		return err
	}
	r.tell(func(p *acr.ImportProgress) { p.Images, p.Checked = int64(len(images)), true })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(imagesAtOnce)
	for _, i := range images {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.image(ctx, i); err != nil {
				return err
			}
			r.tell(func(p *acr.ImportProgress) { p.Copied++ })
			return nil
		})
	}
	return group.Wait()
}

// tell notes how far it is, and says so.
func (r *run) tell(note func(p *acr.ImportProgress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	note(&r.progress)
	r.Progress(r.progress)
}

// first has fn do what nobody has done yet. Who comes meanwhile waits for it; where it fails the next one tries.
func (r *run) first(in map[place]*once, at place, fn func() error) error {
	r.mu.Lock()
	o := in[at]
	if o == nil {
		o = &once{}
		in[at] = o
	}
	r.mu.Unlock()
	o.Lock()
	defer o.Unlock()
	if o.done {
		return nil
	}
	err := fn()
	o.done = err == nil
	return err
}
