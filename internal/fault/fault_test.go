package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range fault.Kinds() {
		if k.Error() == "" || seen[k.Error()] {
			t.Errorf("kind %d is called %q", k, k.Error())
		}
		seen[k.Error()] = true
	}
}

// A kind, a code and an error are found through any wrapping, and only they.
func TestIs(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("pull: %w", fault.New(fault.ManifestUnknown, "manifest %s is not known", "v1"))
	for target, want := range map[error]bool{
		fault.NotFound: true, fault.ManifestUnknown: true, fault.BlobUnknown: false, fault.Invalid: false, fault.Internal: false,
	} {
		if errors.Is(err, target) != want {
			t.Errorf("errors.Is(%v, %v) is %t", err, target, !want)
		}
	}
	if !errors.Is(fault.ManifestUnknown, fault.NotFound) || errors.Is(fault.ManifestUnknown, fault.Invalid) {
		t.Error("a code is not of its kind only")
	}
	// One code under two kinds is two.
	large := fault.New(fault.ManifestTooLarge, "too large")
	if errors.Is(large, fault.ManifestInvalid) || !errors.Is(large, fault.ManifestTooLarge) || !errors.Is(large, fault.TooLarge) {
		t.Error("MANIFEST_INVALID with TooLarge is taken for MANIFEST_INVALID with Invalid")
	}
	if errors.Is(fault.New(fault.NotFound, "x"), fault.ManifestUnknown) {
		t.Error("an error without a code is taken for one with")
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	made := fault.New(fault.TooMany, "slow down").In(3 * time.Second).With("detail")
	for _, tt := range []struct {
		err     error
		kind    fault.Kind
		code    string
		message string
	}{
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", made)), fault.TooMany, "", "slow down"},
		{errors.Join(io.EOF, fault.New(fault.TagInvalid, "bad")), fault.Invalid, "TAG_INVALID", "bad"},
		{fmt.Errorf("read: %w", fault.BlobUnknown), fault.NotFound, "BLOB_UNKNOWN", "read: BLOB_UNKNOWN"},
		{fmt.Errorf("read: %w", fault.Full), fault.Full, "", "read: storage full"},
		{io.EOF, fault.Internal, "", "internal error"}, // its own text is for the log
	} {
		got := fault.Of(tt.err)
		if got.Kind != tt.kind || got.Code != tt.code || got.Message != tt.message || fault.KindOf(tt.err) != tt.kind {
			t.Errorf("Of(%v) = %+v", tt.err, got)
		}
		if !errors.Is(got, tt.err) && !errors.Is(tt.err, got) {
			t.Errorf("Of(%v) lost the cause", tt.err)
		}
	}
	if got := fault.Of(fmt.Errorf("x: %w", made)); got.After != 3*time.Second || got.Detail != "detail" {
		t.Errorf("lost on the way: %+v", got)
	}
}

func TestNewKeepsTheCause(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.Invalid, "manifest is not JSON: %w", io.ErrUnexpectedEOF)
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "manifest is not JSON: unexpected EOF" {
		t.Errorf("%v", err)
	}
	if got := fault.New(fault.Invalid, "%d %%", 5); got.Error() != "5 %" || got.Unwrap() != nil {
		t.Errorf("%v", got)
	}
}
