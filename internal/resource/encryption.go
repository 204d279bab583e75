package resource

import (
	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// completeEncryption refuses a key of one's own, which cannot be used yet.
func (s *Service) completeEncryption(c *Change[acr.Registry]) error {
	if c.New.Encryption.Enabled() {
		return fault.New(notAvailable, "Registry %s: encryption with a customer-managed key is not available in this version of acre: leave encryption out, "+
			"or send its status as disabled.", c.New.Name)
	}
	return nil
}
