// Package docs tests what the pages beside it say where that can be tested.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// catalogue is how many features each family has; they are numbered from 1.
var catalogue = []struct {
	family string
	rows   int
}{
	{"REG", 12}, {"EPT", 6}, {"REPO", 17}, {"AUTH", 18}, {"RBAC", 11}, {"TOK", 7}, {"NET", 9}, {"CMK", 4}, {"GEO", 9},
	{"HOOK", 9}, {"EVT", 3}, {"IMP", 7}, {"CACHE", 12}, {"XFER", 4}, {"DEL", 2}, {"PURGE", 6}, {"RET", 2}, {"SOFT", 5},
	{"LOCK", 3}, {"QUAR", 3}, {"EXP", 1}, {"SIGN", 4}, {"SCAN", 2}, {"PATCH", 2}, {"STREAM", 3}, {"FMT", 7}, {"OBS", 9},
	{"GOV", 5}, {"CONN", 2}, {"TASK", 6}, {"TOOL", 10},
}

var (
	coverageRow  = regexp.MustCompile(`(?m)^\| ([A-Z]+-\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$`)
	coverageSum  = regexp.MustCompile(`(?m)^\| (works|partly|not yet|all) \| (\d+) \|$`)
	testNamed    = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	testWithFile = regexp.MustCompile("\\[`((?:Test|Fuzz)[A-Z]\\w*)`\\]\\(\\.\\./([\\w/.-]+_test\\.go)\\)")
)

// The page has every feature once, its sums are right, and the tests that it names are there.
func TestCoverage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, c := range catalogue {
		for i := range c.rows {
			want = append(want, fmt.Sprintf("%s-%02d", c.family, i+1))
		}
	}
	sums := map[string]int{"all": len(want)}
	for _, row := range coverageRow.FindAllStringSubmatch(string(page), -1) {
		id, state, proof := row[1], row[3], row[4]
		got = append(got, id)
		sums[state]++
		tests := testWithFile.FindAllStringSubmatch(proof, -1)
		switch state {
		case "works", "partly":
			if len(tests) == 0 {
				t.Errorf("%s %s, and no test is named with its file", id, state)
			}
		case "not yet":
			if proof != "" {
				t.Errorf("%s is not there yet, and yet %q shows it", id, proof)
			}
		default:
			t.Errorf("%s has the state %q: use works, partly or not yet", id, state)
		}
		if named := testNamed.FindAllString(proof, -1); len(named) != len(tests) {
			t.Errorf("%s names %q: write each as [`TestName`](../path_test.go)", id, named)
		}
		for _, test := range tests {
			if !declares(t, test[2], test[1]) {
				t.Errorf("%s: %s has no %s", id, test[2], test[1])
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the page has the rows\n%q, want each of these once\n%q", got, want)
	}
	for _, sum := range coverageSum.FindAllStringSubmatch(string(page), -1) {
		if n, err := strconv.Atoi(sum[2]); err != nil || n != sums[sum[1]] {
			t.Errorf("the page counts %s rows as %s, there are %d", sum[2], sum[1], sums[sum[1]])
		}
		delete(sums, sum[1])
	}
	for state := range sums {
		t.Errorf("the page does not count the rows of state %q", state)
	}
}

func declares(t *testing.T, file, test string) bool {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		t.Error(err)
		return false
	}
	return strings.Contains(string(source), "\nfunc "+test+"(")
}
