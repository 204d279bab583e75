package blob

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// Store takes uploads in and gives ranges back. It holds what all drivers share: keys, hashing, verification.
// Its methods return the errors of Bucket besides their own.
type Store struct {
	bucket  Bucket
	buffers *buffers
	cipher  *Cipher // nil: sealed objects cannot be read
	seals   bool    // whether new objects are sealed
}

// NewStore keeps blobs in b.
func NewStore(b Bucket) *Store { return &Store{bucket: b, buffers: new(buffers)} }

// With is the store for who has a key: with it objects can be read that were sealed with it, and, where seal says so, new ones
// are sealed. What is not sealed stays readable.
func (s *Store) With(c *Cipher, seal bool) *Store {
	return &Store{bucket: s.bucket, buffers: s.buffers, cipher: c, seals: seal && c != nil}
}

// sealedMark ends the keys of sealed objects: so the rows that name them, and no byte of what anybody pushes, tell how an object is
// read.
const sealedMark = "-s"

// IsSealed tells whether an object is sealed: its name says so.
func IsSealed(key string) bool { return strings.HasSuffix(key, sealedMark) }

// of is the bucket through which an object is written and read. Errors: fault.Internal for a sealed one without a key.
func (s *Store) of(key string) (Bucket, error) {
	switch {
	case !IsSealed(key):
		return s.bucket, nil
	case s.cipher == nil:
		return nil, fault.New(fault.Internal, "object %s is sealed, and its registry has no key; restore the metadata that it belongs to", key)
	}
	return sealedBucket{s.bucket, s.cipher, s.buffers}, nil
}

// Create begins an upload under a fresh key.
func (s *Store) Create(ctx context.Context) (*Writer, error) {
	key := NewKey()
	if s.seals {
		key += sealedMark
	}
	return s.CreateAt(ctx, key)
}

// CreateAt begins an upload under a key of NewKey's that the caller wrote down first, so that what a crash leaves
// behind is known by name. Errors: fault.Exists.
func (s *Store) CreateAt(ctx context.Context, key string) (*Writer, error) {
	bucket, err := s.of(key)
	if err != nil {
		return nil, err
	}
	part, err := bucket.Create(ctx, key)
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
	bucket, err := s.of(key)
	if err != nil {
		return nil, err
	}
	h, err := s.restoreHash(key, st)
	if err != nil {
		return nil, fault.New(fault.Internal, "upload %s cannot go on, its saved hash is damaged; restart it: %w", key, err)
	}
	part, err := bucket.Resume(ctx, key, st.Part)
	if err != nil {
		return nil, err
	}
	return &Writer{store: s, key: key, part: part, alg: st.Alg, hash: h, size: st.Size, saved: st}, nil
}

// saveHash gives the running hash of an object; it holds the last of its bytes, and is sealed with it.
func (s *Store) saveHash(key string, h hash.Hash) ([]byte, error) {
	sum, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err == nil && IsSealed(key) {
		sum = s.cipher.SealRow("hash of "+key, sum)
	}
	return sum, err
}

func (s *Store) restoreHash(key string, st State) (_ hash.Hash, err error) {
	h := oci.NewHash(st.Alg)
	if h == nil {
		return nil, fmt.Errorf("algorithm %q is not known", st.Alg)
	}
	if st.Size == 0 && len(st.Hash) == 0 {
		return h, nil
	}
	if IsSealed(key) {
		if st.Hash, err = s.cipher.OpenRow("hash of "+key, st.Hash); err != nil {
			return nil, err
		}
	}
	return h, h.(encoding.BinaryUnmarshaler).UnmarshalBinary(st.Hash)
}

// Open reads n bytes of a committed blob from off, n < 0 to the end. The caller closes it and has checked the range.
// Errors: fault.NotFound.
func (s *Store) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	bucket, err := s.of(key)
	if err != nil {
		return nil, err
	}
	return bucket.Open(ctx, key, off, n)
}

// Stat describes an object, committed or not, by what is kept of it. Errors: fault.NotFound.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) { return s.bucket.Stat(ctx, key) }

// Delete removes an object, committed or not; one that is not there is no error.
func (s *Store) Delete(ctx context.Context, key string) error { return s.bucket.Delete(ctx, key) }

// List goes through the objects, committed or not, by what is kept of them, whose key comes after after, in byte order.
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
	r, err := s.Open(ctx, key, 0, -1)
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
