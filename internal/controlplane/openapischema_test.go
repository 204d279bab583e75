package controlplane_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fact is what the service's published documents say of an operation or of a schema, and in which of them: an
// api-version, with "tasks-" in front for those that tell of tasks alone. testdata/openapi/extract.go writes them.
type fact struct {
	Operation, Method, Path, Body string
	Answers                       map[string]string // the schema of each status; "default" is an error's
	Schema                        string
	Is                            *schema
	In                            []string
}

// schema is the part of JSON Schema that the documents use.
type schema struct {
	Type, Format, Pattern, Discriminator string
	Enum, Required                       []string
	Ref                                  string `json:"$ref"`
	Named                                string `json:"x-ms-discriminator-value"`
	Properties                           map[string]*schema
	Items, AdditionalProperties          *schema
	AllOf                                []*schema
	ReadOnly                             bool
	Minimum, Maximum                     *float64
	MinLength, MaxLength                 *int
}

// spec is one of the documents.
type spec struct {
	name       string
	version    string
	operations map[string]fact
	schemas    map[string]*schema
}

func readSpecs(t testing.TB) []*spec {
	t.Helper()
	text, err := os.ReadFile("testdata/openapi/facts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]*spec{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text))
	for lines.Scan() {
		var f fact
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatalf("%v in %s", err, lines.Bytes())
		}
		for _, name := range f.In {
			if specs[name] == nil {
				specs[name] = &spec{name, strings.TrimPrefix(name, "tasks-"), map[string]fact{}, map[string]*schema{}}
			}
			if f.Schema != "" {
				specs[name].schemas[f.Schema] = f.Is
			} else {
				specs[name].operations[f.Operation] = f
			}
		}
	}
	return slices.SortedFunc(maps.Values(specs), func(a, b *spec) int { return strings.Compare(a.name, b.name) })
}

// named is the schema of a name; []X is a list of X in pages.
func (s *spec) named(name string) *schema {
	if item, is := strings.CutPrefix(name, "[]"); is {
		return &schema{Type: "object", Required: []string{"value"}, Properties: map[string]*schema{"value": {Type: "array", Items: &schema{Ref: item}}, "nextLink": {Type: "string"}}}
	}
	return &schema{Ref: name}
}

// whole is a schema with what it refers to and what it is made of, in the shape of a variant where there are several.
func (s *spec) whole(of *schema, variant string) *schema {
	out := *of
	if of.Ref != "" {
		out = *s.whole(s.schemas[of.Ref], "")
		out.ReadOnly = out.ReadOnly || of.ReadOnly
		if out.Discriminator != "" && variant != "" {
			return s.whole(&schema{Ref: variant}, "")
		}
	}
	out.Properties = maps.Clone(out.Properties)
	for _, part := range of.AllOf {
		base := s.whole(part, "")
		out.Type, out.Discriminator = "object", base.Discriminator
		for name, member := range base.Properties {
			if out.Properties == nil {
				out.Properties = map[string]*schema{}
			}
			if out.Properties[name] == nil || name == base.Discriminator {
				out.Properties[name] = member
			}
			if name == base.Discriminator && of.Named != "" {
				out.Properties[name] = &schema{Type: "string", Enum: []string{of.Named}}
			}
		}
		out.Required = append(slices.Clone(out.Required), base.Required...)
	}
	if out.Type == "" && out.Properties != nil {
		out.Type = "object"
	}
	return &out
}

// variants are the names of the schemas that a discriminator chooses among, by its value.
func (s *spec) variants(of *schema) map[string]string {
	out := map[string]string{}
	for name, one := range s.schemas {
		for _, base := range one.AllOf {
			if one.Named != "" && base.Ref == of.Ref {
				out[one.Named] = name
			}
		}
	}
	return out
}

// print is a text of a schema that is the same for two that are alike.
func (s *spec) print(of *schema) string {
	w := s.whole(of, "")
	var b strings.Builder
	fmt.Fprint(&b, w.Type, w.Format, w.Pattern, slices.Sorted(slices.Values(w.Enum)), w.ReadOnly)
	required := slices.Sorted(slices.Values(w.Required))
	for _, name := range slices.Sorted(maps.Keys(w.Properties)) {
		fmt.Fprint(&b, name, slices.Contains(required, name), "{", s.print(w.Properties[name]), "}")
	}
	for _, name := range slices.Sorted(maps.Values(s.variants(of))) {
		fmt.Fprint(&b, name, s.print(&schema{Ref: name}))
	}
	if w.Items != nil {
		b.WriteString("[" + s.print(w.Items) + "]")
	}
	if w.AdditionalProperties != nil {
		b.WriteString("<" + s.print(w.AdditionalProperties) + ">")
	}
	return b.String()
}

// absent is no value: a member that is left out.
type absent struct{}

// filler makes values for a schema's members.
type filler struct {
	*spec
	given   func(path string) (value any, known bool) // absent{} leaves a member out
	variant string                                    // of the discriminator's values; "" where there is none
}

// fill makes a valid value with every member that may be written.
func (f filler) fill(of *schema, path string) any {
	if v, ok := f.given(path); ok {
		return v
	}
	w := f.whole(of, f.variants(of)[f.variant])
	switch {
	case w.Type == "array":
		return []any{f.fill(w.Items, path+"[]")}
	case w.AdditionalProperties != nil:
		return object{"key": f.fill(w.AdditionalProperties, path+"{}")}
	case w.Type == "object":
		out := object{}
		for name, member := range w.Properties {
			if member.ReadOnly {
				continue
			}
			if v := f.fill(member, join(path, name)); v != (absent{}) {
				out[name] = v
			}
		}
		return out
	case w.Type == "boolean":
		return true
	case w.Type == "integer" && w.Minimum != nil:
		return *w.Minimum
	case w.Type == "integer":
		return 1.0
	case len(w.Enum) > 0:
		return w.Enum[0]
	case w.Format == "date-time":
		return anyTime
	case w.Format == "duration":
		return "PT3H"
	}
	return anyText
}

// What stands for a text, and for a time.
const (
	anyText = "text"
	anyTime = "2031-05-06T07:08:09Z"
)

// join is the path of a member.
func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// change is a body with one member other than it was.
type change struct {
	path    string // as in properties.actions[]
	how     string
	body    any
	without any // the body without the member, where it may be left out
}

// optionalNull is null for a member that may be left out: it clears the member.
const optionalNull = "optional null"

// breaks breaks each member of a valid body once in each way that the schema forbids.
func (f filler) breaks(of *schema, body any) (out []change) {
	var walk func(of *schema, v any, path string, at []any)
	walk = func(of *schema, v any, path string, at []any) {
		add := func(how string, to any) { out = append(out, change{path: path, how: how, body: with(body, at, to)}) }
		w := f.whole(of, f.variants(of)[f.variant])
		if path != "" {
			for _, b := range w.forbidden() {
				add(b.how, b.value)
			}
		}
		switch v := v.(type) {
		case object:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				member := w.Properties[name]
				if member == nil {
					if member = w.AdditionalProperties; member == nil {
						continue
					}
				}
				here := append(slices.Clone(at), name)
				if slices.Contains(w.Required, name) {
					out = append(out, change{path: join(path, name), how: "absent", body: with(body, here, absent{})}, change{path: join(path, name), how: "null", body: with(body, here, nil)})
				} else {
					out = append(out, change{join(path, name), optionalNull, with(body, here, nil), with(body, here, absent{})})
				}
				walk(member, v[name], join(path, name), here)
			}
		case []any:
			for i, item := range v[:min(len(v), 1)] {
				walk(w.Items, item, path+"[]", append(slices.Clone(at), i))
			}
		}
	}
	walk(of, body, "", nil)
	return out
}

// required tells whether a schema wants the member at a path in its object.
func (f filler) required(of *schema, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	w := f.whole(of, f.variants(of)[f.variant])
	if !more {
		return slices.Contains(w.Required, name)
	}
	member := w.Properties[strings.TrimSuffix(name, "[]")]
	if member == nil {
		return false
	}
	if strings.HasSuffix(name, "[]") {
		member = f.whole(member, "").Items
	}
	return f.required(member, rest)
}

type forbidden struct {
	how   string
	value any
}

// forbidden are values that a schema does not take.
func (s *schema) forbidden() (out []forbidden) {
	switch s.Type {
	case "boolean":
		return []forbidden{{"type", "perhaps"}, {"type", object{}}}
	case "array":
		return []forbidden{{"type", "text"}}
	case "object":
		return []forbidden{{"type", "text"}, {"type", []any{1}}}
	case "integer":
		out = []forbidden{{"type", "many"}, {"type", 1.5}, {"type", object{}}}
		if s.Minimum != nil {
			out = append(out, forbidden{"bounds", *s.Minimum - 1}, forbidden{"bounds", *s.Maximum + 1})
		} else if s.Format == "int32" {
			out = append(out, forbidden{"negative", -1}, forbidden{"bounds", 1 << 33})
		}
		return out
	}
	out = []forbidden{{"type", 7}, {"type", object{}}}
	switch {
	case len(s.Enum) > 0:
		out = append(out, forbidden{"enum", "Bogus"})
	case s.Pattern != "":
		out = append(out, forbidden{"pattern", "?"})
	case s.Format == "date-time" || s.Format == "duration":
		out = append(out, forbidden{"format", "soon"})
	}
	if s.MaxLength != nil {
		out = append(out, forbidden{"bounds", strings.Repeat("1", *s.MaxLength+1)})
	}
	return out
}

// readOnly is a body with a value for each member that may only be read.
func (f filler) readOnly(of *schema, depth int) any {
	w := f.whole(of, f.variants(of)[f.variant])
	out := object{}
	for name, member := range w.Properties {
		m := f.whole(member, "")
		switch {
		case member.ReadOnly || m.ReadOnly:
			free := f
			free.given = func(string) (any, bool) { return nil, false }
			out[name] = free.fill(&schema{Type: m.Type, Format: m.Format, Enum: m.Enum, Items: &schema{Type: "string"}}, "")
		case m.Type == "object" && m.AdditionalProperties == nil && depth < 3 && len(f.variants(member)) == 0:
			if inner := f.readOnly(member, depth+1).(object); len(inner) > 0 {
				out[name] = inner
			}
		}
	}
	return out
}

// with is a value with another one at a place in it. Neither is changed.
func with(v any, at []any, to any) any {
	if len(at) == 0 {
		return to
	}
	if i, ok := at[0].(int); ok {
		list := slices.Clone(v.([]any))
		list[i] = with(list[i], at[1:], to)
		return list
	}
	name, out := at[0].(string), maps.Clone(v.(object))
	if to == (absent{}) && len(at) == 1 {
		delete(out, name)
	} else {
		out[name] = with(out[name], at[1:], to)
	}
	return out
}

// over is a value with another one laid over it, member by member.
func over(v, top any) any {
	a, ok1 := v.(object)
	b, ok2 := top.(object)
	if !ok1 || !ok2 {
		return top
	}
	out := maps.Clone(a)
	for name, value := range b {
		out[name] = over(out[name], value)
	}
	return out
}

// check holds a value against a schema, and tells what is wrong, where.
func (s *spec) check(of *schema, v any, path string) (wrong []string) {
	variant := ""
	if o, ok := v.(object); ok {
		if d := s.whole(of, "").Discriminator; d != "" {
			name, _ := o[d].(string)
			variant = s.variants(of)[name]
		}
	}
	w := s.whole(of, variant)
	say := func(format string, args ...any) { wrong = append(wrong, path+": "+fmt.Sprintf(format, args...)) }
	switch v := v.(type) {
	case object:
		if w.Type != "object" {
			say("an object, want %s", w.Type)
		}
		for _, name := range w.Required {
			if v[name] == nil && !w.Properties[name].ReadOnly {
				say("%s is missing", name)
			}
		}
		for name, value := range v {
			if member := w.Properties[name]; member != nil && value != nil {
				wrong = append(wrong, s.check(member, value, join(path, name))...)
			} else if w.AdditionalProperties != nil && w.AdditionalProperties.Type != "" {
				wrong = append(wrong, s.check(w.AdditionalProperties, value, path+"{}")...)
			}
		}
	case []any:
		if w.Type != "array" {
			say("a list, want %s", w.Type)
			break
		}
		for _, item := range v {
			wrong = append(wrong, s.check(w.Items, item, path+"[]")...)
		}
	case bool:
		if w.Type != "boolean" {
			say("%v, want %s", v, w.Type)
		}
	case float64:
		if w.Type != "integer" && w.Type != "number" || w.Type == "integer" && v != math.Trunc(v) || w.Format == "int32" && math.Abs(v) > math.MaxInt32 {
			say("%v, want %s %s", v, w.Type, w.Format)
		}
	case string:
		if text := w.text(v); text != "" {
			say("%q is not %s", v, text)
		}
	case nil:
		say("null")
	}
	return wrong
}

// text tells what a string is not; "" where it is all that it should be.
func (s *schema) text(v string) string {
	_, badTime := time.Parse(time.RFC3339Nano, v)
	switch {
	case s.Type != "string" && s.Type != "":
		return s.Type
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, v):
		return "one of " + strings.Join(s.Enum, ", ")
	case s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v):
		return s.Pattern
	case s.Format == "date-time" && badTime != nil:
		return "a time"
	case s.Format == "duration" && !strings.HasPrefix(v, "P"):
		return "a duration"
	}
	return ""
}

// echoed tells which members of what was sent are not answered as they were sent, of those that the answer has.
func (s *spec) echoed(of *schema, sent, got any, path string) (wrong []string) {
	w := s.whole(of, "")
	switch sent := sent.(type) {
	case object:
		if d := w.Discriminator; d != "" {
			name, _ := sent[d].(string)
			w = s.whole(of, s.variants(of)[name])
		}
		back, _ := got.(object)
		for name, v := range sent {
			member := w.Properties[name]
			if member == nil {
				member = w.AdditionalProperties
			}
			if member != nil && !member.ReadOnly {
				wrong = append(wrong, s.echoed(member, v, back[name], join(path, name))...)
			}
		}
	case []any:
		back, _ := got.([]any)
		if len(back) != len(sent) {
			return []string{fmt.Sprintf("%s: sent %v, answered %v", path, sent, got)}
		}
		for i := range sent {
			wrong = append(wrong, s.echoed(w.Items, sent[i], back[i], path+"[]")...)
		}
	default:
		if !reflect.DeepEqual(sent, got) {
			return []string{fmt.Sprintf("%s: sent %v, answered %v", path, sent, got)}
		}
	}
	return wrong
}
