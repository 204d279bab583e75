package controlplane

import (
	"net/http"

	"github.com/acre-registry/acre/internal/auth"
)

// findLeaked looks for generated passwords and secrets in a text, on one registry or wherever the caller may, and ends those
// that are good where it is asked to.
func findLeaked(c *call) error {
	var in struct {
		Text   string `json:"text"`
		Revoke bool   `json:"revoke"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	q := auth.Search{Text: in.Text, Revoke: in.Revoke}
	if len(c.path.Names) > 0 {
		q.Registry = c.registryKey()
	}
	found, err := c.opt.Auth.Leaked(c.ctx, q)
	if err != nil {
		return err
	}
	return c.write(http.StatusOK, found)
}
