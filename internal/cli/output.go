package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/jmespath/go-jmespath"

	"github.com/acre-registry/acre/internal/fault"
)

// checkOutput settles the format, and refuses a query that cannot be read before anything is done.
func (a *app) checkOutput() error {
	if a.output == "" {
		a.output = "json"
		if _, ok := terminal(a.Stdout); ok {
			a.output = "table"
		}
	}
	switch a.output {
	case "json", "table", "tsv", "yaml":
	default:
		return fault.New(fault.Invalid, "output format %q is not known: use json, table, tsv or yaml", a.output)
	}
	if a.query != "" {
		if _, err := jmespath.Compile(a.query); err != nil {
			return fault.New(fault.Invalid, "query %q is no JMESPath expression: %w", a.query, err)
		}
	}
	return nil
}

// print writes a result in the format asked for, after the query.
func (a *app) print(v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	if a.query != "" {
		if text, err = a.search(text); err != nil {
			return err
		}
	}
	var out []byte
	switch a.output {
	case "yaml":
		out, err = yaml.JSONToYAML(text)
	case "table", "tsv":
		out, err = a.rows(text)
	default:
		var b bytes.Buffer
		err = json.Indent(&b, bytes.TrimSpace(text), "", "  ")
		b.WriteByte('\n')
		out = b.Bytes()
	}
	if err != nil {
		return fmt.Errorf("write the result as %s: %w", a.output, err)
	}
	_, err = a.Stdout.Write(out)
	return err
}

// show prints a result, one or several of a kind. A table without a query has the columns that row gives each, as az's
// tables have.
func show[T any](a *app, v []T, row func(T) any) error {
	if a.output != "table" || a.query != "" {
		return a.print(v)
	}
	rows := []any{}
	for _, item := range v {
		rows = append(rows, row(item))
	}
	return a.print(rows)
}

// showOne is show of one.
func showOne[T any](a *app, v T, row func(T) any) error {
	if a.output != "table" || a.query != "" {
		return a.print(v)
	}
	return a.print(row(v))
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (a *app) search(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	found, err := jmespath.Search(a.query, v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "query %q does not fit the result: %w", a.query, err)
	}
	return marshal(found)
}

// rows renders JSON as lines: an array one line an item, anything else one line. A table has a head, and drops what
// does not fit into a cell, as az does.
func (a *app) rows(text []byte) ([]byte, error) {
	var v any
	if err := yaml.UnmarshalWithOptions(text, &v, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	items, ok := v.([]any)
	switch {
	case v == nil || ok && len(items) == 0:
		return nil, nil
	case !ok:
		items = []any{v}
	}
	var b bytes.Buffer
	if a.output == "tsv" {
		for _, item := range items {
			fmt.Fprintln(&b, strings.Join(fields(item), "\t"))
		}
		return b.Bytes(), nil
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	names := columns(items)
	printRow(w, names, title)
	printRow(w, names, func(s string) string { return strings.Repeat("-", len(title(s))) })
	for _, item := range items {
		cells := map[string]string{"result": cell(item)}
		if m, ok := item.(yaml.MapSlice); ok {
			for _, kv := range m {
				cells[fmt.Sprint(kv.Key)] = cell(kv.Value)
			}
		}
		printRow(w, names, func(name string) string { return cells[name] })
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return trimLines(b.Bytes()), nil
}

func printRow(w io.Writer, names []string, text func(string) string) {
	cells := make([]string, len(names))
	for i, name := range names {
		cells[i] = text(name)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// trimLines takes away the blanks that padding leaves at line ends.
func trimLines(text []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		b.Write(bytes.TrimRight(line, " \n"))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// columns are the members that some item has and that fit into a cell, in the order of their first appearance.
func columns(items []any) []string {
	var names []string
	seen := map[string]bool{}
	for _, item := range items {
		m, ok := item.(yaml.MapSlice)
		if !ok {
			return []string{"result"}
		}
		for _, kv := range m {
			name := fmt.Sprint(kv.Key)
			if !seen[name] && !nested(kv.Value) {
				names, seen[name] = append(names, name), true
			}
		}
	}
	return names
}

// title makes a head of a member's name: loginServer becomes LoginServer.
func title(name string) string {
	r := []rune(name)
	if len(r) > 0 {
		r[0] = unicode.ToUpper(r[0])
	}
	return string(r)
}

func nested(v any) bool {
	switch v := v.(type) {
	case yaml.MapSlice:
		return true
	case []any:
		for _, item := range v {
			if nested(item) {
				return true
			}
		}
	}
	return false
}

// fields are an item's values for TSV; a nested one leaves its place empty.
func fields(item any) []string {
	switch v := item.(type) {
	case yaml.MapSlice:
		out := make([]string, len(v))
		for i, kv := range v {
			out[i] = cell(kv.Value)
		}
		return out
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = cell(v[i])
		}
		return out
	}
	return []string{cell(item)}
}

// cell is a value on one line; a list of scalars is joined.
func cell(v any) string {
	switch v := v.(type) {
	case nil, yaml.MapSlice:
		return ""
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = cell(v[i])
		}
		return strings.Join(out, ",")
	case string:
		return strings.Map(printable, v)
	}
	return fmt.Sprint(v)
}

// printable keeps a cell on its line, and the terminal from obeying it: logs hold what strangers call themselves.
func printable(r rune) rune {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return ' '
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
		return unicode.ReplacementChar
	}
	return r
}
