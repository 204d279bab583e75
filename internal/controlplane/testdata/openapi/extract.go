// Extract reads the service's published API documents (Swagger 2.0, one a version) and prints the facts that
// openapi_test.go holds this server against: paths, status codes, and the members of bodies with their types and
// bounds. Prose is left out. Each fact is a line, with the versions that it holds for.
//
//	go run testdata/openapi/extract.go DIRECTORY > testdata/openapi/facts.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type document struct {
	Info        struct{ Version string }
	Paths       map[string]map[string]operation
	Definitions map[string]any
}

type operation struct {
	OperationID string
	Parameters  []struct {
		In     string
		Schema struct {
			Ref string `json:"$ref"`
		}
	}
	Responses map[string]struct{ Schema answer }
}

// answer is the schema of an answer, or a list of one that has no name.
type answer struct {
	Ref        string `json:"$ref"`
	Properties struct {
		Value struct {
			Items struct {
				Ref string `json:"$ref"`
			}
		}
	}
}

func (a answer) String() string {
	if item := bare(a.Properties.Value.Items.Ref); item != "" {
		return "[]" + item
	}
	return bare(a.Ref)
}

// fact is a line: an operation or a schema.
type fact struct {
	Operation string            `json:"operation,omitempty"`
	Method    string            `json:"method,omitempty"`
	Path      string            `json:"path,omitempty"`
	Body      string            `json:"body,omitempty"`
	Answers   map[string]string `json:"answers,omitempty"`
	Schema    string            `json:"schema,omitempty"`
	Is        any               `json:"is,omitempty"`
	In        []string          `json:"in,omitempty"`
}

const group = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"

// kept are the members of a schema that say what a server must do.
var kept = []string{
	"type", "format", "pattern", "enum", "properties", "required", "readOnly", "items", "additionalProperties", "allOf",
	"discriminator", "x-ms-discriminator-value", "minimum", "maximum", "minLength", "maxLength", "$ref",
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("extract: give the directory of the documents, arm-*.json")
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "arm-*.json"))
	if err != nil || len(files) == 0 {
		log.Fatalf("extract: no arm-*.json in %s", os.Args[1])
	}
	versions := map[string][]string{} // of a fact
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		// Tasks have versions of their own, some of which registries have, too.
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "arm-"), ".json")
		for _, f := range d.facts() {
			line, err := json.Marshal(f)
			if err != nil {
				log.Fatal(err)
			}
			versions[string(line)] = append(versions[string(line)], name)
		}
	}
	out := bufio.NewWriter(os.Stdout)
	lines := make([]string, 0, len(versions))
	for line, in := range versions {
		slices.Sort(in)
		also, err := json.Marshal(in)
		if err != nil {
			log.Fatal(err)
		}
		lines = append(lines, strings.TrimSuffix(line, "}")+`,"in":`+string(also)+"}")
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func (d *document) facts() (out []fact) {
	for path, item := range d.Paths {
		for method, o := range item {
			f := fact{Operation: o.OperationID, Method: strings.ToUpper(method), Path: strings.Replace(path, group, "G", 1), Answers: map[string]string{}}
			for _, p := range o.Parameters {
				if p.In == "body" {
					f.Body = bare(p.Schema.Ref)
				}
			}
			for status, a := range o.Responses {
				f.Answers[status] = a.Schema.String()
			}
			out = append(out, f)
		}
	}
	for name, s := range d.Definitions {
		out = append(out, fact{Schema: name, Is: strip(s)})
	}
	return out
}

func bare(ref string) string { return strings.TrimPrefix(ref, "#/definitions/") }

// strip leaves of a schema what is kept.
func strip(schema any) any {
	s, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	out := map[string]any{}
	for _, name := range kept {
		switch v := s[name].(type) {
		case nil:
		case map[string]any:
			if name != "properties" {
				out[name] = strip(v)
				break
			}
			members := map[string]any{}
			for member, of := range v {
				members[member] = strip(of)
			}
			out[name] = members
		case []any:
			all := []any{}
			for _, one := range v {
				all = append(all, strip(one))
			}
			out[name] = all
		case string:
			out[name] = bare(v)
		default:
			out[name] = v
		}
	}
	return out
}
