package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/acre-registry/acre/"

// words is what the tables of docs/house.md call words.
var words = []string{"fault", "oci", "arm", "acr"}

// TestFloors holds every package's imports against the two tables of docs/house.md, section "Floors": which room may
// import which, and what stands only where.
func TestFloors(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/house.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## 4. Floors")
	section, _, _ = strings.Cut(section, "\n## 5.")
	floors, only := table(t, section, "Storey", 1, 2), table(t, section, "Import", 0, 1)
	for _, p := range packages(t) {
		room := roomOf(p.ImportPath)
		rule := find(floors, room)
		if rule == nil {
			t.Errorf("%s is in no row of the floors table in docs/house.md", room)
			continue
		}
		for _, to := range p.Imports {
			if strings.HasPrefix(to, module) {
				if to = roomOf(to); !rule.allows(to) {
					t.Errorf("%s imports %s; it may import %s", room, to, strings.Join(rule.may, ", "))
				}
			} else if rule := find(only, to); rule != nil && !rule.allows(room) {
				t.Errorf("%s imports %s, which stands only in %s", room, to, strings.Join(rule.may, ", "))
			}
		}
	}
}

// row is a line of a table: what its subjects may import, or where they may stand.
type row struct {
	subjects, may []string
	except        string // of everything
}

func (r *row) allows(name string) bool {
	if r.except != "" {
		return name != r.except
	}
	return slices.ContainsFunc(r.may, func(pattern string) bool { return matches(pattern, name) })
}

func find(rows []row, name string) *row {
	i := slices.IndexFunc(rows, func(r row) bool {
		return slices.ContainsFunc(r.subjects, func(pattern string) bool { return matches(pattern, name) })
	})
	if i < 0 {
		return nil
	}
	return &rows[i]
}

// matches compares a name with a pattern, which is a name, or one that ends in /* for all below it, or in /… for it and
// all below it.
func matches(pattern, name string) bool {
	if below, found := strings.CutSuffix(pattern, "/…"); found {
		return name == below || strings.HasPrefix(name, below+"/")
	}
	if below, found := strings.CutSuffix(pattern, "/*"); found {
		return strings.HasPrefix(name, below+"/")
	}
	return name == pattern
}

// table reads the table whose first heading is head: subjects from one column, what they may from another.
func table(t *testing.T, section, head string, subjects, may int) (rows []row) {
	t.Helper()
	_, body, found := strings.Cut(section, "\n| "+head+" |")
	if !found {
		t.Fatalf("docs/house.md has no table that begins with %s", head)
	}
	for line := range strings.Lines(body) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) <= may {
			if len(rows) > 0 {
				break // the table has ended
			}
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(cells[may]), "---") || len(rows) == 0 && line[0] != '|' {
			continue // the rest of the heading
		}
		r := row{subjects: names(cells[subjects]), may: names(cells[may])}
		if len(r.may) == 1 {
			_, r.except, _ = strings.Cut(r.may[0], "everything but ")
		}
		rows = append(rows, r)
	}
	if len(rows) < 3 {
		t.Fatalf("the table that begins with %s has %d rows", head, len(rows))
	}
	return rows
}

// names reads a cell: names separated by commas; — is none.
func names(cell string) (list []string) {
	for name := range strings.SplitSeq(strings.ReplaceAll(cell, "`", ""), ",") {
		switch name = strings.TrimSpace(name); name {
		case "—", "":
		case "words":
			list = append(list, words...)
		default:
			list = append(list, name)
		}
	}
	return list
}

// roomOf is the name that the tables use for one of our packages.
func roomOf(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "internal/")
}

type pkg struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
}

// packages lists the module's packages that are more than tests.
func packages(t *testing.T) (list []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			list = append(list, p)
		}
	}
	if !slices.ContainsFunc(list, func(p pkg) bool { return path.Base(p.ImportPath) == "fault" }) {
		t.Fatalf("go list found %d packages, and no fault", len(list))
	}
	return list
}
