package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
)

func TestBlobsAreDistinctAndHaveTheirDigest(t *testing.T) {
	t.Parallel()
	src := newSource("test")
	seen := map[string]bool{}
	for _, size := range []int64{32, 33, kib, 64 * kib, kib, mib} { // a small one again, after the filler has grown
		b, err := src.blob(size)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(b.whole())
		if err != nil || int64(len(all)) != size || b.size() != size {
			t.Fatalf("%d bytes read, size says %d, error %v; want %d", len(all), b.size(), err, size)
		}
		sum := sha256.Sum256(all)
		if want := "sha256:" + hex.EncodeToString(sum[:]); b.digest != want {
			t.Errorf("blob of %d: digest %s, want %s", size, b.digest, want)
		}
		if seen[b.digest] {
			t.Errorf("blob of %d: %s was made before", size, b.digest)
		}
		seen[b.digest] = true
		var pieces bytes.Buffer
		for off := int64(0); off < size; off += 1000 {
			if _, err := pieces.ReadFrom(b.from(off, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(pieces.Bytes(), all) {
			t.Errorf("blob of %d: pieces are not the whole", size)
		}
	}
}

func TestScatterVisitsAll(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 250, 10000} {
		seen := map[int]bool{}
		for i := range n {
			j := scatter(i, n)
			if j < 0 || j >= n {
				t.Fatalf("scatter(%d, %d) is %d", i, n, j)
			}
			seen[j] = true
		}
		if len(seen) != n {
			t.Errorf("of %d places %d are visited", n, len(seen))
		}
	}
}
