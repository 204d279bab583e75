package meta

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

func FuzzDigest(f *testing.F) {
	for _, s := range []string{
		"", "sha256:" + strings.Repeat("0", 64), "sha512:" + strings.Repeat("f", 128), "sha256:" + strings.Repeat("A", 64),
		"sha384:" + strings.Repeat("0", 96), "sha256:" + strings.Repeat("0", 128), "sha256:", "sha512", ":", "sha256-" + strings.Repeat("0", 64),
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, s, other string) {
		stored, err := digest(s).Value()
		if _, bad := oci.ParseDigest(s); bad != nil && s != "" {
			if !errors.Is(err, fault.DigestInvalid) {
				t.Fatalf("%q was stored as %x: %v", s, stored, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		var back digest
		if err := back.Scan(stored); err != nil || string(back) != s {
			t.Fatalf("%q came back as %q: %v", s, back, err)
		}
		// Stored digests sort as their texts do.
		if _, bad := oci.ParseDigest(other); bad != nil || s == "" {
			return
		}
		value, err := digest(other).Value()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(stored.([]byte), value.([]byte)) != strings.Compare(s, other) {
			t.Fatalf("%q and %q sort otherwise in the store", s, other)
		}
	})
}

func TestDigestScanRefuses(t *testing.T) {
	t.Parallel()
	for _, src := range []any{
		"sha256:" + strings.Repeat("0", 64), []byte{}, []byte{sha256Byte}, make([]byte, 33), append([]byte{sha512Byte}, make([]byte, 32)...), int64(1),
	} {
		var d digest
		if err := d.Scan(src); err == nil {
			t.Errorf("%v was read as %q", src, d)
		}
	}
}
