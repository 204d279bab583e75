package identity

import (
	"strings"

	"github.com/acre-registry/acre/internal/fault"
)

// Bounds of a filter.
const (
	maxFilter      = 4 << 10 // bytes
	maxFilterDepth = 16      // parentheses and nots within one another
)

// filter is an OData $filter, as far as clients use it: eq, ne, startsWith, in, any, and, or, not, parentheses.
type filter interface {
	holds(object map[string]any) bool
	// key is a comparison that each object must meet: property and value. "" where there is none. Lists use it to look up
	// instead of walking.
	key(property string) (value string, ok bool)
}

type (
	both     struct{ a, b filter }
	either   struct{ a, b filter }
	negation struct{ of filter }
	// comparison holds where a property, or an element of it, is one of the values.
	comparison struct {
		property string
		values   []string
	}
	prefix struct{ property, value string }
)

func (f both) holds(o map[string]any) bool     { return f.a.holds(o) && f.b.holds(o) }
func (f either) holds(o map[string]any) bool   { return f.a.holds(o) || f.b.holds(o) }
func (f negation) holds(o map[string]any) bool { return !f.of.holds(o) }

func (f comparison) holds(o map[string]any) bool {
	for _, want := range f.values {
		if matches(lookup(o, f.property), func(have string) bool { return strings.EqualFold(have, want) }) {
			return true
		}
	}
	return false
}

func (f prefix) holds(o map[string]any) bool {
	return matches(lookup(o, f.property), func(have string) bool {
		return len(have) >= len(f.value) && strings.EqualFold(have[:len(f.value)], f.value)
	})
}

func (f both) key(property string) (string, bool) {
	if v, ok := f.a.key(property); ok {
		return v, true
	}
	return f.b.key(property)
}

func (either) key(string) (string, bool)   { return "", false }
func (negation) key(string) (string, bool) { return "", false }
func (prefix) key(string) (string, bool)   { return "", false }

func (f comparison) key(property string) (string, bool) {
	if len(f.values) == 1 && strings.EqualFold(f.property, property) {
		return f.values[0], true
	}
	return "", false
}

// lookup is a property by its name or path, without regard to case; nil where there is none.
func lookup(o map[string]any, path string) any {
	first, rest, nested := strings.Cut(path, "/")
	for name, v := range o {
		if !strings.EqualFold(name, first) {
			continue
		}
		if !nested {
			return v
		}
		below, _ := v.(map[string]any)
		return lookup(below, rest)
	}
	return nil
}

// matches tries a property's value, or each of its elements.
func matches(value any, try func(string) bool) bool {
	switch v := value.(type) {
	case string:
		return try(v)
	case bool:
		if v {
			return try("true")
		}
		return try("false")
	case nil:
		return try("null")
	case []string:
		for _, s := range v {
			if try(s) {
				return true
			}
		}
	}
	return false
}

// parseFilter reads a filter; "" is nil, which all objects meet. Errors: fault.Invalid, which names the place.
func parseFilter(text string) (filter, error) {
	if len(text) > maxFilter {
		return nil, fault.New(fault.Invalid, "$filter is longer than %d bytes", maxFilter)
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &filterParser{text: text}
	p.next()
	f, err := p.or()
	if err == nil && p.token != "" {
		err = p.unexpected("and, or, or the end")
	}
	return f, err
}

// filterParser reads token by token. A string literal's token begins with a quote; its value is in literal.
type filterParser struct {
	text    string
	at      int    // where the next token is looked for
	start   int    // of the token
	token   string // "" at the end
	literal string
	depth   int
}

func (p *filterParser) next() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	p.start, p.literal = p.at, ""
	if p.at == len(p.text) {
		p.token = ""
		return
	}
	switch c := p.text[p.at]; {
	case c == '\'':
		p.quoted()
	case strings.IndexByte("(),:", c) >= 0:
		p.at++
	default:
		for p.at < len(p.text) && strings.IndexByte(" (),:'", p.text[p.at]) < 0 {
			p.at++
		}
	}
	p.token = p.text[p.start:p.at]
}

// quoted reads a string literal, in which a quote is written twice. One that does not end has no literal and is the
// token of a lone quote, which no rule takes.
func (p *filterParser) quoted() {
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		if p.text[i] != '\'' {
			b.WriteByte(p.text[i])
			continue
		}
		if i+1 < len(p.text) && p.text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		p.at, p.literal = i+1, b.String()
		return
	}
	p.at++
}

func (p *filterParser) is(word string) bool { return strings.EqualFold(p.token, word) }

func (p *filterParser) unexpected(want string) error {
	if p.token == "" {
		return fault.New(fault.Invalid, "Invalid filter clause: it ends where %s is expected.", want)
	}
	return fault.New(fault.Invalid, "Invalid filter clause: %.40q at position %d, where %s is expected.", p.token, p.start, want)
}

func (p *filterParser) take(word string) error {
	if !p.is(word) {
		return p.unexpected(word)
	}
	p.next()
	return nil
}

func (p *filterParser) or() (filter, error) {
	f, err := p.and()
	for err == nil && p.is("or") {
		p.next()
		var more filter
		more, err = p.and()
		f = either{f, more}
	}
	return f, err
}

func (p *filterParser) and() (filter, error) {
	f, err := p.term()
	for err == nil && p.is("and") {
		p.next()
		var more filter
		more, err = p.term()
		f = both{f, more}
	}
	return f, err
}

func (p *filterParser) term() (filter, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxFilterDepth {
		return nil, fault.New(fault.Invalid, "Invalid filter clause: more than %d levels.", maxFilterDepth)
	}
	switch {
	case p.is("("):
		p.next()
		f, err := p.or()
		if err == nil {
			err = p.take(")")
		}
		return f, err
	case p.is("not"):
		p.next()
		f, err := p.term()
		return negation{f}, err
	case p.is("startswith"):
		return p.startsWith()
	}
	property, err := p.name()
	if err != nil {
		return nil, err
	}
	switch {
	case p.is("eq"):
		p.next()
		v, err := p.value()
		return comparison{property, []string{v}}, err
	case p.is("ne"):
		p.next()
		v, err := p.value()
		return negation{comparison{property, []string{v}}}, err
	case p.is("in"):
		return p.in(property)
	case p.is("("):
		return p.any(property)
	}
	return nil, p.unexpected("eq, ne or in")
}

// name is a property's name or path.
func (p *filterParser) name() (string, error) {
	if p.token == "" || strings.IndexByte("(),:'", p.token[0]) >= 0 {
		return "", p.unexpected("a property's name")
	}
	name := p.token
	p.next()
	return name, nil
}

// value is a string literal, a GUID, a number, true, false or null.
func (p *filterParser) value() (string, error) {
	v := p.literal
	if p.token == "" || strings.IndexByte("(),:", p.token[0]) >= 0 || p.token == "'" {
		return "", p.unexpected("a value")
	}
	if p.token[0] != '\'' {
		v = p.token
	}
	p.next()
	return v, nil
}

// startsWith is startswith(property,'text').
func (p *filterParser) startsWith() (filter, error) {
	p.next()
	if err := p.take("("); err != nil {
		return nil, err
	}
	property, err := p.name()
	if err == nil {
		err = p.take(",")
	}
	var value string
	if err == nil {
		value, err = p.value()
	}
	if err == nil {
		err = p.take(")")
	}
	return prefix{property, value}, err
}

// in is property in ('a','b').
func (p *filterParser) in(property string) (filter, error) {
	p.next()
	if err := p.take("("); err != nil {
		return nil, err
	}
	c := comparison{property: property}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		c.values = append(c.values, v)
		if !p.is(",") {
			return c, p.take(")")
		}
		p.next()
	}
}

// any is property/any(x:x eq 'text') or property/any(x:startswith(x,'text')).
func (p *filterParser) any(property string) (filter, error) {
	collection, lambda, _ := cutLast(property)
	if !strings.EqualFold(lambda, "any") {
		return nil, p.unexpected("eq, ne or in")
	}
	p.next()
	variable, err := p.name()
	if err == nil {
		err = p.take(":")
	}
	if err != nil {
		return nil, err
	}
	inner, err := p.term()
	if err == nil {
		err = p.take(")")
	}
	if err != nil {
		return nil, err
	}
	switch f := inner.(type) {
	case comparison:
		if strings.EqualFold(f.property, variable) {
			return comparison{collection, f.values}, nil
		}
	case prefix:
		if strings.EqualFold(f.property, variable) {
			return prefix{collection, f.value}, nil
		}
	}
	return nil, fault.New(fault.Invalid, "Invalid filter clause: any() over %s compares something else than %s.", collection, variable)
}

// cutLast cuts at the last slash.
func cutLast(path string) (before, last string, found bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
