package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/meta"
)

// sink is a file of lines. Whoever rotates it moves it away; the next line is then in a new one.
type sink struct {
	path string
	file *os.File
}

// write appends lines.
func (k *sink) write(lines []byte) error {
	if err := k.open(); err != nil {
		return err
	}
	if _, err := k.file.Write(lines); err != nil {
		k.close() // what is there of the last line is ended when it is opened again
		return err
	}
	return nil
}

// open makes sure that the file is the one at the path.
func (k *sink) open() error {
	if k.file != nil {
		there, err := os.Stat(k.path)
		if err == nil {
			var mine os.FileInfo
			if mine, err = k.file.Stat(); err == nil && os.SameFile(there, mine) {
				return nil
			}
		}
		k.close()
	}
	file, err := os.OpenFile(k.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	k.file = file
	if err := k.endLine(); err != nil {
		k.close()
		return err
	}
	return nil
}

// endLine ends a line that was written in part.
func (k *sink) endLine() error {
	end, err := k.file.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return err
	}
	var last [1]byte
	if _, err := k.file.ReadAt(last[:], end-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = k.file.Write([]byte("\n"))
	return err
}

func (k *sink) close() {
	if k.file != nil {
		_ = k.file.Close() // each write was checked
		k.file = nil
	}
}

// file writes the rows that it does not have yet, each at least once.
func (s *Service) file(ctx context.Context, k *sink) error {
	var heads []meta.AuditHead
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		heads, err = tx.AuditHeads()
		return err
	}); err != nil {
		return err
	}
	for _, h := range heads {
		for h.Filed < h.Seq {
			last, err := s.filePage(ctx, k, h)
			if err != nil {
				return err
			}
			if last <= h.Filed { // rows are missing: Verify says which
				break
			}
			h.Filed = last
		}
	}
	return nil
}

func (s *Service) filePage(ctx context.Context, k *sink, h meta.AuditHead) (last int64, err error) {
	var segments []meta.AuditSegment
	var name string
	if err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) {
		if name, err = tx.RegistryName(h.Registry); err != nil {
			return err
		}
		segments, err = tx.AuditFrom(h.Registry, h.Filed, 64)
		return err
	}); err != nil || len(segments) == 0 {
		return 0, err
	}
	var lines bytes.Buffer
	for _, segment := range segments {
		entries, damage := acr.AuditEntries(segment.Body)
		for _, e := range entries {
			if e.AuditSeq() > h.Filed {
				line(&lines, name, e)
			}
		}
		if damage != nil {
			s.opt.Log.Error("audit rows cannot be read", "registry", name, "row", segment.Seq, "error", damage)
		}
		last = segment.Last
	}
	if err := k.write(lines.Bytes()); err != nil {
		return 0, err
	}
	return last, s.opt.DB.Note(ctx, func(tx *meta.Tx) error { return tx.AuditFiled(h.Registry, last) })
}

// line is a row as it is kept, behind the registry's name and the row's sum: registry, chain, row.
func line(w *bytes.Buffer, registry string, e acr.AuditEntry) {
	name, err := json.Marshal(registry)
	if err != nil {
		name = []byte(`""`) // no text fails
	}
	fmt.Fprintf(w, `{"registry":%s,"chain":"%s","row":%s}`+"\n", name, hex.EncodeToString(e.Sum[:]), e.Row)
}
