package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/blobtest"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/blob/mem"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

func newStore() *blob.Store { return blob.NewStore(mem.New(1 << 30)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err error, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want %v", err, kind)
	}
}

// begin creates an upload and reads data into it.
func begin(t testing.TB, s *blob.Store, data []byte) *blob.Writer {
	t.Helper()
	w, err := s.Create(t.Context())
	must(t, err)
	take(t, w, data)
	return w
}

func take(t testing.TB, w *blob.Writer, data []byte) {
	t.Helper()
	if n, err := w.ReadFrom(bytes.NewReader(data)); n != int64(len(data)) || err != nil {
		t.Fatalf("ReadFrom of %d bytes = %d, %v", len(data), n, err)
	}
}

func content(t testing.TB, s *blob.Store, key string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), key, 0, -1)
	must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(t, err)
	return b
}

func TestCommit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 4095, 4096, 32 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3 << 20} {
		for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			s, data := newStore(), blobtest.Bytes(1, size)
			w := begin(t, s, data)
			if w.Size() != int64(size) {
				t.Errorf("Size = %d after %d bytes", w.Size(), size)
			}
			must(t, w.Commit(t.Context(), alg.FromBytes(data)))
			must(t, w.Close())
			must(t, w.Abort(t.Context()))
			if !bytes.Equal(content(t, s, w.Key()), data) {
				t.Errorf("%d bytes differ after Commit", size)
			}
			want(t, w.Commit(t.Context(), alg.FromBytes(data)), fault.Conflict)
			_, err := w.Checkpoint(t.Context())
			want(t, err, fault.Conflict)
			_, err = w.ReadFrom(bytes.NewReader(data))
			want(t, err, fault.Conflict)
		}
	}
}

func TestCommitRefusesOtherDigests(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the object goes even when the client has gone
	for _, c := range []struct {
		ctx  context.Context
		d    oci.Digest
		want error
	}{
		{t.Context(), digest.SHA256.FromString("b"), fault.DigestInvalid},
		{t.Context(), digest.SHA512.FromString("b"), fault.DigestInvalid},
		{t.Context(), "md5:00", fault.DigestInvalid},
		{t.Context(), "", fault.DigestInvalid},
		{t.Context(), "x", fault.DigestInvalid},
		{gone, digest.SHA256.FromString("b"), fault.DigestInvalid},
		{gone, digest.SHA512.FromString("a"), context.Canceled}, // which needs reading again
	} {
		s := newStore()
		w := begin(t, s, []byte("a"))
		want(t, w.Commit(c.ctx, c.d), c.want)
		_, err := s.Stat(t.Context(), w.Key())
		want(t, err, fault.NotFound)
		must(t, w.Close())
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := disk.Open(dir)
	must(t, err)
	s, data := blob.NewStore(b), blobtest.Bytes(2, 600<<10)
	w := begin(t, s, data)
	d := digest.FromBytes(data)
	must(t, w.Commit(t.Context(), d))
	for _, d := range []oci.Digest{d, digest.SHA512.FromBytes(data)} {
		size, err := s.Verify(t.Context(), w.Key(), d)
		must(t, err)
		if size != int64(len(data)) {
			t.Errorf("Verify read %d bytes of %d", size, len(data))
		}
	}
	_, err = s.Verify(t.Context(), blob.NewKey(), d)
	want(t, err, fault.NotFound)
	_, err = s.Verify(t.Context(), w.Key(), "md5:00")
	want(t, err, fault.DigestInvalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Verify(ctx, w.Key(), d)
	want(t, err, context.Canceled)

	path := filepath.Join(dir, w.Key()[:2], w.Key())
	must(t, os.Chmod(path, 0o600))
	data[len(data)/2] ^= 1 // a flipped bit
	must(t, os.WriteFile(path, data, 0o600))
	size, err := s.Verify(t.Context(), w.Key(), d)
	want(t, err, fault.DigestInvalid)
	if size != int64(len(data)) {
		t.Errorf("Verify of a damaged object read %d bytes of %d", size, len(data))
	}
}

func TestCreateAt(t *testing.T) {
	t.Parallel()
	s, key := newStore(), blob.NewKey()
	w, err := s.CreateAt(t.Context(), key)
	must(t, err)
	if w.Key() != key {
		t.Errorf("Key = %s, want %s", w.Key(), key)
	}
	_, err = s.CreateAt(t.Context(), key)
	want(t, err, fault.Exists)
	must(t, w.Abort(t.Context()))
	_, err = s.Stat(t.Context(), key)
	want(t, err, fault.NotFound)
}

// The zero state begins an upload, whether or not a process that died had begun it.
func TestResumeZero(t *testing.T) {
	t.Parallel()
	s, key := newStore(), blob.NewKey()
	for _, data := range []string{"first", "second"} {
		w, err := s.Resume(t.Context(), key, blob.State{})
		must(t, err)
		take(t, w, []byte(data))
		if data == "second" {
			must(t, w.Commit(t.Context(), digest.FromString(data)))
		}
		must(t, w.Close())
	}
	_, err := s.Resume(t.Context(), key, blob.State{})
	want(t, err, fault.Conflict)
}

func TestResumeDamagedState(t *testing.T) {
	t.Parallel()
	s := newStore()
	w := begin(t, s, []byte("x"))
	st, err := w.Checkpoint(t.Context())
	must(t, err)
	must(t, w.Close())
	for _, damage := range []func(*blob.State){
		func(st *blob.State) { st.Hash = st.Hash[1:] },
		func(st *blob.State) { st.Hash = nil },
		func(st *blob.State) { st.Alg = "md5" },
		func(st *blob.State) { st.Alg = digest.SHA512 },
		func(st *blob.State) { st.Part = []byte("x") },
	} {
		bad := st
		damage(&bad)
		_, err := s.Resume(t.Context(), w.Key(), bad)
		want(t, err, fault.Internal)
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	seen, fans := map[string]bool{}, map[string]bool{}
	for range 5000 {
		key := blob.NewKey()
		must(t, blob.CheckKey(key))
		if len(key) != 26 || seen[key] {
			t.Fatalf("key %q is short or not fresh", key)
		}
		seen[key], fans[key[:2]] = true, true
	}
	if len(fans) != 256 {
		t.Errorf("5000 keys fall into %d folders, want 256", len(fans))
	}
}
