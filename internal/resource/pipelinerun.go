package resource

import (
	"context"
	"errors"
	"slices"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (s *Service) pipelineRuns() *Kind[acr.PipelineRun] {
	return &Kind[acr.PipelineRun]{
		s: s, provider: arm.Provider, types: []string{"registries", "pipelineRuns"},
		name:     func(r acr.PipelineRun) string { return r.Name },
		complete: s.completePipelineRun,
		check: func(c *Change[acr.PipelineRun]) error {
			return checkLimit[acr.PipelineRun](c.tx, c.In, "pipeline runs", acr.MaxPipelineRuns)
		},
		release: func(*Change[acr.PipelineRun]) error { return nil }, // what it carried stays
		start: func(c *Change[acr.PipelineRun]) acr.Operation {
			if !runs(c) {
				return acr.Operation{}
			}
			return acr.Operation{Verb: acr.OnWrite}
		},
		work: func(_ context.Context, o acr.Operation) error {
			return fault.New(notAvailable, "Transfer is not available in this version: nothing was exported or imported by '%s'.", o.On)
		},
	}
}

// runs tells whether a change is a run: a new one, or one that is asked for again.
func runs(c *Change[acr.PipelineRun]) bool {
	return c.Old == nil || c.New.ForceTag != c.Old.ForceTag || c.New.Pipeline != c.Old.Pipeline || c.New.Import != c.Old.Import ||
		c.New.Blob != c.Old.Blob || c.New.CatalogDigest != c.Old.CatalogDigest || !slices.Equal(c.New.Artifacts, c.Old.Artifacts)
}

func (s *Service) completePipelineRun(c *Change[acr.PipelineRun]) error {
	if err := needsPremium(c.In, "Transfer pipelines"); err != nil {
		return err
	}
	r, now := &c.New, s.opt.DB.Now().UTC()
	if c.Old == nil {
		r.Name, r.CreatedAt = c.ID.Name(), now
	} else if !c.Old.State.Ended() && c.Old.State != "" && runs(c) {
		return fault.New(fault.Conflict, "The pipeline run '%s' is under way: wait for it to end, or give the new run another name.", c.Old.Name)
	}
	name, err := s.pipelineOf(c)
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.Invalid, "The pipeline '%s' of pipeline run '%s' does not exist in registry %s: create it first.", r.Pipeline, r.Name, c.In.Name)
	}
	if err != nil {
		return err
	}
	if r.Pipeline = name; runs(c) {
		r.StartedAt = now
	}
	s.stamp(c.ctx, &r.System)
	return nil
}

// pipelineOf is the name of a run's pipeline as it is spelled.
func (s *Service) pipelineOf(c *Change[acr.PipelineRun]) (string, error) {
	id := c.In.ID.Child(c.New.PipelineKind(), c.New.Pipeline)
	if c.New.Import {
		kept, err := s.ImportPipelines.get(c.tx, id)
		return kept.Doc.Name, err
	}
	kept, err := s.ExportPipelines.get(c.tx, id)
	return kept.Doc.Name, err
}
