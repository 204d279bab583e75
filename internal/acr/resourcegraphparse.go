package acr

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graphParser reads a query.
type graphParser struct {
	lex    *graphLexer
	tokens []graphToken
	at     int
	depth  int
	now    time.Time
	q      *GraphQuery

	only         []string // what the condition being read says of type, where it is joined by and alone
	opened, shut int      // the brackets that were closed last
}

// ParseGraphQuery reads a query, whose now() is a time. Errors: InvalidQuery, which says where.
func ParseGraphQuery(query string, now time.Time) (*GraphQuery, error) {
	lex := &graphLexer{query: query}
	if len(query) > maxGraphQuery {
		return nil, lex.wrong(maxGraphQuery, "it goes on here, and has %d bytes: %d are allowed", len(query), maxGraphQuery)
	}
	tokens, err := lex.tokens()
	if err != nil {
		return nil, err
	}
	p := &graphParser{lex: lex, tokens: tokens, now: now, q: &GraphQuery{}}
	return p.q, p.parse()
}

func (p *graphParser) peek() graphToken { return p.tokens[p.at] }

// take reads a sign or a word, if it is next.
func (p *graphParser) take(text string) bool {
	t := p.peek()
	if t.text != text || t.kind != graphSign && t.kind != graphWord {
		return false
	}
	p.at++
	return true
}

func (p *graphParser) want(text, where string) error {
	if p.take(text) {
		return nil
	}
	return p.unexpected("%q is expected %s", text, where)
}

// unexpected says what stands where something else should.
func (p *graphParser) unexpected(format string, args ...any) error {
	t := p.peek()
	found := "'" + clip(t.text, 40) + "'"
	if t.kind == graphEnd {
		found = "the query's end"
	}
	return p.lex.wrong(t.at, format+", not "+found, args...)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func (p *graphParser) parse() error {
	p.q.Table = ResourcesTable
	t := p.peek()
	bare := t.kind == graphWord && graphVerbs[t.text] != nil // where a query begins with an operator it reads resources
	if !bare {
		known := false
		for table := range GraphColumns {
			if t.kind == graphWord && strings.EqualFold(string(table), t.text) {
				p.q.Table, known = table, true
			}
		}
		if !known {
			return p.unexpected("a table is expected: %s, %s, %s or %s", ResourcesTable, ContainersTable, RepositoriesTable, ImagesTable)
		}
		p.at++
	}
	p.q.Columns = slices.Clone(GraphColumns[p.q.Table])
	for p.peek().kind != graphEnd {
		if !bare {
			if err := p.want("|", "between operators"); err != nil {
				return err
			}
		}
		bare = false
		if err := p.step(); err != nil {
			return err
		}
	}
	return nil
}

// step reads an operator.
func (p *graphParser) step() error {
	if len(p.q.steps) == maxGraphDepth {
		return p.unexpected("at most %d operators are allowed", maxGraphDepth)
	}
	begin := p.at
	parse := graphVerbs[p.verb()]
	if parse == nil {
		p.at = begin
		return p.unexpected("an operator is expected: %s", strings.Join(slices.Sorted(maps.Keys(graphVerbs)), ", "))
	}
	step, err := parse(p)
	p.q.steps = append(p.q.steps, step)
	return err
}

// verb reads an operator's name, which may hold a dash.
func (p *graphParser) verb() string {
	t := p.peek()
	if t.kind != graphWord {
		return ""
	}
	p.at++
	name := t.text
	for p.peek().text == "-" && p.peek().at == t.at+len(name) && p.tokens[p.at+1].kind == graphWord && p.tokens[p.at+1].at == t.at+len(name)+1 {
		name += "-" + p.tokens[p.at+1].text
		p.at += 2
	}
	return name
}

// enter counts how deep brackets lie in one another.
func (p *graphParser) enter() error {
	if p.depth++; p.depth > maxGraphDepth {
		return p.lex.wrong(p.peek().at, "brackets and operators lie more than %d deep in one another", maxGraphDepth)
	}
	return nil
}

func (p *graphParser) expression() (graphValue, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	first, err := p.conjunction()
	if err != nil || p.peek().text != "or" {
		return first, err
	}
	p.only = nil
	either := []graphValue{first}
	for p.take("or") {
		next, err := p.conjunction()
		if err != nil {
			return nil, err
		}
		either = append(either, next)
	}
	p.only = nil
	return func(r GraphRow) any {
		return slices.ContainsFunc(either, func(v graphValue) bool { return truth(v(r)) })
	}, nil
}

func (p *graphParser) conjunction() (graphValue, error) {
	first, err := p.comparison()
	if err != nil || p.peek().text != "and" {
		return first, err
	}
	all := []graphValue{first}
	for p.take("and") {
		next, err := p.comparison()
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	return func(r GraphRow) any {
		return !slices.ContainsFunc(all, func(v graphValue) bool { return !truth(v(r)) })
	}, nil
}

func (p *graphParser) comparison() (graphValue, error) {
	begin, only := p.at, p.only
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	operator := p.peek()
	if p.opened != begin || p.shut != p.at || graphOperators[operator.text] != nil || strings.Contains(operator.text, "in") {
		p.only = only // what was said of type was not all of the condition
	}
	if operator.kind != graphSign && operator.kind != graphWord {
		return left, nil
	}
	switch operator.text {
	case "in", "in~", "!in", "!in~":
		return p.membership(begin, left)
	}
	compare := graphOperators[operator.text]
	if compare == nil {
		if operator.kind == graphWord && operator.text != "and" && operator.text != "or" && !graphClause[operator.text] {
			return nil, p.unexpected("an operator is expected: ==, !=, =~, !~, <, <=, >, >=, contains, startswith, endswith, has, in, and, or")
		}
		return left, nil
	}
	p.at++
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	if value := p.constant(); (operator.text == "==" || operator.text == "=~") && p.tokens[begin].text == "type" && p.at == begin+3 && value != "" {
		p.only = append(p.only, strings.ToLower(value))
	}
	return func(r GraphRow) any { return compare(left(r), right(r)) }, nil
}

// graphClause are words that may follow an expression.
var graphClause = map[string]bool{"by": true, "asc": true, "desc": true, "nulls": true}

// constant is the text that was read last, if it was one.
func (p *graphParser) constant() string {
	if t := p.tokens[p.at-1]; t.kind == graphText {
		return t.text
	}
	return ""
}

// membership reads in (…) and its like.
func (p *graphParser) membership(begin int, left graphValue) (graphValue, error) {
	operator := p.peek().text
	p.at++
	if err := p.want("(", "behind "+operator); err != nil {
		return nil, err
	}
	from := p.at
	list, err := p.list()
	if err != nil {
		return nil, err
	}
	same := equalGraph
	if strings.HasSuffix(operator, "~") {
		same = onTexts(strings.EqualFold)
	}
	negated := strings.HasPrefix(operator, "!")
	if !negated && p.tokens[begin].text == "type" && from == begin+3 {
		for i := from; i < p.at; i += 2 {
			if p.tokens[i].kind == graphText {
				p.only = append(p.only, strings.ToLower(p.tokens[i].text))
			} else {
				p.only = nil
				break
			}
		}
	}
	return func(r GraphRow) any {
		v := left(r)
		return negated != slices.ContainsFunc(list, func(one graphValue) bool { return same(v, one(r)) })
	}, nil
}

// list reads expressions up to a closing bracket.
func (p *graphParser) list() (out []graphValue, err error) {
	for !p.take(")") {
		if len(out) > 0 {
			if err := p.want(",", "or ) behind a value"); err != nil {
				return nil, err
			}
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (p *graphParser) sum() (graphValue, error) { return p.chain(p.product, "+", "-") }

func (p *graphParser) product() (graphValue, error) { return p.chain(p.unary, "*", "/", "%") }

// chain reads operands between signs, from left to right.
func (p *graphParser) chain(operand func() (graphValue, error), signs ...string) (graphValue, error) {
	left, err := operand()
	for n := 0; err == nil; n++ {
		sign := p.peek().text
		if p.peek().kind != graphSign || !slices.Contains(signs, sign) {
			break
		}
		if n == maxGraphDepth {
			return nil, p.unexpected("at most %d operands in a row", maxGraphDepth)
		}
		p.at++
		var right graphValue
		a := left
		right, err = operand()
		left = func(r GraphRow) any { return graphCalculate(sign, a(r), right(r)) }
	}
	return left, err
}

func (p *graphParser) unary() (graphValue, error) {
	if !p.take("-") {
		return p.primary()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	of, err := p.unary()
	return func(r GraphRow) any { return graphCalculate("-", 0.0, of(r)) }, err
}

func (p *graphParser) primary() (graphValue, error) {
	t := p.peek()
	switch {
	case t.kind == graphText:
		p.at++
		return func(GraphRow) any { return t.text }, nil
	case t.kind == graphNumber:
		v, ok := graphLiteral(t.text)
		if !ok {
			return nil, p.unexpected("a number such as 7 or 1.5 is expected, or a span of time such as 7d, 12h, 30m or 10s")
		}
		p.at++
		return func(GraphRow) any { return v }, nil
	case p.take("("):
		begin := p.at - 1
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		err = p.want(")", "behind what is in brackets")
		p.opened, p.shut = begin, p.at
		return v, err
	case t.kind == graphWord && !strings.HasPrefix(t.text, "!"):
		p.at++
		switch t.text {
		case "true", "false":
			return func(GraphRow) any { return t.text == "true" }, nil
		case "null":
			return func(GraphRow) any { return nil }, nil
		}
		if p.peek().text == "(" && p.peek().kind == graphSign {
			return p.call(t)
		}
		return p.path(t)
	}
	return nil, p.unexpected("a column, a value or a function is expected")
}

// graphLiteral reads a number, or a span of time.
func graphLiteral(text string) (any, bool) {
	if n, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "xXpP_nNiI") {
		return n, true
	}
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseFloat(digits, 64)
	unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond}[text[len(digits):]]
	if err != nil || unit == 0 || n*float64(unit) > 1e18 {
		return nil, false
	}
	return time.Duration(n * float64(unit)), true
}

// path reads what follows a column: .member, ['member'] or [0].
func (p *graphParser) path(first graphToken) (graphValue, error) {
	v := func(r GraphRow) any { return graphMember(r, first.text) }
	for n := 0; ; n++ {
		if n == maxGraphDepth {
			return nil, p.unexpected("at most %d members in one another", maxGraphDepth)
		}
		of := v
		switch {
		case p.take("."):
			t := p.peek()
			if t.kind != graphWord {
				return nil, p.unexpected("a member's name is expected behind the dot")
			}
			p.at++
			v = func(r GraphRow) any { return graphMember(of(r), t.text) }
		case p.take("["):
			t := p.peek()
			i, err := strconv.Atoi(t.text)
			if t.kind != graphText && (t.kind != graphNumber || err != nil) {
				return nil, p.unexpected("a text or a whole number is expected in [ ]")
			}
			p.at++
			if err := p.want("]", "behind a member"); err != nil {
				return nil, err
			}
			v = func(r GraphRow) any {
				if t.kind == graphText {
					return graphMember(of(r), t.text)
				}
				if list, ok := of(r).([]any); ok && i < len(list) {
					return list[i]
				}
				return nil
			}
		default:
			return v, nil
		}
	}
}

// call reads a function's values.
func (p *graphParser) call(name graphToken) (graphValue, error) {
	if name.text == "datetime" {
		return p.datetime()
	}
	p.at++ // the bracket
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	only := p.only
	values, err := p.list()
	p.only = only
	if err != nil {
		return nil, err
	}
	f, ok := graphFunctions[name.text]
	now := p.now
	switch name.text {
	case "now":
		f, ok = graphFunction{0, 0, func([]any) any { return now }}, true
	case "ago":
		f, ok = graphFunction{1, 1, func(v []any) any { return graphCalculate("-", now, v[0]) }}, true
	}
	if !ok {
		return nil, p.lex.wrong(name.at, "the function %s is not known here: use now, ago, datetime, %s", clip(name.text, 40), strings.Join(slices.Sorted(maps.Keys(graphFunctions)), ", "))
	}
	if len(values) < f.least || len(values) > f.most {
		return nil, p.lex.wrong(name.at, "%s takes %d to %d values, not %d", name.text, f.least, f.most, len(values))
	}
	return func(r GraphRow) any {
		in := make([]any, len(values))
		for i, v := range values {
			in[i] = v(r)
		}
		return f.of(in)
	}, nil
}

// datetime reads datetime(2026-03-01), whose brackets hold no expression.
func (p *graphParser) datetime() (graphValue, error) {
	from := p.peek().at + 1
	for p.peek().text != ")" {
		if p.peek().kind == graphEnd {
			return nil, p.unexpected("%q is expected behind a time", ")")
		}
		p.at++
	}
	text := strings.Trim(p.lex.query[from:p.peek().at], " '\"")
	p.at++
	t, ok := graphTime(text)
	if !ok {
		return nil, p.lex.wrong(from, "%q is no time: write datetime(2026-03-01) or datetime(2026-03-01T12:00:00Z)", clip(text, 60))
	}
	return func(GraphRow) any { return t }, nil
}
