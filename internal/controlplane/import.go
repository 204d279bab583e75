package controlplane

import "github.com/acre-registry/acre/internal/acr"

func importImage(c *call) error {
	var in acr.ImportRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	return c.opt.Resources.ImportImage(c.ctx, c.path.ID(), in)
}
