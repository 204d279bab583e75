package audit_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
)

// body writes entries as they are kept, sums and all.
func body(entries []acr.AuditEntry) []byte {
	out := []byte{0} // plain
	for _, e := range entries {
		out = append(append(binary.AppendUvarint(out, uint64(len(e.Row))), e.Sum[:]...), e.Row...)
	}
	return out
}

// Whatever is done to the rows behind acre's back, Verify says where.
func TestVerify(t *testing.T) {
	t.Parallel()
	set := func(s *store, seq int64, entries []acr.AuditEntry) {
		s.raw("UPDATE audit SET body = $1 WHERE registry = $2 AND seq = $3", body(entries), s.number, seq)
	}
	altered := func(s *store, seq int64) []acr.AuditEntry {
		entries := s.segment(seq)
		entries[0].Row = bytes.Replace(entries[0].Row, []byte(`"jo"`), []byte(`"xx"`), 1)
		entries[0].Row = bytes.Replace(entries[0].Row, []byte(`"ci"`), []byte(`"xx"`), 1)
		return entries
	}
	for _, tt := range []struct {
		name string
		do   func(s *store)
		want []string
	}{
		{"nothing", func(*store) {}, nil},
		{"a row removed", func(s *store) { s.raw("DELETE FROM audit WHERE registry = $1 AND seq = 4", s.number) },
			[]string{"demo1 4: the row was removed"}},
		{"rows removed", func(s *store) { s.raw("DELETE FROM audit WHERE registry = $1 AND seq BETWEEN 4 AND 6", s.number) },
			[]string{"demo1 4: the rows from here to 6 were removed"}},
		{"the first row removed", func(s *store) { s.raw("DELETE FROM audit WHERE registry = $1 AND seq = 1", s.number) },
			[]string{"demo1 1: the row was removed"}},
		{"the last rows removed", func(s *store) { s.raw("DELETE FROM audit WHERE registry = $1 AND seq > 8", s.number) },
			[]string{"demo1 9: the rows from here to 10 were removed"}},
		{"the last rows removed, and the head set back", func(s *store) {
			s.raw("DELETE FROM audit WHERE registry = $1 AND seq > 8", s.number)
			s.raw("UPDATE audit_head SET seq = 8 WHERE registry = $1", s.number)
		}, []string{"demo1 8: the row is not the one that the chain's head names"}},
		{"a row altered", func(s *store) { set(s, 5, altered(s, 5)) },
			[]string{"demo1 5: the row does not fit its sum: it, or the sum of the row before it, was altered"}},
		{"a row altered, and its sum", func(s *store) {
			entries := altered(s, 5)
			entries[0].Sum = s.segment(4)[0].Sum.Next(entries[0].Row)
			set(s, 5, entries)
		}, []string{"demo1 6: the row does not fit its sum: it, or the sum of the row before it, was altered"}},
		{"the last row altered, and its sum", func(s *store) {
			entries := altered(s, 10)
			entries[0].Sum = s.segment(9)[0].Sum.Next(entries[0].Row)
			set(s, 10, entries)
		}, []string{"demo1 10: the row is not the one that the chain's head names"}},
		{"two rows exchanged", func(s *store) {
			three, six := s.segment(3), s.segment(6)
			set(s, 3, six)
			set(s, 6, three)
		}, []string{"demo1 3: the rows from here to 5 were removed", "demo1 4: the row stands behind row 6: it was moved or added",
			"demo1 5: the row stands behind row 6: it was moved or added", "demo1 3: the row stands behind row 6: it was moved or added"}},
		{"a row twice", func(s *store) {
			set(s, 5, append(s.segment(5), s.segment(5)...))
		}, []string{"demo1 5: the row stands behind row 5: it was moved or added"}},
		{"half a row", func(s *store) {
			s.raw("UPDATE audit SET body = $1 WHERE registry = $2 AND seq = 5", body(s.segment(5))[:40], s.number)
		}, []string{"demo1 5: the row and those behind it, up to 5, cannot be read"}},
		{"a row without a number", func(s *store) {
			entries := s.segment(5)
			entries[0].Row = []byte(`{}`)
			set(s, 5, entries)
		}, []string{"demo1 5: the row was altered: it has no number"}},
		{"the head removed", func(s *store) { s.raw("DELETE FROM audit_head WHERE registry = $1", s.number) },
			[]string{"demo1 10: the chain's head was removed: rows behind this one may be too"}},
		{"old rows removed as if their time had come", func(s *store) {
			sum := s.segment(3)[0].Sum
			s.raw("DELETE FROM audit WHERE registry = $1 AND seq <= 3", s.number)
			s.raw("UPDATE audit_head SET base = 3, base_sum = $1 WHERE registry = $2", sum[:], s.number)
		}, []string{"demo1 3: rows up to this one are gone, and no row tells of it"}},
		{"all removed", func(s *store) {
			s.append(acr.Event{Kind: acr.TagPushed})
			s.run(audit.Options{}, func(*audit.Service) {})
			s.raw("DELETE FROM audit WHERE registry = $1", s.number)
			s.raw("DELETE FROM audit_head WHERE registry = $1", s.number)
		}, []string{"demo1 1: the whole chain was removed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(s *store) {
				fill(s)
				tt.do(s)
				if diff := cmp.Diff(tt.want, s.verify()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// Rows go when their time has come, the chain says so, and still holds; the file gets each once, in order, across rotation.
func TestTrimAndFile(t *testing.T) {
	t.Parallel()
	each(t, func(s *store) {
		fill(s)
		dir := t.TempDir()
		file := filepath.Join(dir, "audit.log")
		if err := os.WriteFile(file, []byte(`{"cut`), 0o600); err != nil {
			t.Fatal(err)
		}
		s.run(audit.Options{File: file}, func(*audit.Service) {})
		if err := os.Rename(file, filepath.Join(dir, "audit.log.1")); err != nil {
			t.Fatal(err)
		}
		late := func() time.Time { return began.Add(6*time.Minute + time.Hour) }
		kept := s.service(audit.Options{Now: late, Keep: time.Hour})
		if err := kept.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if faults := s.verify(); faults != nil {
			t.Error(faults)
		}
		rows := s.all("demo1")
		if len(rows) != 5 || rows[0].Seq != 7 || rows[4].OperationName != acr.AuditTrimmed || rows[4].Through != 6 || rows[4].Count != 6 {
			t.Errorf("%+v", rows)
		}
		if err := kept.Trim(t.Context()); err != nil || len(s.all("demo1")) != 5 {
			t.Errorf("a second time: %v, %d rows", err, len(s.all("demo1")))
		}
		s.run(audit.Options{File: file}, func(*audit.Service) {})
		if first, second := lines(t, filepath.Join(dir, "audit.log.1")), lines(t, file); first != "cut 1 2 3 4 5 6 7 8 9 10" || second != "11" {
			t.Errorf("%s, then %s", first, second)
		}
	})
}

// lines writes the numbers of a file's rows, and holds each line against the chain.
func lines(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, `{"cut`) {
			out = append(out, "cut")
			continue
		}
		var row struct {
			Registry, Chain string
			Row             struct{ Seq json.Number }
		}
		if err := json.Unmarshal([]byte(l), &row); err != nil || row.Registry != "demo1" || len(row.Chain) != 64 {
			t.Errorf("%s: %v", l, err)
		}
		out = append(out, row.Row.Seq.String())
	}
	return strings.Join(out, " ")
}
