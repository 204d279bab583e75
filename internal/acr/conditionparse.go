package acr

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/acre-registry/acre/internal/fault"
)

// Bounds of a condition. The first is the real service's.
const (
	maxCondition      = 8 << 10 // bytes
	maxConditionDepth = 50
)

// ParseCondition reads a condition:
//
//	condition  = condition ("OR" | "||") condition | condition ("AND" | "&&") condition | ("NOT" | "!") condition
//	           | "(" condition ")" | check
//	check      = "ActionMatches" "{" text {"," text} "}" | "SubOperationMatches" "{" text {"," text} "}"
//	           | "Exists" attribute | attribute operator (text | "{" text {"," text} "}")
//	attribute  = "@Request" "[" "Microsoft.ContainerRegistry/registries/repositories:" ("name" | "tag" | "digest") "]"
//	           | "@Environment" "[" ("UtcNow" | "Microsoft.ContainerRegistry/registries:sourceAddress") "]"
//	operator   = ["ForAnyOfAnyValues:" | "ForAllOfAnyValues:" | "ForAnyOfAllValues:" | "ForAllOfAllValues:"] name
//
// AND binds closer than OR, NOT closer than both. Words compare without regard to case; a text stands in single quotes,
// a quote in it is doubled. A set needs one of the four prefixes: an attribute here has one value, so only whether it is
// held against any or all of the set's matters. Operators are StringEquals, StringStartsWith and StringLike, each also with
// Not after String and with IgnoreCase behind; IpMatch and IpNotMatch with addresses and ranges; DateTimeEquals,
// DateTimeNotEquals, DateTimeGreaterThan, DateTimeLessThan, the last two also with Equals behind. Actions may hold *.
//
// What is not known here, such as another attribute, does not parse: it could never hold. Errors: Invalid, naming the
// position and what was expected.
func ParseCondition(text string) (*Condition, error) {
	p := &conditionParser{text: text}
	if len(text) > maxCondition {
		return nil, fault.New(fault.Invalid, "the condition has %d bytes: %d are allowed", len(text), maxCondition)
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.Invalid, "the condition is not valid UTF-8")
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(text) {
		return nil, p.expected("AND, OR or the end")
	}
	return &Condition{root}, nil
}

// conditionParser reads by recursive descent.
type conditionParser struct {
	text  string
	at    int
	depth int
}

func (p *conditionParser) expected(what string) error {
	found := "the end"
	if p.at < len(p.text) {
		rest := p.text[p.at:]
		if len(rest) > 24 {
			rest = rest[:24] + "…"
		}
		found = strconv.Quote(strings.ToValidUTF8(rest, ""))
	}
	return fault.New(fault.Invalid, "the condition does not parse at character %d: expected %s, found %s",
		utf8.RuneCountInString(p.text[:p.at])+1, what, found)
}

func (p *conditionParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// mark takes a mark if it is next.
func (p *conditionParser) mark(s string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// peek is the next word: letters, digits and what joins the parts of names.
func (p *conditionParser) peek(joins string) string {
	p.space()
	end := p.at
	for end < len(p.text) && (alphanumeric(p.text[end]) || strings.IndexByte(joins, p.text[end]) >= 0) {
		end++
	}
	return p.text[p.at:end]
}

func (p *conditionParser) word(s string) bool {
	if w := p.peek(""); !strings.EqualFold(w, s) {
		return false
	}
	p.at += len(s)
	return true
}

func (p *conditionParser) or() (*conditionNode, error) {
	return p.joined(orNode, p.and, func() bool { return p.mark("||") || p.word("OR") })
}

func (p *conditionParser) and() (*conditionNode, error) {
	return p.joined(andNode, p.not, func() bool { return p.mark("&&") || p.word("AND") })
}

func (p *conditionParser) joined(kind nodeKind, part func() (*conditionNode, error), more func() bool) (*conditionNode, error) {
	n, err := part()
	if err != nil || !more() {
		return n, err
	}
	kids := []*conditionNode{n}
	for {
		if n, err = part(); err != nil {
			return nil, err
		}
		if kids = append(kids, n); !more() {
			return &conditionNode{kind: kind, kids: kids}, nil
		}
	}
}

func (p *conditionParser) not() (*conditionNode, error) {
	if p.depth++; p.depth > maxConditionDepth {
		return nil, fault.New(fault.Invalid, "the condition is nested more than %d deep", maxConditionDepth)
	}
	defer func() { p.depth-- }()
	if p.mark("!") || p.word("NOT") {
		n, err := p.not()
		return &conditionNode{kind: notNode, kids: []*conditionNode{n}}, err
	}
	if p.mark("(") {
		n, err := p.or()
		if err == nil && !p.mark(")") {
			err = p.expected(") or AND or OR")
		}
		return n, err
	}
	return p.check()
}

func (p *conditionParser) check() (*conditionNode, error) {
	n := &conditionNode{}
	var err error
	switch {
	case p.word("ActionMatches"):
		n.kind = actionMatches
		n.list, err = p.set()
	case p.word("SubOperationMatches"):
		n.kind = subOperationMatches
		n.list, err = p.set()
	case p.word("Exists"):
		n.kind = exists
		n.attribute, err = p.attribute()
	default:
		n.kind = compares
		if n.attribute, err = p.attribute(); err == nil {
			err = p.compared(&n.comparison)
		}
	}
	return n, err
}

// attributes by source and name in lower case.
var attributes = map[string]attribute{
	"request[microsoft.containerregistry/registries/repositories:name]":   nameAttribute,
	"request[microsoft.containerregistry/registries/repositories:tag]":    tagAttribute,
	"request[microsoft.containerregistry/registries/repositories:digest]": digestAttribute,
	"environment[microsoft.containerregistry/registries:sourceaddress]":   sourceAttribute,
	"environment[sourceaddress]":                                          sourceAttribute,
	"environment[utcnow]":                                                 timeAttribute,
}

func (p *conditionParser) attribute() (attribute, error) {
	p.space()
	begin := p.at
	if !p.mark("@") {
		return 0, p.expected("(, NOT, ActionMatches{'…'}, Exists or an attribute such as @Request[Microsoft.ContainerRegistry/registries/repositories:name]")
	}
	source := p.peek("")
	p.at += len(source)
	if !p.mark("[") {
		return 0, p.expected("[ and an attribute's name")
	}
	name := p.peek("./:-_")
	p.at += len(name)
	if !p.mark("]") {
		return 0, p.expected("]")
	}
	a, ok := attributes[strings.ToLower(source+"["+name+"]")]
	if !ok {
		p.at = begin
		return 0, p.expected("@Request[Microsoft.ContainerRegistry/registries/repositories:name, :tag or :digest], " +
			"@Environment[Microsoft.ContainerRegistry/registries:sourceAddress] or @Environment[UtcNow]")
	}
	return a, nil
}

// compared reads the operator and the value or set.
func (p *conditionParser) compared(c *comparison) error {
	word := p.peek(":")
	prefix, name, isSet := strings.Cut(word, ":")
	if !isSet {
		prefix, name = "", word
	}
	switch strings.ToLower(prefix) {
	case "", "foranyofanyvalues", "forallofanyvalues":
	case "foranyofallvalues", "forallofallvalues":
		c.all = true
	default:
		return p.expected("ForAnyOfAnyValues: or its like before the operator")
	}
	var ok bool
	if c.operator, ok = operators[strings.ToLower(name)]; !ok {
		return p.expected("an operator such as StringEqualsIgnoreCase")
	}
	if want, ok := c.attribute.takes(c.operator.test); !ok {
		return p.expected(want)
	}
	p.at += len(word)
	p.space()
	if !isSet {
		begin := p.at
		s, err := p.quoted()
		if err != nil {
			return err
		}
		return p.value(c, s, begin)
	}
	return p.values(c)
}

// takes tells whether the attribute can be compared so, and how it can.
func (a attribute) takes(t test) (want string, ok bool) {
	switch a {
	case sourceAttribute:
		return "IpMatch or IpNotMatch", t == inNetwork
	case timeAttribute:
		return "an operator that begins with DateTime", t.ofTime()
	}
	return "an operator that begins with String", t.ofText()
}

func (p *conditionParser) values(c *comparison) error {
	if !strings.HasPrefix(p.text[p.at:], "{") {
		return p.expected("{ and a set of texts")
	}
	begin := p.at
	list, err := p.set()
	for _, s := range list {
		if err == nil {
			err = p.value(c, s, begin)
		}
	}
	return err
}

// value reads what an attribute is compared with; begin is where it stands.
func (p *conditionParser) value(c *comparison, s string, begin int) error {
	var err error
	switch {
	case c.attribute == sourceAttribute:
		var n netip.Prefix
		if n, err = parsePrefix(s); err == nil {
			c.nets = append(c.nets, n)
			return nil
		}
		p.at = begin
		return p.expected("an address or a range such as '10.0.0.0/8'")
	case c.attribute == timeAttribute:
		var t time.Time
		if t, err = time.Parse(time.RFC3339Nano, s); err == nil {
			c.times = append(c.times, t)
			return nil
		}
		p.at = begin
		return p.expected("a time such as '2026-05-01T13:00:00Z'")
	}
	c.text = append(c.text, s)
	return nil
}

// set reads texts in braces.
func (p *conditionParser) set() ([]string, error) {
	if !p.mark("{") {
		return nil, p.expected("{")
	}
	var out []string
	for {
		s, err := p.quoted()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		switch {
		case p.mark("}"):
			return out, nil
		case !p.mark(","):
			return nil, p.expected(", or }")
		}
	}
}

// quoted reads a text in single quotes.
func (p *conditionParser) quoted() (string, error) {
	if !p.mark("'") {
		return "", p.expected("a text in single quotes")
	}
	begin := p.at
	for p.at < len(p.text) {
		if p.text[p.at] != '\'' {
			p.at++
			continue
		}
		if p.at++; p.at == len(p.text) || p.text[p.at] != '\'' {
			return strings.ReplaceAll(p.text[begin:p.at-1], "''", "'"), nil
		}
		p.at++
	}
	p.at = begin - 1
	return "", p.expected("a single quote at the text's end")
}

// parsePrefix reads an address or a range in CIDR form. Errors: Invalid.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return netip.Prefix{}, fault.New(fault.Invalid, "%.60q is no address and no range such as 10.0.0.0/8 or 2001:db8::/32", s)
	}
	return n.Masked(), nil
}
