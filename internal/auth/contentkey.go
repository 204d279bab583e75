package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// contentKeys reads the content keys of all registries as they are kept, by the names of their secrets.
func contentKeys(tx *meta.Tx) (map[string][]byte, error) {
	list, err := tx.Secrets(acr.ContentKeys)
	if err != nil {
		return nil, err
	}
	kept := make(map[string][]byte, len(list))
	for _, s := range list {
		kept[s.Name] = s.Value
	}
	return kept, nil
}

// openContents opens the registry's content key, or takes the one that was opened before; kept is nil where there is none.
func (r *Registry) openContents(tx *meta.Tx, kept []byte, was *Registry) error {
	if kept == nil {
		return nil
	}
	r.wrapped = kept
	if was != nil && was.ContentKey != nil && bytes.Equal(was.wrapped, kept) {
		r.ContentKey = was.ContentKey
		return nil
	}
	key, err := openContentKey(kept)
	r.ContentKey = key
	return err
}

// ContentKey is what a registry's contents are sealed with, by its row's number; nil where nothing of them ever was.
func ContentKey(tx *meta.Tx, registry int64) ([]byte, error) {
	secret, err := tx.Secret(acr.ContentKeySecret(registry))
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return openContentKey(secret.Value)
}

func openContentKey(kept []byte) ([]byte, error) {
	var k acr.ContentKey
	if err := json.Unmarshal(kept, &k); err != nil {
		return nil, fmt.Errorf("the key of a registry's contents is damaged; restore the metadata: %w", err)
	}
	return k.Key, nil
}
