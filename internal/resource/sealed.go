package resource

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// sealedPrefix begins the names of the secrets of a registry's documents.
func sealedPrefix(registryUID string) string { return "sealed/" + registryUID + "/" }

// seal keeps the secrets of a document apart, and leaves it with their names: a text that was not there is sealed, and what is
// gone is removed. Errors: fault.Invalid for a name that the document did not have.
func seal(tx *meta.Tx, in Parent, old, now []*acr.Sealed) error {
	refs, gone := map[string]string{}, map[string]bool{}
	sent := slices.ContainsFunc(now, func(s *acr.Sealed) bool { return s.Text != "" })
	for _, s := range old {
		if s.Ref == "" {
			continue
		}
		if gone[s.Ref] = true; !sent {
			continue
		}
		secret, err := tx.Secret(sealedPrefix(in.UID) + s.Ref)
		if err != nil {
			return err
		}
		refs[string(secret.Value)] = s.Ref
	}
	had := func(ref string) bool { _, ok := gone[ref]; return ok }
	for _, s := range now {
		if s.IsZero() {
			continue
		}
		if s.Ref == "" {
			ref := refs[s.Text]
			if ref == "" {
				ref = strings.ToLower(rand.Text())
				if err := tx.PutSecret(sealedPrefix(in.UID)+ref, []byte(s.Text)); err != nil {
					return err
				}
				refs[s.Text], gone[ref] = ref, false
			}
			*s = acr.Sealed{Ref: ref}
		}
		if !had(s.Ref) {
			return fault.New(fault.Invalid, "a secret is a text: it is sent as a string")
		}
		gone[s.Ref] = false
	}
	for ref, none := range gone {
		if none {
			if err := tx.DeleteSecret(sealedPrefix(in.UID) + ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// unseal gives a document that was read its secrets.
func unseal(tx *meta.Tx, in Parent, secrets []*acr.Sealed) error {
	for _, s := range secrets {
		if s.Ref == "" {
			continue
		}
		secret, err := tx.Secret(sealedPrefix(in.UID) + s.Ref)
		if err != nil {
			return err
		}
		*s = acr.Sealed{Text: string(secret.Value)}
	}
	return nil
}

// dropSealed removes the secrets of all documents of a registry that goes away.
func dropSealed(tx *meta.Tx, registryUID string) error {
	list, err := tx.Secrets(sealedPrefix(registryUID))
	if err != nil {
		return err
	}
	for _, secret := range list {
		if err := tx.DeleteSecret(secret.Name); err != nil {
			return err
		}
	}
	return nil
}
