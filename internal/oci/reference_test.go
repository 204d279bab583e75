package oci_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// The grammars: of names as the distribution-spec writes it, for those too long for the reference implementation,
// which otherwise decides; of tags and digests as that has them.
var (
	nameGrammar   = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar    = regexp.MustCompile(`^` + reference.TagRegexp.String() + `$`)
	digestGrammar = regexp.MustCompile(`^` + reference.DigestRegexp.String() + `$`)
)

func checkName(t interface{ Errorf(string, ...any) }, s string) {
	err := oci.CheckName(s)
	want := nameGrammar.MatchString(s) && len(s) <= oci.MaxName
	if len(s) < 200 { // it counts the host in
		named, err := reference.WithName("host.example/" + s)
		want = err == nil && reference.Path(named) == s
	}
	if (err == nil) != want {
		t.Errorf("CheckName(%q) = %v, the grammar says %t", s, err, want)
	}
	if err != nil && !errors.Is(err, fault.NameInvalid) {
		t.Errorf("CheckName(%q) fails with %v, want NAME_INVALID", s, err)
	}
}

func checkTag(t interface{ Errorf(string, ...any) }, s string) {
	err := oci.CheckTag(s)
	if want := tagGrammar.MatchString(s); (err == nil) != want {
		t.Errorf("CheckTag(%q) = %v, the grammar says %t", s, err, want)
	}
	if err != nil && !errors.Is(err, fault.TagInvalid) {
		t.Errorf("CheckTag(%q) fails with %v, want TAG_INVALID", s, err)
	}
}

func checkDigest(t interface{ Errorf(string, ...any) }, s string) {
	d, err := oci.ParseDigest(s)
	parsed, wantErr := digest.Parse(s)
	want := wantErr == nil && (parsed.Algorithm() == digest.SHA256 || parsed.Algorithm() == digest.SHA512)
	if (err == nil) != want {
		t.Errorf("ParseDigest(%q) = %v, go-digest says %v", s, err, wantErr)
	}
	switch {
	case err != nil && (!errors.Is(err, fault.DigestInvalid) || d != ""):
		t.Errorf("ParseDigest(%q) = %q, %v; want nothing and DIGEST_INVALID", s, d, err)
	case err == nil && (string(d) != s || !digestGrammar.MatchString(s)):
		t.Errorf("ParseDigest(%q) = %q", s, d)
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{
		"", "a", "library/hello-world", "a__b", "a___b", "a--b", "a.b", "a..b", "a._b", "-a", "a-", "a/", "/a", "a//b",
		"A", "ä", "a\n", "a b", "0/1/2", strings.Repeat("a", 255), strings.Repeat("a", 256),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkName(t, s) })
}

func FuzzTag(f *testing.F) {
	for _, s := range []string{"", "v1", "_", ".a", "-a", "a.-_", "a+b", "a:b", "ä", "a\n", strings.Repeat("t", 128), strings.Repeat("t", 129)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkTag(t, s) })
}

func FuzzDigest(f *testing.F) {
	hex := strings.Repeat("0a", 32)
	for _, s := range []string{
		"", ":", "sha256", "sha256:", "sha256:" + hex, "sha256:" + hex + "0", "sha256:" + strings.ToUpper(hex),
		"sha512:" + hex + hex, "sha512:" + hex, "sha384:" + hex, "md5:" + hex[:32], "SHA256:" + hex, "sha256::" + hex, " sha256:" + hex,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkDigest(t, s) })
}

// Random text is hardly ever a name; what is made of a name's own parts often is, or nearly.
func TestGrammar(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"a", "z9", "0", ".", "_", "__", "-", "--", "/", "A", "ä", " ", ":", "@"})
		s := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		checkName(t, s)
		checkTag(t, s)
	})
}

func FuzzRef(f *testing.F) {
	for _, s := range []string{"v1", "sha256:" + strings.Repeat("0a", 32), "sha256:x", ":", "", ".INVALID_MANIFEST_NAME"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := oci.ParseRef(s)
		if strings.Contains(s, ":") {
			if (err == nil) != (ref.Digest != "") || ref.Tag != "" || err != nil && !errors.Is(err, fault.DigestInvalid) {
				t.Errorf("ParseRef(%q) = %+v, %v", s, ref, err)
			}
		} else if ref.Digest != "" || err != nil && !errors.Is(err, fault.TagInvalid) {
			t.Errorf("ParseRef(%q) = %+v, %v", s, ref, err)
		}
		if err == nil && ref.String() != s {
			t.Errorf("ParseRef(%q) prints as %q", s, ref)
		}
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	if err := oci.CheckName("Library/App"); err == nil || !strings.Contains(err.Error(), "must be lowercase") {
		t.Errorf("a name with capitals: %v, want the reference implementation's words", err)
	}
	for _, s := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 1<<20)} {
		for _, err := range []error{oci.CheckName(s), oci.CheckTag(s), second(oci.ParseDigest("sha256:" + s))} {
			if err == nil || len(err.Error()) > 2000 {
				t.Errorf("a megabyte makes a message of %d bytes", len(err.Error()))
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHash(t *testing.T) {
	t.Parallel()
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		h := oci.NewHash(alg)
		h.Write([]byte("some bytes"))
		if got, want := oci.SumDigest(alg, h), alg.FromString("some bytes"); got != want {
			t.Errorf("%s: %s, want %s", alg, got, want)
		}
	}
	for _, alg := range []digest.Algorithm{digest.SHA384, "md5", ""} {
		if oci.NewHash(alg) != nil {
			t.Errorf("there is a hash for %q", alg)
		}
	}
}

func TestFallbackTag(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0a", 32)
	for d, want := range map[oci.Digest]string{
		oci.Digest("sha256:" + hex):       "sha256-" + hex,
		oci.Digest("sha512:" + hex + hex): "sha512-" + hex,
		oci.Digest("test+algorithm+using+algorithm+separators+and+lots+of+characters+to+excercise+overall+truncation:alsoSome=InTheEncodedSectionToShowHyphenReplacementAndLotsAndLotsOfCharactersToExcerciseEncodedTruncation"): "test-algorithm-using-algorithm-s-alsoSome-InTheEncodedSectionToShowHyphenReplacementAndLotsAndLot",
	} {
		got := oci.FallbackTag(d)
		if got != want {
			t.Errorf("FallbackTag(%s) = %q, want %q", d, got, want)
		}
		if err := oci.CheckTag(got); err != nil {
			t.Error(err)
		}
	}
}
