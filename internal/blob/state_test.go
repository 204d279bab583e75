package blob_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/fault"
)

var states = []blob.State{
	{},
	{Alg: digest.SHA256},
	{Size: 1, Alg: digest.SHA256, Hash: []byte("hash"), Part: []byte("part")},
	{Size: math.MaxInt64, Alg: digest.SHA512, Hash: bytes.Repeat([]byte{0xff}, 300)},
	{Size: 300, Alg: digest.SHA256, Part: []byte{0}},
}

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	for _, st := range states {
		b, err := st.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got blob.State
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, st) {
			t.Errorf("%+v came back as %+v", st, got)
		}
		for n := range b { // cut off anywhere, and with a byte too many
			if err := got.UnmarshalBinary(b[:n]); !errors.Is(err, fault.Internal) {
				t.Errorf("the first %d of %d bytes: error %v", n, len(b), err)
			}
		}
		if err := got.UnmarshalBinary(append(b, 0)); !errors.Is(err, fault.Internal) {
			t.Errorf("a trailing byte: error %v", err)
		}
		if !reflect.DeepEqual(got, st) {
			t.Errorf("failures left %+v of %+v", got, st)
		}
	}
	for _, st := range []blob.State{{Alg: "md5"}, {Size: -1}} {
		if b, err := st.MarshalBinary(); err == nil {
			t.Errorf("%+v became %x", st, b)
		}
	}
}

func TestStateDamaged(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"\x00\x01\x00\x00\x00", "\x02\x01\x00\x00\x00", "\x01\x03\x00\x00\x00", // versions and algorithms unknown
		"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00", // size over 63 bits
		"\x01\x01" + strings.Repeat("\xff", 11) + "\x00\x00",       // size over 64 bits
		"\x01\x01\x00\x05hash\x00", "\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	} {
		var st blob.State
		if err := st.UnmarshalBinary([]byte(data)); !errors.Is(err, fault.Internal) {
			t.Errorf("%q: error %v, state %+v", data, err, st)
		}
	}
}

func FuzzState(f *testing.F) {
	for _, st := range states {
		b, err := st.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var st, again blob.State
		if st.UnmarshalBinary(data) != nil {
			return
		}
		if len(st.Hash)+len(st.Part) > len(data) {
			t.Fatalf("%d bytes came out of %d", len(st.Hash)+len(st.Part), len(data))
		}
		b, err := st.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalBinary(b); err != nil || !reflect.DeepEqual(again, st) {
			t.Fatalf("%+v came back as %+v, %v", st, again, err)
		}
	})
}
