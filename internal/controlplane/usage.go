package controlplane

func listUsages(c *call) error {
	usages, err := c.opt.Resources.Usages(c.ctx, c.path.ID())
	if err != nil {
		return err
	}
	type usage struct {
		Name    string `json:"name"`
		Limit   int64  `json:"limit"`
		Current int64  `json:"currentValue"`
		Unit    string `json:"unit"`
	}
	out := make([]usage, len(usages))
	for i, u := range usages {
		out[i] = usage(u)
	}
	return listed(c, out, "")
}
