package test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the files that tests compare with")

// Every verb of az acr, as az itself tells of them, does what it is documented to do, or stands in the table with why not.
func TestAzEvery(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		version := a.query(`"azure-cli"`, "version")
		cl := c.admin(t)
		for _, tag := range []string{"v1", "v2"} {
			if _, _, err := cl.pushImage("team/app", tag, []byte("layer of "+tag)); err != nil {
				t.Fatal(err)
			}
		}
		known := strings.NewReplacer("{id}", strings.ReplaceAll(cloudID, cloudName, "everyreg"), "{clouds}", cloudID, "{digest}", cl.digest(t, "team/app", "v1").String(),
			"{builder}", "/subscriptions/"+devSubscription+"/resourceGroups/acre/providers/Microsoft.ManagedIdentity/userAssignedIdentities/builder")
		t.Run("verbs", func(t *testing.T) {
			t.Parallel()
			a.in(t).compareVerbs(version)
		})
		there := azVerbs(t)[version]
		for name, steps := range journeys {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				own := newAz(t, c, a.program, a.oldest).asOwner()
				own.write("chart-1.0.0.tgz", "no chart")
				for _, s := range steps {
					if s.verb == "" || slices.Contains(there, s.verb) {
						own.take(s, known)
					}
				}
			})
		}
	})
}

// take makes a step of a journey and holds what az prints against what is documented.
func (a az) take(s step, known *strings.Replacer) {
	a.t.Helper()
	if s.only != "" && (s.only == "oldest") != a.oldest {
		return
	}
	args := words(known.Replace(s.args))
	if s.verb != "" {
		args = append(append([]string{"acr"}, strings.Fields(s.verb)...), args...)
	}
	if s.query != "" {
		args = append(args, "--query", s.query, "-o", "tsv")
	}
	began := time.Now()
	out, both, err := a.exec(a.program, args...)
	a.t.Logf("%.1f s: az %s%s", time.Since(began).Seconds(), strings.Join(args, " "), map[bool]string{true: "\n" + both}[s.why != ""])
	switch out = strings.Join(strings.Fields(out), " "); {
	case s.why != "" && (s.says == "" && err == nil || !strings.Contains(both, s.says)):
		a.t.Errorf("az %s: %v\n%s\nwant %q, for %s are not there yet", strings.Join(args, " "), err, both, s.says, s.why)
	case s.why == "" && err != nil:
		a.t.Errorf("az %s: %v\n%s", strings.Join(args, " "), err, both)
	case s.query != "" && !strings.EqualFold(out, s.want):
		a.t.Errorf("az %s: %q, want %q", strings.Join(args, " "), out, s.want)
	}
}

// words are what a shell makes of a line with quotes.
func words(line string) (out []string) {
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2])
	}
	return out
}

// verbs are those that az acr --help tells of, below a group of them.
func (a az) verbs(group ...string) []string {
	a.t.Helper()
	var out []string
	section := ""
	for line := range strings.Lines(a.do(append(append([]string{"acr"}, group...), "--help")...)) {
		name := regexp.MustCompile(`^    ([a-z][a-z0-9-]*) .*: `).FindStringSubmatch(line)
		switch {
		case !strings.HasPrefix(line, " ") && strings.TrimSpace(line) != "":
			section = strings.TrimSpace(line)
		case name != nil && section == "Subgroups:":
			out = append(out, a.verbs(append(slices.Clone(group), name[1])...)...)
		case name != nil && section == "Commands:":
			out = append(out, strings.Join(append(slices.Clone(group), name[1]), " "))
		}
	}
	return out
}

func verbFile(version string) string { return filepath.Join("testdata", "az", version+".txt") }

// compareVerbs holds the verbs of az against those that are known of its version.
func (a az) compareVerbs(version string) {
	a.t.Helper()
	got := a.verbs()
	slices.Sort(got)
	text := strings.Join(got, "\n") + "\n"
	if *update {
		if err := os.WriteFile(verbFile(version), []byte(text), 0o644); err != nil {
			a.t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(verbFile(version)); err != nil || string(want) != text {
		a.t.Errorf("the verbs of az %s are not those of %s (%v): write it with -update, and put what is new into az_verbs_test.go", version, verbFile(version), err)
	}
}

// azVerbs are the verbs of each version of az.
func azVerbs(t testing.TB) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(verbFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s (%v): run TestAzEvery with -update", verbFile("*"), err)
	}
	out := map[string][]string{}
	for _, file := range files {
		out[strings.TrimSuffix(filepath.Base(file), ".txt")] = strings.Split(strings.TrimSpace(string(must(os.ReadFile(file))(t))), "\n")
	}
	return out
}

// docs/az.md tells of every verb whether it works, and the table knows no others.
func TestAzPage(t *testing.T) {
	t.Parallel()
	versions, state := azVerbs(t), map[string]string{}
	for verb := range provenBy {
		state[verb] = "works"
	}
	for verb, does := range noRegistry {
		state[verb] = does + "; asks no registry"
	}
	for _, steps := range journeys {
		for _, s := range steps {
			if s.verb == "" || state[s.verb] != "" {
				continue
			}
			state[s.verb] = "works"
			if s.why != "" {
				state[s.verb] = "not yet: " + s.why
			}
		}
	}
	var all []string
	for version, verbs := range versions {
		for _, verb := range verbs {
			if state[verb] == "" {
				t.Errorf("az %s has the verb %q: put a step of it into az_verbs_test.go", version, verb)
			}
			if !slices.Contains(all, verb) {
				all = append(all, verb)
			}
		}
	}
	for verb := range state {
		if !slices.Contains(all, verb) {
			t.Errorf("no version of az has the verb %q", verb)
		}
	}
	slices.Sort(all)
	page := azPage(versions, all, state)
	file := filepath.Join("..", "docs", "az.md")
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != page {
		t.Errorf("%s is not what the table says (%v): write it with go test -run TestAzPage -update", file, err)
	}
}

func azPage(versions map[string][]string, all []string, state map[string]string) string {
	known := slices.Sorted(maps.Keys(versions))
	works := 0
	for _, verb := range all {
		if state[verb] == "works" {
			works++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# az acr, verb by verb

What the Azure CLI, unmodified, does against acre. How it is led here: [management-api.md](management-api.md). The test `+"`TestAzEvery`"+` runs every verb of both
versions and holds what it prints against its documentation; it wrote this page. %d of %d verbs work. *Not yet* means that az is told so: what is missing is "not
available in this version", or an answer of what is there.

| az acr | State |`, works, len(all))
	for _, v := range known {
		fmt.Fprintf(&b, " %s |", v)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(known)) + "\n")
	for _, verb := range all {
		fmt.Fprintf(&b, "| %s | %s |", verb, state[verb])
		for _, v := range known {
			mark := "–"
			if slices.Contains(versions[v], verb) {
				mark = "yes"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteString("\n")
	}
	return b.String()
}
