package acr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// Segments of any size come back as they were, in a chain.
func TestAudit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 256} {
		var segment []byte
		var want []acr.AuditRow
		sum := acr.FirstAuditSum(7)
		for i := range n {
			row := acr.AuditRow{Seq: int64(i + 1), Category: acr.RepositoryEvents, OperationName: acr.PullOperation, Repository: fmt.Sprint("<team>/", i)}
			var err error
			if segment, sum, err = acr.AppendAudit(segment, sum, &row); err != nil {
				t.Fatal(err)
			}
			want = append(want, row)
		}
		packed, err := acr.PackAudit(segment)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := acr.AuditEntries(packed)
		if err != nil {
			t.Fatal(err)
		}
		var got []acr.AuditRow
		last := acr.FirstAuditSum(7)
		for i, e := range entries {
			var row acr.AuditRow
			if err := json.Unmarshal(e.Row, &row); err != nil {
				t.Fatal(err)
			}
			got = append(got, row)
			if last = last.Next(e.Row); last != e.Sum || e.AuditSeq() != int64(i+1) {
				t.Errorf("entry %d has number %d and the sum %x, not %x", i+1, e.AuditSeq(), e.Sum, last)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || last != sum {
			t.Errorf("%d rows: %s", n, diff)
		}
		if n == 256 && len(packed) > len(segment)/2 {
			t.Errorf("%d bytes are packed in %d", len(segment), len(packed))
		}
	}
	if acr.FirstAuditSum(7) == acr.FirstAuditSum(8) {
		t.Error("two chains begin alike")
	}
}

// Damage is found, and bounded.
func FuzzAuditEntries(f *testing.F) {
	row := acr.AuditRow{Seq: 1}
	segment, _, err := acr.AppendAudit(nil, acr.FirstAuditSum(0), &row)
	if err != nil {
		f.Fatal(err)
	}
	for range 6 {
		packed, err := acr.PackAudit(segment)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
		f.Add(packed[:len(packed)-1])
		segment = append(segment, segment...)
	}
	f.Add([]byte{})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, packed []byte) {
		entries, err := acr.AuditEntries(packed)
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if seq := e.AuditSeq(); seq != 0 && !json.Valid(e.Row) && len(e.Row) < 8 {
				t.Errorf("%q has the number %d", e.Row, seq)
			}
		}
	})
}
