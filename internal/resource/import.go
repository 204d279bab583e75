package resource

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// Importer copies what an import names; serve introduces one.
type Importer interface {
	// MayPull tells whether the context's identity may pull a repository of a registry, with a tag or digest if it is asked for
	// by one. Errors: fault.Denied, fault.Unauthenticated.
	MayPull(ctx context.Context, reg *auth.Registry, on acr.Scope) error
	// Import copies into reg, from another registry of the installation or, where from is nil, from elsewhere.
	Import(ctx context.Context, job ImportJob) error
}

// ImportJob is an import that is to be done, or gone on with.
type ImportJob struct {
	acr.Import
	To, From *auth.Registry
	Actor    string // who asked
	Before   acr.ImportProgress
	Progress func(acr.ImportProgress)
}

const (
	importsAtOnce = 2               // on this node: the queue has more to do
	importsLater  = 2 * time.Second // when the others are looked at again
	progressEvery = time.Second
)

// ImportImage begins to copy artifacts into a registry. It needs importImage/action there and the right to pull from the
// source, if that is a registry of this installation. Errors: fault.Invalid, fault.Denied, fault.NotFound; fault.Blocked for a
// registry whose network rules let no trusted services pass; exportsDisabled.
func (s *Service) ImportImage(ctx context.Context, id arm.ID, in acr.Import) (acr.Operation, error) {
	if err := control(ctx, id.String(), s.Registries.Operation("importImage/action")); err != nil {
		return acr.Operation{}, err
	}
	if err := in.Validate(); err != nil {
		return acr.Operation{}, err
	}
	target, err := s.Known(ctx, id)
	if err != nil {
		return acr.Operation{}, err
	}
	if s.opt.Importer == nil {
		return acr.Operation{}, fault.New(notAvailable, "Imports are not available here: pull '%.200s' and push it to registry %s.", in.Source.Image, target.Name)
	}
	if err := trusted(target.Registry); err != nil {
		return acr.Operation{}, err
	}
	if err := s.mayImportFrom(ctx, in); err != nil {
		return acr.Operation{}, err
	}
	o := acr.Operation{Verb: acr.OnImport, Secret: in.Source.Password != "", Progress: &acr.ImportProgress{}, NotBefore: s.opt.DB.Now().UTC()}
	if o.Args, err = json.Marshal(in); err != nil {
		return acr.Operation{}, err
	}
	err = s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		kept, err := s.Registries.get(tx, id)
		if err != nil {
			return err
		}
		if o, err = s.Registries.begin(ctx, tx, kept.ID, o); err != nil || !o.Secret {
			return err
		}
		return tx.PutSecret(o.SecretName(), []byte(in.Source.Password))
	})
	if err == nil && s.opt.Wake != nil {
		s.opt.Wake()
	}
	return o, err
}

// mayImportFrom asks for the right to pull from a source that is a registry of the installation.
func (s *Service) mayImportFrom(ctx context.Context, in acr.Import) error {
	if in.Source.Registry == "" {
		return nil
	}
	id, err := arm.ParseID(in.Source.Registry)
	if err != nil {
		return err
	}
	if err := control(ctx, id.String(), s.Registries.Operation("read")); err != nil {
		return err
	}
	source, err := s.Known(ctx, id)
	if err != nil {
		return err
	}
	from, err := in.From()
	if err != nil {
		return err
	}
	on := acr.Repository(from.Repository)
	if on.Tag, on.Digest = from.Tag, from.Digest; from.Pattern() {
		on.Tag = ""
	}
	if err := s.opt.Importer.MayPull(ctx, source, on); err != nil {
		return fault.New(linkedDenied, "The client has permission to perform action '%s' on scope '%s', but may not pull '%s' from the linked registry '%s': "+
			"assign it a role that reads the contents of that registry.", s.Registries.Operation("importImage/action"), id, from.Repository, source.Name)
	}
	return Exportable(source.Registry)
}

// Exportable refuses a registry whose contents may not leave it for another. Errors: exportsDisabled, fault.Blocked.
func Exportable(r acr.Registry) error {
	if r.Policies.ExportOff {
		return fault.New(exportsDisabled, "The source registry '%s' does not allow to export its artifacts: its export policy is disabled.", r.Name)
	}
	return trusted(r)
}

// trusted refuses a registry that can be reached by private networks alone, or by some addresses, and does not let trusted
// services pass, of which imports are one.
func trusted(r acr.Registry) error {
	if r.BypassNone && (r.PublicDisabled || r.Network.DefaultAction == acr.Deny) {
		return fault.New(fault.Blocked, "The network rules of registry '%s' refuse imports, which come from no address of a client: allow trusted services "+
			"(networkRuleBypassOptions AzureServices) for them to pass.", r.Name)
	}
	return nil
}

// errLater is an operation's work that is to be looked at again in a while.
var errLater = errors.New("too much is under way")

// workRegistry does the actions on registries that take longer than their answer.
func (s *Service) workRegistry(ctx context.Context, o acr.Operation) error {
	if o.Verb != acr.OnImport {
		return nil
	}
	select {
	case s.importing <- struct{}{}:
	default:
		return errLater
	}
	defer func() { <-s.importing }()
	job, err := s.importJob(ctx, o)
	if err != nil {
		return err
	}
	var told time.Time
	checked := o.Progress != nil && o.Progress.Checked
	last := job.Before
	job.Progress = func(p acr.ImportProgress) {
		last = p
		now := s.opt.DB.Now()
		if p.Checked == checked && now.Sub(told) < progressEvery && !now.Before(told) {
			return
		}
		if s.noteProgress(ctx, o.Name, p) == nil { // else with the next one
			told, checked = now, p.Checked
		}
	}
	err = s.opt.Importer.Import(ctx, job)
	if err == nil {
		err = s.noteProgress(ctx, o.Name, last)
	}
	return final(err)
}

// importJob reads what is to be done as things are now: a source may have been closed since it was asked for.
func (s *Service) importJob(ctx context.Context, o acr.Operation) (ImportJob, error) {
	job := ImportJob{Actor: o.Actor}
	if o.Progress != nil {
		job.Before = *o.Progress
	}
	if err := json.Unmarshal(o.Args, &job.Import); err != nil {
		return job, err
	}
	to, err := arm.ParseID(o.On)
	if err != nil {
		return job, err
	}
	if job.To, err = s.Known(ctx, to); err != nil {
		return job, err
	}
	if at := job.Source.Registry; at != "" {
		from, err := arm.ParseID(at)
		if err != nil {
			return job, err
		}
		if job.From, err = s.Known(ctx, from); err != nil {
			return job, err
		}
		if err := Exportable(job.From.Registry); err != nil {
			return job, err
		}
	}
	if !o.Secret {
		return job, nil
	}
	err = s.opt.DB.Look(ctx, func(tx *meta.Tx) error {
		secret, err := tx.Secret(o.SecretName())
		job.Source.Password = string(secret.Value)
		return err
	})
	return job, err
}

func (s *Service) noteProgress(ctx context.Context, name string, p acr.ImportProgress) error {
	return s.opt.DB.Update(ctx, func(tx *meta.Tx) error {
		o, version, err := meta.Hold[acr.Operation](tx, acr.OperationID(name))
		if err != nil {
			return err
		}
		o.Progress = &p
		return meta.Put(tx, acr.OperationID(name), o, version)
	})
}

// final is an import's error that is told to who asked for it: what may pass has been tried again by then, but for a source
// that says when to come back.
func final(err error) error {
	e := fault.Of(err)
	switch e.Kind {
	case fault.Full:
		return &fault.Error{Kind: fault.Disallowed, Code: "InsufficientStorage", Message: e.Message, Err: err}
	case fault.Unavailable, fault.Upstream:
		return &fault.Error{Kind: fault.Invalid, Code: "ImportFailed", Message: e.Message, Err: err}
	}
	return err
}
