package serve

import (
	"bytes"
	"encoding"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// setting is one leaf of Config under its three names.
type setting struct {
	path  string // in the file: limits.maxUpload
	value reflect.Value
	help  string
	show  string // "url": what it holds of secrets is masked
}

func (s setting) variable() string { return "ACRE_" + strings.ToUpper(split(s.path, '_')) }
func (s setting) flag() string     { return split(s.path, '-') }

// text says whether the setting can be given as one text, as variables and flags do.
func (s setting) text() bool { return s.value.Type() != reflect.TypeFor[[]BootRegistry]() }

// split makes limits_max_upload of limits.maxUpload.
func split(path string, by rune) string {
	var b strings.Builder
	for _, r := range path {
		switch {
		case r == '.':
			b.WriteRune(by)
		case unicode.IsUpper(r):
			b.WriteRune(by)
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// settings lists all leaves, in the order of the struct.
func settings(c *Config) []setting { return leaves(reflect.ValueOf(c).Elem(), "") }

func leaves(v reflect.Value, prefix string) []setting {
	var out []setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		if help, ok := f.Tag.Lookup("help"); ok {
			out = append(out, setting{prefix + name, v.Field(i), help, f.Tag.Get("show")})
		} else {
			out = append(out, leaves(v.Field(i), prefix+name+".")...)
		}
	}
	return out
}

// configFlag is the one flag that is no setting.
const configFlag = "config"

// assignment is a value that a variable or a flag gives to a setting.
type assignment struct{ path, text, origin string }

func parseFlags(c *Config, args []string) ([]assignment, error) {
	var out []assignment
	set := flag.NewFlagSet("acre serve", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	add := func(path, name string) func(string) error {
		return func(text string) error {
			out = append(out, assignment{path, text, "--" + name})
			return nil
		}
	}
	set.Func(configFlag, "", add(configFlag, configFlag))
	for _, s := range settings(c) {
		switch {
		case s.value.Kind() == reflect.Bool:
			set.BoolFunc(s.flag(), "", add(s.path, s.flag()))
		case s.text():
			set.Func(s.flag(), "", add(s.path, s.flag()))
		}
	}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w; acre serve --help lists the flags", err)
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("argument %q is not understood; acre serve takes flags only", clipped(set.Arg(0)))
	}
	return out, nil
}

// parseEnviron takes the variables that name settings. Others that begin like a section's are taken for mistakes;
// the rest is somebody else's.
func parseEnviron(c *Config, environ []string) ([]assignment, error) {
	known, sections := map[string]setting{}, map[string]bool{}
	for _, s := range settings(c) {
		known[s.variable()] = s
		if section, _, ok := strings.Cut(s.path, "."); ok {
			sections["ACRE_"+strings.ToUpper(section)+"_"] = true
		}
	}
	var out []assignment
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		s, ok := known[name]
		switch {
		case name == "ACRE_CONFIG":
			out = append(out, assignment{configFlag, text, "variable " + name})
		case ok && !s.text():
			return nil, fmt.Errorf("variable %s: a list of registries does not fit a variable; write it into acre.yaml", name)
		case ok:
			out = append(out, assignment{s.path, text, "variable " + name})
		default:
			for section := range sections {
				if strings.HasPrefix(name, section) {
					return nil, fmt.Errorf("variable %s names no setting%s", name, nearest(name, mapKeys(known)))
				}
			}
		}
	}
	return out, nil
}

func (c *Config) assign(list []assignment) error {
	all := settings(c)
	for _, a := range list {
		i := slices.IndexFunc(all, func(s setting) bool { return s.path == a.path })
		if i < 0 {
			continue // config, which is no setting
		}
		c.origins[a.path] = a.origin
		if err := put(all[i].value, a.text); err != nil {
			return c.wrong(a.path, "%w", err)
		}
	}
	return nil
}

// put parses text into a leaf.
func put(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration; write it like 90s, 15m or 168h", clipped(text))
		}
		*p = d
	case *string:
		*p = text
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", clipped(text))
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", clipped(text))
		}
		*p = n
	case *float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", clipped(text))
		}
		*p = n
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*p = append(*p, item)
			}
		}
	default:
		return fmt.Errorf("a single value does not do; write it as a list")
	}
	return nil
}

// parseFile takes the settings of a YAML file over, noting the line of each.
func parseFile(c *Config, path string, text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var at interface {
			GetToken() *token.Token
			GetMessage() string
		}
		if errors.As(err, &at) && at.GetToken() != nil {
			return fmt.Errorf("%s:%d: %s", path, at.GetToken().Position.Line, at.GetMessage())
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	f := yamlFile{path: path, origins: c.origins}
	for i, doc := range file.Docs {
		if i > 0 {
			return f.wrong(doc.Body, "a second document begins; keep one")
		}
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if err := f.fill(reflect.ValueOf(c).Elem(), doc.Body, ""); err != nil {
			return err
		}
	}
	return nil
}

type yamlFile struct {
	path    string
	origins map[string]string
}

func (f yamlFile) origin(n ast.Node) string {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d", f.path, t.Position.Line)
	}
	return f.path
}

func (f yamlFile) wrong(n ast.Node, format string, args ...any) error {
	return fmt.Errorf("%s: %w", f.origin(n), fmt.Errorf(format, args...))
}

// fill takes a mapping over into a struct.
func (f yamlFile) fill(v reflect.Value, n ast.Node, prefix string) error {
	var entries []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{m}
	case *ast.NullNode:
		return nil
	default:
		return f.wrong(n, "%s: settings are expected, as key: value", strings.TrimSuffix(prefix, "."))
	}
	for _, e := range entries {
		key := e.Key.GetToken().Value
		field, section, ok := member(v, key)
		if !ok {
			return f.wrong(e.Key, "%s%s is no setting%s", prefix, clipped(key), nearest(key, members(v)))
		}
		path := prefix + key
		if _, twice := f.origins[path]; twice {
			return f.wrong(e.Key, "%s is there twice (%s)", path, f.origins[path])
		}
		f.origins[path] = f.origin(e.Key)
		fill := f.leaf
		if section {
			fill = func(v reflect.Value, n ast.Node, path string) error { return f.fill(v, n, path+".") }
		}
		if err := fill(field, e.Value, path); err != nil {
			return err
		}
	}
	return nil
}

// member finds a struct's field by its name in the file; section says that it is a struct of settings itself.
func member(v reflect.Value, key string) (field reflect.Value, section, ok bool) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Tag.Get("yaml") == key && key != "-" {
			_, leaf := f.Tag.Lookup("help")
			return v.Field(i), !leaf, true
		}
	}
	return reflect.Value{}, false, false
}

func members(v reflect.Value) []string {
	var out []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			out = append(out, name)
		}
	}
	return out
}

// leaf takes a scalar or a list over.
func (f yamlFile) leaf(v reflect.Value, n ast.Node, path string) error {
	list, isList := n.(*ast.SequenceNode)
	switch {
	case n.Type() == ast.NullType:
		return nil
	case v.Kind() == reflect.Slice && isList:
		v.SetZero()
		for i, item := range list.Values {
			element := reflect.New(v.Type().Elem()).Elem()
			at := fmt.Sprintf("%s[%d]", path, i)
			f.origins[at] = f.origin(item)
			fill := f.leaf
			if element.Kind() == reflect.Struct {
				fill = func(v reflect.Value, n ast.Node, path string) error { return f.fill(v, n, path+".") }
			}
			if err := fill(element, item, at); err != nil {
				return err
			}
			v.Set(reflect.Append(v, element))
		}
		return nil
	case v.Kind() == reflect.Slice:
		return f.wrong(n, "%s: a list is expected, each item after a dash", path)
	}
	scalar, ok := n.(ast.ScalarNode)
	if !ok || n.Type() == ast.AliasType || n.Type() == ast.AnchorType {
		return f.wrong(n, "%s: a single value is expected", path)
	}
	if err := put(v, scalar.GetToken().Value); err != nil {
		return f.wrong(n, "%s: %w", path, err)
	}
	return nil
}

// nearest is a hint at the name that was probably meant.
func nearest(name string, names []string) string {
	best, distance := "", max(2, len(name)/3)+1
	slices.Sort(names)
	for _, n := range names {
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return "; docs/configuration.md lists them"
	}
	return fmt.Sprintf("; is %s meant?", best)
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func mapKeys(m map[string]setting) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// clipped keeps a value that is quoted in an error short.
func clipped(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// Size is a number of bytes, written like 200GiB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText reads a whole number with or without a unit.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || int64(n) > (1<<63-1)/factor {
		return fmt.Errorf("%q is no size; write it like 512KiB, 64MiB or 200GiB", clipped(string(text)))
	}
	*s = Size(int64(n) * factor)
	return nil
}

func (s Size) String() string {
	for _, u := range units[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Secret refers to a secret that stands elsewhere: file:PATH or env:NAME.
type Secret struct {
	Reference string
	environ   []string
}

// UnmarshalText takes references only, so that no secret comes to stand in the file.
func (s *Secret) UnmarshalText(text []byte) error {
	s.Reference = string(text)
	if s.Reference != "" && !strings.HasPrefix(s.Reference, "file:") && !strings.HasPrefix(s.Reference, "env:") {
		s.Reference = ""
		return errors.New("a secret is not written here; refer to it by file:PATH or env:NAME")
	}
	return nil
}

func (s Secret) String() string { return s.Reference }

// Read gets the secret, without the line's end. "" where none is referred to.
func (s Secret) Read() (string, error) { return resolve(s.Reference, s.environ) }

// resolve gives what a file: or env: reference leads to, or the value itself where it is none.
func resolve(value string, environ []string) (string, error) {
	if path, ok := strings.CutPrefix(value, "file:"); ok {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return "", fmt.Errorf("read the secret: %w", err)
		}
		return checkSecret(strings.TrimRight(string(text), "\r\n"), value)
	}
	if name, ok := strings.CutPrefix(value, "env:"); ok {
		for _, e := range environ {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return checkSecret(v, value)
			}
		}
		return checkSecret("", value)
	}
	return value, nil
}

func checkSecret(secret, reference string) (string, error) {
	if secret == "" {
		return "", fmt.Errorf("%s is empty or not set; put the secret there", clipped(reference))
	}
	return secret, nil
}

// YAML writes the effective settings as a file that says the same, secrets masked, with the origin of those that
// are not the default's.
func (c *Config) YAML() []byte {
	var b bytes.Buffer
	section := ""
	for _, s := range settings(c) {
		name, indent := s.path, ""
		if in, leaf, ok := strings.Cut(s.path, "."); ok {
			if in != section {
				fmt.Fprintf(&b, "%s:\n", in)
			}
			section, name, indent = in, leaf, "  "
		}
		value := shown(s)
		if list, ok := s.value.Interface().([]BootRegistry); ok {
			value = registriesText(list)
		}
		fmt.Fprintf(&b, "%s%s: %s", indent, name, value)
		if origin := c.origins[s.path]; origin != "" {
			fmt.Fprintf(&b, " # %s", strings.ReplaceAll(origin, "\n", " "))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// registriesText is a flow sequence, which keeps each setting on one line.
func registriesText(list []BootRegistry) string {
	items := make([]string, len(list))
	for i, r := range list {
		items[i] = fmt.Sprintf("{name: %s, sku: %s, adminUserEnabled: %t, anonymousPullEnabled: %t}",
			strconv.Quote(r.Name), r.SKU, r.AdminUser, r.AnonymousPull)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// shown is a leaf's value in YAML.
func shown(s setting) string {
	switch v := s.value.Interface().(type) {
	case string:
		if s.show == "url" {
			v = masked(v)
		}
		return strconv.Quote(v)
	case []string:
		quoted := make([]string, len(v))
		for i, item := range v {
			quoted[i] = strconv.Quote(item)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case Secret:
		return strconv.Quote(v.Reference)
	case time.Duration:
		text := v.String()
		for _, zero := range []string{"m0s", "h0m"} { // 2h rather than 2h0m0s
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return text
	default:
		return fmt.Sprint(v)
	}
}

// masked hides the password of an address and all values of its query, which hold keys at object stores.
func masked(address string) string {
	if strings.HasPrefix(address, diskScheme) {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "xxxxx"
	}
	q := u.Query()
	for key := range q {
		q.Set(key, "xxxxx")
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}
