package resource

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

func (s *Service) exportPipelines() *Kind[acr.ExportPipeline] {
	return &Kind[acr.ExportPipeline]{
		s: s, provider: arm.Provider, types: []string{"registries", "exportPipelines"},
		name: func(p acr.ExportPipeline) string { return p.Name },
		complete: func(c *Change[acr.ExportPipeline]) error {
			if err := needsPremium(c.In, "Transfer pipelines"); err != nil {
				return err
			}
			if c.In.Policies.ExportOff {
				return fault.New(fault.Conflict, "The export policy of registry %s is disabled: enable it before export pipelines are made.", c.In.Name)
			}
			p := &c.New
			var was acr.AssignedIdentity
			if c.Old == nil {
				p.Name, p.CreatedAt = c.ID.Name(), s.opt.DB.Now().UTC()
			} else {
				was = c.Old.Identity
			}
			p.Location = acr.CleanLocation(p.Location)
			s.stamp(c.ctx, &p.System)
			return s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("exportPipelines", p.Name)}, &was, &p.Identity)
		},
		check: func(c *Change[acr.ExportPipeline]) error {
			return checkLimit[acr.ExportPipeline](c.tx, c.In, "export pipelines", acr.MaxPipelines)
		},
		release: func(c *Change[acr.ExportPipeline]) error {
			return s.unassign(c.tx, c.In.ID.Child("exportPipelines", c.Old.Name), c.Old.Identity)
		},
	}
}
