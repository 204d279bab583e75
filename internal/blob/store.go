package blob

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Store takes uploads in and gives ranges back. It holds what all drivers share: keys, hashing, verification.
// Its methods return the errors of Bucket besides their own.
type Store struct {
	bucket  Bucket
	buffers buffers
}

// NewStore keeps blobs in b.
func NewStore(b Bucket) *Store { return &Store{bucket: b} }

// Create begins an upload under a fresh key.
func (s *Store) Create(ctx context.Context) (*Writer, error) { return s.CreateAt(ctx, NewKey()) }

// CreateAt begins an upload under a key of NewKey's that the caller wrote down first, so that what a crash leaves
// behind is known by name. Errors: fault.Exists.
func (s *Store) CreateAt(ctx context.Context, key string) (*Writer, error) {
	part, err := s.bucket.Create(ctx, key)
	if err != nil {
		return nil, err
	}
	return &Writer{store: s, key: key, part: part, alg: digest.SHA256, hash: oci.NewHash(digest.SHA256)}, nil
}

// Resume goes on with an upload where Checkpoint gave st. The zero State begins it, whether or not something was
// written under its key before. Errors: fault.NotFound where less than st.Size is left of it, fault.Conflict where
// it was committed or somebody is writing it.
func (s *Store) Resume(ctx context.Context, key string, st State) (*Writer, error) {
	if st.Alg == "" {
		w, err := s.CreateAt(ctx, key)
		if !errors.Is(err, fault.Exists) {
			return w, err
		}
		st.Alg = digest.SHA256
	}
	h, err := restoreHash(st)
	if err != nil {
		return nil, fault.New(fault.Internal, "upload %s cannot go on, its saved hash is damaged; restart it: %w", key, err)
	}
	part, err := s.bucket.Resume(ctx, key, st.Part)
	if err != nil {
		return nil, err
	}
	return &Writer{store: s, key: key, part: part, alg: st.Alg, hash: h, size: st.Size, saved: st}, nil
}

func restoreHash(st State) (hash.Hash, error) {
	h := oci.NewHash(st.Alg)
	if h == nil {
		return nil, fmt.Errorf("algorithm %q is not known", st.Alg)
	}
	if st.Size == 0 && len(st.Hash) == 0 {
		return h, nil
	}
	return h, h.(encoding.BinaryUnmarshaler).UnmarshalBinary(st.Hash)
}

// Open reads n bytes of a committed blob from off, n < 0 to the end. The caller closes it and has checked the range.
// Errors: fault.NotFound.
func (s *Store) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return s.bucket.Open(ctx, key, off, n)
}

// Stat describes an object, committed or not. Errors: fault.NotFound.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) { return s.bucket.Stat(ctx, key) }

// Delete removes an object, committed or not; one that is not there is no error.
func (s *Store) Delete(ctx context.Context, key string) error { return s.bucket.Delete(ctx, key) }

// List goes through the objects, committed or not, whose key comes after after, in byte order.
func (s *Store) List(ctx context.Context, after string) iter.Seq2[Info, error] {
	return s.bucket.List(ctx, after)
}

// Verify reads an object again and compares its digest with d. size is how many bytes were read.
// Errors: fault.DigestInvalid where it differs, fault.NotFound, ctx's.
func (s *Store) Verify(ctx context.Context, key string, d oci.Digest) (size int64, err error) {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return 0, err
	}
	h := oci.NewHash(d.Algorithm())
	r, err := s.bucket.Open(ctx, key, 0, -1)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	buf := s.buffers.get(large)
	defer s.buffers.put(buf)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return size, fmt.Errorf("object %s, after %d bytes: %w", key, size, err)
		}
	}
	if got := oci.SumDigest(d.Algorithm(), h); got != d {
		return size, mismatch(d, got, size)
	}
	return size, nil
}

// Check compares the digest of body with d. Errors: fault.DigestInvalid.
func Check(body []byte, d oci.Digest) error {
	if got := d.Algorithm().FromBytes(body); got != d {
		return mismatch(d, got, int64(len(body)))
	}
	return nil
}

func mismatch(want, got oci.Digest, size int64) *fault.Error {
	return fault.New(fault.DigestInvalid, "content of %d bytes has digest %s, not %s", size, got, want)
}
