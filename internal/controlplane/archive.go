package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/arm"
)

// archiveRows are package feeds, and their versions: none can be made in this version.
func (f *Face) archiveRows() []*row {
	asks := func(verb string, then func(c *call) error) handler {
		return func(c *call) error {
			id := c.path.ID()
			if c.path.Collection() {
				id = id.Child(c.path.Types[len(c.path.Types)-1], "")
			}
			if err := c.opt.Resources.Archive(c.ctx, id, verb); err != nil {
				return err
			}
			return then(c)
		}
	}
	verbs := func() map[string]handler {
		return map[string]handler{
			list:              asks("read", func(c *call) error { return listed[any](c, nil, "") }),
			http.MethodGet:    asks("read", nil), // there is none to show
			http.MethodPut:    asks("write", nil),
			http.MethodPatch:  asks("write", nil),
			http.MethodDelete: asks("delete", func(c *call) error { return c.deleted(false) }),
		}
	}
	return []*row{
		{provider: arm.Provider, types: "registries/packages/archives", verbs: verbs()},
		{provider: arm.Provider, types: "registries/packages/archives/versions", verbs: verbs()},
	}
}

// childRows are what lies in a registry beside what others' files hold.
func (f *Face) childRows() []*row {
	return append(f.archiveRows(), f.webhookRow(), f.replicationRow(), f.cacheRuleRow(), f.credentialSetRow(), f.connectedRegistryRow(),
		f.exportPipelineRow(), f.importPipelineRow(), f.pipelineRunRow(), f.customDomainRow())
}
