package resource

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// traits are what resources have that stand in the list of all resources, wherever their documents keep them.
type traits struct {
	tags     *map[string]string
	location string
	system   acr.SystemData
	sku      string
	state    string
}

// Tracked is a resource as the list of all resources shows it.
type Tracked struct {
	ID       arm.ID
	Type     string // with its provider
	Location string
	Tags     map[string]string
	System   acr.SystemData
	SKU      string
	State    string
}

// tracks says of which kinds resources have tags.
func (s *Service) tracks() {
	s.Groups.traits = func(g *acr.ResourceGroup) traits {
		return traits{tags: &g.Tags, location: g.Location, state: g.Provisioning.Shown()}
	}
	s.Registries.traits = func(r *acr.Registry) traits {
		return traits{tags: &r.Tags, location: r.Location, system: r.System, sku: r.SKU}
	}
	s.Identities.traits = func(m *acr.ManagedIdentity) traits {
		return traits{tags: &m.Tags, location: m.Location, system: m.System}
	}
	s.Webhooks.traits = func(w *acr.Webhook) traits { return traits{tags: &w.Tags, location: w.Location, system: w.System} }
	s.Replications.traits = func(r *acr.Replication) traits { return traits{tags: &r.Tags, location: r.Location, system: r.System} }
	s.Tasks.traits = func(t *acr.Task) traits { return traits{tags: &t.Tags, location: t.Location, system: t.System} }
	s.AgentPools.traits = func(p *acr.AgentPool) traits { return traits{tags: &p.Tags, location: p.Location, system: p.System} }
}

// Tracked lists what has a location and tags below a group or subscription, whole, as far as the caller may read it: clients
// look through it for a name. kind is the only type that is wanted, "" all. Errors: fault.Denied, fault.NotFound.
func (s *Service) Tracked(ctx context.Context, parent, kind string) (out []Tracked, err error) {
	if err := s.Sees(ctx, parent); err != nil {
		return nil, err
	}
	for _, w := range s.inOrder {
		some, err := w.tracked(ctx, parent, kind)
		if err != nil && !errors.Is(err, fault.Denied) {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func (k *Kind[R]) tracked(ctx context.Context, parent, kind string) (out []Tracked, err error) {
	if k.traits == nil || k.provider == arm.Resources || kind != "" && !strings.EqualFold(kind, k.of()) {
		return nil, nil
	}
	parents := []string{parent}
	if len(k.types) > 1 {
		registries, err := k.s.Registries.tracked(ctx, parent, "")
		if err != nil {
			return nil, err
		}
		parents = nil
		for _, r := range registries {
			parents = append(parents, r.ID.String())
		}
	}
	for _, parent := range parents {
		some, err := k.trackedIn(ctx, parent)
		if err != nil && !errors.Is(err, fault.Denied) && !errors.Is(err, fault.NotFound) {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func (k *Kind[R]) trackedIn(ctx context.Context, parent string) (out []Tracked, err error) {
	for p := (Page{}); ; {
		some, more, err := k.List(ctx, parent, p)
		if err != nil {
			return out, err
		}
		for _, kept := range some {
			if k.isGiven(kept) {
				continue // it comes with its registry, and goes with it
			}
			t := k.traits(&kept.Doc)
			out = append(out, Tracked{kept.ID, k.of(), t.location, *t.tags, t.system, t.sku, t.state})
		}
		if more == "" {
			return out, nil
		}
		p.After = more
	}
}

func (k *Kind[R]) isGiven(kept Kept[R]) bool {
	return k.given != nil && slices.ContainsFunc(k.given(kept.In), func(r R) bool { return strings.EqualFold(k.name(r), kept.ID.Name()) })
}

// tagged finds the resource that a scope is, which has tags. Errors: fault.NotFound, fault.Unsupported.
func (s *Service) tagged(scope string) (worker, arm.ID, error) {
	p, err := arm.ParsePath(scope)
	if err != nil || p.Collection() || len(p.Names) == 0 {
		return nil, arm.ID{}, fault.New(noTags, "The scope '%.500s' has no tags: they belong to resource groups and resources.", scope)
	}
	id := p.ID()
	if w := s.workers[p.Type()]; w != nil && w.taggable() {
		if p.Provider == arm.Resources {
			id = s.GroupID(p.Group)
		}
		return w, id, nil
	}
	return nil, id, fault.New(noTags, "'%.500s' has no tags: they belong to resource groups and to resources that have a location.", scope)
}

// Tags reads the tags of the resource that a scope is. Errors: fault.NotFound.
func (s *Service) Tags(ctx context.Context, scope string) (map[string]string, error) {
	if err := control(ctx, scope, arm.Resources+"/tags/read"); err != nil {
		return nil, err
	}
	w, id, err := s.tagged(scope)
	if err != nil {
		return nil, err
	}
	return w.tagsOf(ctx, id)
}

// EditTags changes the tags of the resource that a scope is: edit gets those that are there, as they are when they are
// written. verb is the right that it takes: write, or delete where all go. Errors: fault.NotFound, fault.Invalid, fault.Disallowed where it is locked.
func (s *Service) EditTags(ctx context.Context, scope string, verb string, edit func(tags map[string]string)) (map[string]string, error) {
	if err := control(ctx, scope, arm.Resources+"/tags/"+verb); err != nil {
		return nil, err
	}
	w, id, err := s.tagged(scope)
	if err != nil {
		return nil, err
	}
	return w.retag(ctx, id, edit)
}

func (k *Kind[R]) taggable() bool { return k.traits != nil }

func (k *Kind[R]) tagsOf(ctx context.Context, id arm.ID) (tags map[string]string, err error) {
	err = k.s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		kept, err := k.get(tx, id)
		if err == nil {
			tags = *k.traits(&kept.Doc).tags
		}
		return err
	})
	return tags, err
}

func (k *Kind[R]) retag(ctx context.Context, id arm.ID, edit func(tags map[string]string)) (map[string]string, error) {
	if err := k.reserved(id); err != nil {
		return nil, err
	}
	kept, _, err := k.put(ctx, id, UpdateOnly, Match{}, func(r *R, _ bool) error {
		tags := k.traits(r).tags
		fresh := make(map[string]string, len(*tags))
		for name, value := range *tags {
			fresh[name] = value
		}
		edit(fresh)
		*tags = fresh
		return nil
	})
	if err != nil {
		return nil, err
	}
	return *k.traits(&kept.Doc).tags, nil
}

// SetTags sets tags: names are compared without regard to case, and keep the spelling that they have.
func SetTags(tags, to map[string]string) {
	spelled := make(map[string]string, len(tags)+len(to))
	for had := range tags {
		spelled[strings.ToLower(had)] = had
	}
	for _, name := range slices.Sorted(maps.Keys(to)) {
		key := strings.ToLower(name)
		if spelled[key] == "" {
			spelled[key] = name
		}
		tags[spelled[key]] = to[name]
	}
}

// DropTag takes a tag away, if it has the value; "" is any.
func DropTag(tags map[string]string, name, value string) {
	for had, is := range tags {
		if strings.EqualFold(had, name) && (value == "" || is == value) {
			delete(tags, had)
		}
	}
}
