package blob_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/blobtest"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/blob/mem"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

func newCipher(t testing.TB, seed byte) *blob.Cipher {
	t.Helper()
	c, err := blob.NewCipher(bytes.Repeat([]byte{seed}, blob.CipherKey))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSealedBucket(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		blobtest.Run(t, func(t *testing.T) func() blob.Bucket {
			dir, c := t.TempDir(), newCipher(t, 1)
			return func() blob.Bucket {
				b, err := disk.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				return blob.Sealed(b, c)
			}
		})
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		blobtest.Run(t, func(t *testing.T) func() blob.Bucket {
			b := blob.Sealed(mem.New(1<<30), newCipher(t, 1))
			return func() blob.Bucket { return b }
		})
	})
}

// The sizes around chunks and batches of the sealed form.
var edges = []int{0, 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 8 * 32 << 10, 8*32<<10 + 1, 17*32<<10 - 5}

func putSealed(t testing.TB, b blob.Bucket, key string, data []byte) {
	t.Helper()
	p, err := b.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(data, 50_000) {
		if _, err := p.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func readAll(b blob.Bucket, key string, off, n int64) ([]byte, error) {
	r, err := b.Open(context.Background(), key, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestSealedEdges(t *testing.T) {
	t.Parallel()
	under := mem.New(1 << 30)
	b := blob.Sealed(under, newCipher(t, 1))
	for i, size := range edges {
		key, data := fmt.Sprint("k", i), blobtest.Bytes(byte(i), size)
		putSealed(t, b, key, data)
		info, err := b.Stat(t.Context(), key)
		if err != nil || info.Size != int64(size) {
			t.Errorf("%d bytes: Stat = %+v, %v", size, info, err)
		}
		for _, off := range edges {
			for _, n := range append([]int{-1}, edges...) {
				if off > size || off+n > size {
					continue
				}
				end := off + n
				if n < 0 {
					end = size
				}
				got, err := readAll(b, key, int64(off), int64(n))
				if err != nil || !bytes.Equal(got, data[off:end]) {
					t.Fatalf("%d bytes from %d of %d: %d bytes, %v", n, off, size, len(got), err)
				}
			}
		}
	}
}

// A range is read without what lies before and behind it.
func TestSealedRangeReadsLittle(t *testing.T) {
	t.Parallel()
	under := mem.New(1 << 30)
	b, data := blob.Sealed(metered{under, new(int64)}, newCipher(t, 1)), blobtest.Bytes(1, 4<<20)
	putSealed(t, b, "key", data)
	read := new(int64)
	b = blob.Sealed(metered{under, read}, newCipher(t, 1))
	got, err := readAll(b, "key", 3<<20, 100)
	if err != nil || !bytes.Equal(got, data[3<<20:3<<20+100]) {
		t.Fatal(len(got), err)
	}
	if *read > 40<<10 {
		t.Errorf("100 bytes took %d of the bucket's", *read)
	}
}

// metered counts what is read of a bucket.
type metered struct {
	blob.Bucket
	read *int64
}

func (c metered) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := c.Bucket.Open(ctx, key, off, n)
	return meteredReader{r, c.read}, err
}

type meteredReader struct {
	io.ReadCloser
	read *int64
}

func (r meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	*r.read += int64(n)
	return n, err
}

// rewrite makes what an object of one bucket is in another bucket, changed.
func rewrite(t testing.TB, from blob.Bucket, key string, edit func([]byte) []byte) blob.Bucket {
	t.Helper()
	raw, err := readAll(from, key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	to := mem.New(1 << 30)
	p, err := to.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(edit(raw)); err != nil {
		t.Fatal(err)
	}
	if err := p.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	return to
}

// Nothing that was done to a sealed object gives bytes that were not written there.
func TestSealedDamage(t *testing.T) {
	t.Parallel()
	const chunk = 32<<10 + 28
	data := blobtest.Bytes(1, 3*32<<10+100)
	under := mem.New(1 << 30)
	b := blob.Sealed(under, newCipher(t, 1))
	putSealed(t, b, "key", data)
	putSealed(t, b, "other", blobtest.Bytes(2, len(data)))
	other, err := readAll(under, "other", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func([]byte) []byte
	}{
		{"a bit of the first chunk", func(b []byte) []byte { b[100] ^= 1; return b }},
		{"a bit of a nonce", func(b []byte) []byte { b[chunk+3] ^= 1; return b }},
		{"a mark of the last put on another", func(b []byte) []byte { b[chunk] ^= 0x80; return b }},
		{"the mark of the last taken away", func(b []byte) []byte { b[3*chunk] ^= 0x80; return b }},
		{"a bit of the last tag", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		{"cut between chunks", func(b []byte) []byte { return b[:2*chunk] }},
		{"cut in a chunk", func(b []byte) []byte { return b[:2*chunk+50] }},
		{"cut in a nonce", func(b []byte) []byte { return b[:2*chunk+5] }},
		{"nothing left", func(b []byte) []byte { return nil }},
		{"a byte more", func(b []byte) []byte { return append(b, 0) }},
		{"the last chunk twice", func(b []byte) []byte { return append(b, b[3*chunk:]...) }},
		{"two chunks swapped", func(b []byte) []byte { return slices.Concat(b[chunk:2*chunk], b[:chunk], b[2*chunk:]) }},
		{"a chunk left out", func(b []byte) []byte { return slices.Concat(b[:chunk], b[2*chunk:]) }},
		{"a chunk of another object", func(b []byte) []byte { return slices.Concat(b[:chunk], other[chunk:2*chunk], b[2*chunk:]) }},
		{"another object", func([]byte) []byte { return other }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			damaged := blob.Sealed(rewrite(t, under, "key", c.edit), newCipher(t, 1))
			got, err := readAll(damaged, "key", 0, -1)
			if err == nil || !errors.Is(err, fault.Internal) {
				t.Errorf("error %v", err)
			}
			if !bytes.HasPrefix(data, got) {
				t.Errorf("%d bytes that were never written", len(got))
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		if got, err := readAll(blob.Sealed(under, newCipher(t, 2)), "key", 0, -1); !errors.Is(err, fault.Internal) || len(got) > 0 {
			t.Errorf("%d bytes, error %v", len(got), err)
		}
	})
}

// Whatever became of an object, what a range of it gives are the bytes that were written there, or an error.
func FuzzSealedDamage(f *testing.F) {
	const chunk = 32<<10 + 28
	data := blobtest.Bytes(1, 2*32<<10+100)
	under := mem.New(1 << 30)
	putSealed(f, blob.Sealed(under, newCipher(f, 1)), "key", data)
	f.Add([]byte{0, 0, 0, 10, 1}, uint32(0), uint32(100), uint32(0))
	f.Add([]byte{0, 0, 128, 40, 0x80}, uint32(40000), uint32(30000), uint32(chunk))
	f.Fuzz(func(t *testing.T, changes []byte, off, n, cut uint32) {
		intact := true
		to := rewrite(t, under, "key", func(b []byte) []byte {
			for ; len(changes) >= 5; changes = changes[5:] {
				at := binary.BigEndian.Uint32(changes) % uint32(len(b))
				b[at] ^= changes[4]
				intact = intact && changes[4] == 0
			}
			if cut %= uint32(len(b)); cut > 0 {
				intact = false
			}
			return b[:len(b)-int(cut)]
		})
		off %= uint32(len(data))
		n = min(n, uint32(len(data))-off)
		got, err := readAll(blob.Sealed(to, newCipher(t, 1)), "key", int64(off), int64(n))
		want := data[off : off+n]
		if intact && err != nil || err == nil && len(got) != len(want) {
			t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
		}
		if !bytes.HasPrefix(want, got) {
			t.Error("bytes that were never written there")
		}
	})
}

// A store with a key writes sealed objects and reads those that are not; one without a key says so.
func TestStoreWithKey(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	bucket, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	plain := blob.NewStore(bucket)
	sealing := plain.With(newCipher(t, 1), true)
	text := bytes.Repeat([]byte("the secret of a layer, and its text. "), 10_000)
	d := digest.FromBytes(text)
	write := func(s *blob.Store) string {
		t.Helper()
		w, err := s.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ReadFrom(bytes.NewReader(text[:100_001])); err != nil {
			t.Fatal(err)
		}
		st, err := w.Checkpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		saved, err := st.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if s == sealing && bytes.Contains(saved, []byte("secret")) {
			t.Error("the saved state tells what was written")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if w, err = s.Resume(ctx, w.Key(), st); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ReadFrom(bytes.NewReader(text[100_001:])); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(ctx, oci.Digest(d)); err != nil {
			t.Fatal(err)
		}
		return w.Key()
	}
	sealed := write(sealing)
	if found := holding(t, dir, text[:20]); len(found) > 0 {
		t.Errorf("what was written is in %s", found)
	}
	clear := write(plain)
	if found := holding(t, dir, text[:20]); len(found) != 1 {
		t.Errorf("%d files hold what was written in the clear, want one: else the search is no proof", len(found))
	}
	for _, key := range []string{sealed, clear} {
		for _, s := range []*blob.Store{sealing, plain.With(newCipher(t, 1), false)} {
			if size, err := s.Verify(ctx, key, oci.Digest(d)); err != nil || size != int64(len(text)) {
				t.Errorf("object %s: %d bytes, %v", key, size, err)
			}
		}
	}
	if _, err := plain.Open(ctx, sealed, 0, -1); !errors.Is(err, fault.Internal) {
		t.Errorf("a sealed object without a key: %v", err)
	}
	if _, err := plain.Resume(ctx, sealed, blob.State{Alg: digest.SHA256}); !errors.Is(err, fault.Internal) {
		t.Errorf("a sealed upload without a key: %v", err)
	}
	for info, err := range plain.List(ctx, "") {
		if err != nil || info.Size < int64(len(text)) {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
}

// holding names the files under a folder that hold a text.
func holding(t *testing.T, dir string, text []byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRows(t *testing.T) {
	t.Parallel()
	c := newCipher(t, 1)
	for _, body := range [][]byte{nil, []byte("x"), blobtest.Bytes(1, 8<<10)} {
		sealed := c.SealRow("name", body)
		if len(sealed) != len(body)+blob.RowOverhead {
			t.Errorf("%d bytes became %d", len(body), len(sealed))
		}
		if got, err := c.OpenRow("name", sealed); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes came back as %d, %v", len(body), len(got), err)
		}
		for what, open := range map[string]func() ([]byte, error){
			"another name":   func() ([]byte, error) { return c.OpenRow("name2", sealed) },
			"another key":    func() ([]byte, error) { return newCipher(t, 2).OpenRow("name", sealed) },
			"cut off":        func() ([]byte, error) { return c.OpenRow("name", sealed[:len(sealed)-1]) },
			"nothing":        func() ([]byte, error) { return c.OpenRow("name", nil) },
			"never sealed":   func() ([]byte, error) { return c.OpenRow("name", bytes.Repeat([]byte{1}, 100)) },
			"a flipped byte": func() ([]byte, error) { b := bytes.Clone(sealed); b[0]++; return c.OpenRow("name", b) },
		} {
			if got, err := open(); !errors.Is(err, fault.Internal) || got != nil {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
		}
	}
	if _, err := blob.NewCipher(make([]byte, 16)); !errors.Is(err, fault.Internal) {
		t.Errorf("a short key: %v", err)
	}
}
