package mirror

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// image is one that is to be copied, and where to.
type image struct {
	repo string
	ref  oci.Ref
	to   []acr.ImportTarget
}

// maxImages bounds one import.
const maxImages = 1_000_000

// plan lists what is to be copied, and makes sure that no tag stands in the way before anything moves.
func (r *run) plan(ctx context.Context) ([]image, error) {
	images, err := r.images(ctx)
	if err != nil || r.Import.Force || r.Before.Checked {
		return images, err
	}
	for _, i := range images {
		for _, t := range i.to {
			if err := r.free(ctx, i, t); err != nil {
				return nil, err
			}
		}
	}
	return images, nil
}

// images lists what the source's name stands for.
func (r *run) images(ctx context.Context) ([]image, error) {
	if !r.from.Pattern() {
		return []image{{r.from.Repository, oci.Ref{Tag: r.from.Tag, Digest: r.from.Digest}, r.Import.Targets(r.from.Repository, r.from.Tag)}}, nil
	}
	repositories := []string{r.from.Repository}
	if r.from.WholeRepositories() {
		var err error
		if repositories, err = r.repositories(ctx); err != nil {
			return nil, err
		}
	}
	var out []image
	for _, repo := range repositories {
		tags, err := r.tags(ctx, repo)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			out = append(out, image{repo, oci.Ref{Tag: tag}, r.Import.Targets(repo, tag)})
		}
		if len(out) > maxImages {
			return nil, fault.New(fault.Invalid, "%s stands for more than %d images: import parts of it", r.Import.Source.Image, maxImages)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.ManifestUnknown, "the source has no image that %s stands for", r.Import.Source.Image)
	}
	return out, nil
}

// Pages of listings, and how long a call may take that is no blob.
const (
	pageOfNames = 1000
	callTime    = time.Minute
)

func (r *run) repositories(ctx context.Context) (out []string, err error) {
	after := strings.TrimSuffix(r.from.Repository, "*")
	if after != "" {
		after = strings.TrimSuffix(after, "/") // which sorts right before what is below it, but for names such as a-b
	}
	return out, r.each(ctx, after, func(ctx context.Context, p oci.Page) ([]string, bool, error) { return r.From.Repositories(ctx, p) },
		func(name string) {
			if r.from.CoversRepository(name) {
				out = append(out, name)
			}
		})
}

func (r *run) tags(ctx context.Context, repo string) (out []string, err error) {
	return out, r.each(ctx, "", func(ctx context.Context, p oci.Page) ([]string, bool, error) { return r.From.Tags(ctx, repo, p) },
		func(tag string) {
			if r.from.CoversTag(tag) {
				out = append(out, tag)
			}
		})
}

// each reads all pages of a listing of the source.
func (r *run) each(ctx context.Context, after string, page func(context.Context, oci.Page) ([]string, bool, error), see func(string)) error {
	for {
		var names []string
		var more bool
		err := r.ask(ctx, func(ctx context.Context) (err error) {
			names, more, err = page(ctx, oci.Page{After: after, Limit: pageOfNames})
			return err
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			see(name)
			after = name
		}
		if !more || len(names) == 0 {
			return nil
		}
	}
}

// free makes sure that a tag of the target is not taken. In an import by pattern it may name the very manifest that the
// source's does.
func (r *run) free(ctx context.Context, i image, t acr.ImportTarget) error {
	if t.Tag == "" {
		return nil
	}
	there, err := r.To.Resolve(r.WriteAs(ctx), t.Repository, oci.Ref{Tag: t.Tag})
	switch {
	case errors.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case r.from.Pattern() && len(r.platforms) == 0:
		var d oci.Descriptor
		if err := r.ask(ctx, func(ctx context.Context) (err error) {
			d, err = r.From.Resolve(ctx, i.repo, i.ref)
			return err
		}); err != nil || d.Digest == there.Digest {
			return err
		}
	}
	return tagTaken(t)
}

// tagTaken is what the real service says.
func tagTaken(t acr.ImportTarget) error {
	return fault.New(fault.Exists, "Tag %s already exists in target registry. Import with force to overwrite it.", t)
}

// ask asks the source something that is no blob.
func (r *run) ask(ctx context.Context, fn func(ctx context.Context) error) error {
	asking, cancel := context.WithTimeout(r.ReadAs(ctx), callTime)
	defer cancel()
	err := fn(asking)
	if err != nil && ctx.Err() == nil {
		return FromSource(err)
	}
	return err
}
