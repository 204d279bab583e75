package resource

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
)

func (s *Service) importPipelines() *Kind[acr.ImportPipeline] {
	return &Kind[acr.ImportPipeline]{
		s: s, provider: arm.Provider, types: []string{"registries", "importPipelines"},
		name: func(p acr.ImportPipeline) string { return p.Name },
		complete: func(c *Change[acr.ImportPipeline]) error {
			if err := needsPremium(c.In, "Transfer pipelines"); err != nil {
				return err
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
			return s.assign(assigning{c.ctx, c.tx, c.In.ID.Child("importPipelines", p.Name)}, &was, &p.Identity)
		},
		check: func(c *Change[acr.ImportPipeline]) error {
			return checkLimit[acr.ImportPipeline](c.tx, c.In, "import pipelines", acr.MaxPipelines)
		},
		release: func(c *Change[acr.ImportPipeline]) error {
			return s.unassign(c.tx, c.In.ID.Child("importPipelines", c.Old.Name), c.Old.Identity)
		},
	}
}
