package resource

import (
	"crypto/rand"
	"encoding/json"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// contentKeySize is how many bytes a content key has.
const contentKeySize = 32

// keyContents gives registries their content keys that were made before there was to be one.
func (s *Service) keyContents(tx *meta.Tx) error {
	if !s.opt.Encrypt {
		return nil
	}
	all, err := tx.Registries()
	if err != nil {
		return err
	}
	for _, number := range all {
		if err := newContentKey(tx, number); err != nil {
			return err
		}
	}
	return nil
}

// newContentKey makes a registry's content key, unless it has one.
func newContentKey(tx *meta.Tx, registry int64) error {
	key := make([]byte, contentKeySize)
	_, _ = rand.Read(key) // never fails
	doc, err := json.Marshal(acr.ContentKey{Key: key})
	if err != nil {
		return err
	}
	_, err = tx.NewSecret(acr.ContentKeySecret(registry), doc)
	return err
}
