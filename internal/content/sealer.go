package content

import (
	"context"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/oci"
)

// sealer seals and opens what a registry keeps in rows: manifests, small blobs, and what came of an upload. What was
// kept before there was a key stays as it is, and is read as it is.
type sealer struct {
	cipher *blob.Cipher // nil: nothing was ever sealed
	seals  bool         // whether what is new is
}

func newSealer(key []byte, seals bool) (sealer, error) {
	if key == nil {
		return sealer{}, nil
	}
	c, err := blob.NewCipher(key)
	return sealer{c, seals && err == nil}, err
}

// sealerOf is that of a registry by its row's number, for who only reads.
func (s *Service) sealerOf(ctx context.Context, registry int64) (sealer, error) {
	var key []byte
	if err := s.db.Look(ctx, func(tx *meta.Tx) (err error) {
		key, err = auth.ContentKey(tx, registry)
		return err
	}); err != nil {
		return sealer{}, err
	}
	return newSealer(key, false)
}

// blobs is the store as the registry uses it.
func (r Registry) blobs() *blob.Store { return r.s.blobsFor(r.seal) }

func (s *Service) blobsFor(seal sealer) *blob.Store {
	if seal.cipher == nil {
		return s.blobs
	}
	return s.blobs.With(seal.cipher, seal.seals)
}

// seal seals bytes under the name of what they are.
func (s sealer) seal(what, name string, body []byte) []byte {
	if !s.seals {
		return body
	}
	return s.cipher.SealRow(what+" "+name, body)
}

// open opens bytes that are, opened, so many; others are what is there, or damaged, and its reader's to judge.
func (s sealer) open(what, name string, body []byte, size int64) ([]byte, error) {
	if int64(len(body)) != size+blob.RowOverhead {
		return body, nil
	}
	return s.unseal(what, name, body)
}

func (s sealer) unseal(what, name string, sealed []byte) ([]byte, error) {
	if s.cipher == nil {
		return nil, fault.New(fault.Internal, "%s %s is sealed, and its registry has no key; restore the metadata that it belongs to", what, name)
	}
	return s.cipher.OpenRow(what+" "+name, sealed)
}

// sealedManifest begins the row of a sealed manifest: no manifest begins so, for each is JSON.
const sealedManifest = 0

func (s sealer) sealManifest(d oci.Digest, body []byte) []byte {
	if !s.seals {
		return body
	}
	return append([]byte{sealedManifest}, s.seal("manifest", string(d), body)...)
}

func (s sealer) openManifest(d oci.Digest, body []byte) ([]byte, error) {
	if len(body) == 0 || body[0] != sealedManifest {
		return body, nil
	}
	return s.unseal("manifest", string(d), body[1:])
}
