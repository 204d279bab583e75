package acr

import (
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

// graphVerbs read what follows the name of an operator.
var graphVerbs = map[string]func(p *graphParser) (graphStep, error){
	"where": (*graphParser).where, "filter": (*graphParser).where,
	"extend": (*graphParser).extend, "project": (*graphParser).project, "project-away": (*graphParser).projectAway,
	"summarize": (*graphParser).summarize, "distinct": (*graphParser).distinct, "count": (*graphParser).count,
	"order": (*graphParser).order, "sort": (*graphParser).order, "top": (*graphParser).top,
	"take": (*graphParser).limit, "limit": (*graphParser).limit,
}

func (p *graphParser) where() (graphStep, error) {
	p.only = nil
	v, err := p.expression()
	if p.q.Types == nil && !p.q.shaped {
		p.q.Types = p.only
	}
	return func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] {
		return func(yield func(GraphRow, error) bool) {
			for row, err := range in {
				if (err != nil || truth(v(row))) && !yield(row, err) {
					return
				}
			}
		}
	}, err
}

// graphNamed is a column of a result.
type graphNamed struct {
	name string
	of   graphValue
}

// columns reads NAME = VALUE, or VALUE, which has the name of the column that it is.
func (p *graphParser) columns() (out []graphNamed, err error) {
	for {
		c := graphNamed{}
		if p.peek().kind == graphWord && p.tokens[p.at+1].text == "=" && p.tokens[p.at+1].kind == graphSign {
			c.name = p.peek().text
			p.at += 2
		}
		begin := p.at
		if c.of, err = p.expression(); err != nil {
			return nil, err
		}
		if c.name == "" {
			c.name = p.named(begin, len(out)+1)
		}
		if out = append(out, c); !p.take(",") {
			return out, nil
		}
	}
}

// named is the name of a value that was given none: that of its column, with those of its members behind low dashes.
func (p *graphParser) named(begin, n int) string {
	var parts []string
	for _, t := range p.tokens[begin:p.at] {
		switch {
		case t.kind == graphWord, t.kind == graphText && len(parts) > 0, t.kind == graphNumber && len(parts) > 0:
			parts = append(parts, t.text)
		case t.text != "." && t.text != "[" && t.text != "]":
			return "Column" + strconv.Itoa(n)
		}
	}
	if len(parts) == 0 {
		return "Column" + strconv.Itoa(n)
	}
	return strings.Join(parts, "_")
}

// shape says which columns there are from here on.
func (p *graphParser) shape(columns []string) {
	p.q.Columns, p.q.shaped = columns, true
}

func names(list []graphNamed) []string {
	var out []string
	for _, c := range list {
		if !slices.Contains(out, c.name) {
			out = append(out, c.name)
		}
	}
	return out
}

// everyRow makes a row of every row.
func everyRow(fn func(GraphRow) GraphRow) graphStep {
	return func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] {
		return func(yield func(GraphRow, error) bool) {
			for row, err := range in {
				if err == nil {
					row = fn(row)
				}
				if !yield(row, err) {
					return
				}
			}
		}
	}
}

func (p *graphParser) extend() (graphStep, error) {
	list, err := p.columns()
	columns := slices.Clone(p.q.Columns)
	for _, name := range names(list) {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	p.shape(columns)
	return everyRow(func(row GraphRow) GraphRow {
		out := make(GraphRow, len(row)+len(list))
		for k, v := range row {
			out[k] = v
		}
		for _, c := range list {
			out[c.name] = c.of(out)
		}
		return out
	}), err
}

func (p *graphParser) project() (graphStep, error) {
	list, err := p.columns()
	p.shape(names(list))
	return everyRow(func(row GraphRow) GraphRow {
		out := make(GraphRow, len(list))
		for _, c := range list {
			out[c.name] = c.of(row)
		}
		return out
	}), err
}

func (p *graphParser) projectAway() (graphStep, error) {
	var away []string
	for {
		t := p.peek()
		if t.kind != graphWord {
			return nil, p.unexpected("a column is expected")
		}
		p.at++
		if away = append(away, t.text); !p.take(",") {
			break
		}
	}
	p.shape(slices.DeleteFunc(slices.Clone(p.q.Columns), func(c string) bool { return slices.Contains(away, c) }))
	columns := p.q.Columns
	return everyRow(func(row GraphRow) GraphRow {
		out := make(GraphRow, len(columns))
		for _, c := range columns {
			out[c] = row[c]
		}
		return out
	}), nil
}

// number reads how many rows are meant.
func (p *graphParser) number() (int, error) {
	t := p.peek()
	n, err := strconv.Atoi(t.text)
	if t.kind != graphNumber || err != nil {
		return 0, p.unexpected("a whole number of rows is expected")
	}
	p.at++
	return n, nil
}

func (p *graphParser) limit() (graphStep, error) {
	n, err := p.number()
	return taking(n), err
}

func taking(n int) graphStep {
	return func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] {
		return func(yield func(GraphRow, error) bool) {
			left := n
			if left == 0 {
				return
			}
			for row, err := range in {
				left--
				if !yield(row, err) || left == 0 {
					return
				}
			}
		}
	}
}

// graphOrder is what rows are sorted by.
type graphOrder struct {
	of        graphValue
	ascending bool
	nullsLast bool
}

func (p *graphParser) order() (graphStep, error) {
	if err := p.want("by", "behind order"); err != nil {
		return nil, err
	}
	list, err := p.orders()
	return sorting(list), err
}

// orders reads VALUE [asc|desc] [nulls first|last]; without a word it is desc. Nothing comes last where the order is descending.
func (p *graphParser) orders() (out []graphOrder, err error) {
	for {
		o := graphOrder{}
		if o.of, err = p.expression(); err != nil {
			return nil, err
		}
		if o.ascending = p.take("asc"); !o.ascending {
			p.take("desc")
		}
		o.nullsLast = !o.ascending
		if p.take("nulls") {
			switch {
			case p.take("first"):
				o.nullsLast = false
			case p.take("last"):
				o.nullsLast = true
			default:
				return nil, p.unexpected("first or last is expected behind nulls")
			}
		}
		if out = append(out, o); !p.take(",") {
			return out, nil
		}
	}
}

func (o graphOrder) compare(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil || b == nil:
		if (a == nil) == o.nullsLast {
			return 1
		}
		return -1
	case o.ascending:
		return graphSorted(a, b)
	}
	return -graphSorted(a, b)
}

func sorting(by []graphOrder) graphStep {
	return func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] {
		rows, err := held(in)
		if err != nil {
			return failing(err)
		}
		type keyed struct {
			row  GraphRow
			keys []any
		}
		list := make([]keyed, len(rows))
		for i, row := range rows {
			list[i] = keyed{row, make([]any, len(by))}
			for j, o := range by {
				list[i].keys[j] = o.of(row)
			}
		}
		slices.SortStableFunc(list, func(a, b keyed) int {
			for j, o := range by {
				if order := o.compare(a.keys[j], b.keys[j]); order != 0 {
					return order
				}
			}
			return 0
		})
		return func(yield func(GraphRow, error) bool) {
			for _, k := range list {
				if !yield(k.row, nil) {
					return
				}
			}
		}
	}
}

func (p *graphParser) top() (graphStep, error) {
	n, err := p.number()
	if err == nil {
		err = p.want("by", "behind a number of rows")
	}
	if err != nil {
		return nil, err
	}
	by, err := p.orders()
	return func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] { return taking(n)(sorting(by)(in)) }, err
}

func (p *graphParser) count() (graphStep, error) {
	p.shape([]string{"Count"})
	return grouping(nil, []graphAggregate{{"Count", "count", nil}}), nil
}

func (p *graphParser) distinct() (graphStep, error) {
	by, err := p.columns()
	p.shape(names(by))
	return grouping(by, nil), err
}

// graphAggregate is a number of a group of rows.
type graphAggregate struct {
	name, of string
	value    graphValue // nil: it counts rows
}

func (p *graphParser) summarize() (graphStep, error) {
	var list []graphAggregate
	for p.peek().text != "by" {
		a, err := p.aggregate()
		if err != nil {
			return nil, err
		}
		if list = append(list, a); !p.take(",") {
			break
		}
	}
	var by []graphNamed
	if p.take("by") {
		var err error
		if by, err = p.columns(); err != nil {
			return nil, err
		}
	}
	if len(list)+len(by) == 0 {
		return nil, p.unexpected("count(), sum(…), min(…), max(…), avg(…), dcount(…) or countif(…) is expected")
	}
	columns := names(by)
	for _, a := range list {
		columns = append(columns, a.name)
	}
	p.shape(columns)
	return grouping(by, list), nil
}

func (p *graphParser) aggregate() (a graphAggregate, err error) {
	if p.peek().kind == graphWord && p.tokens[p.at+1].text == "=" && p.tokens[p.at+1].kind == graphSign {
		a.name = p.peek().text
		p.at += 2
	}
	t := p.peek()
	switch t.text {
	case "count", "sum", "min", "max", "avg", "dcount", "countif":
	default:
		return a, p.unexpected("count(), sum(…), min(…), max(…), avg(…), dcount(…) or countif(…) is expected")
	}
	p.at++
	if a.of = t.text; a.name == "" {
		a.name = a.of + "_"
	}
	if err := p.want("(", "behind "+a.of); err != nil {
		return a, err
	}
	if a.of != "count" {
		begin := p.at
		if a.value, err = p.expression(); err != nil {
			return a, err
		}
		if strings.HasSuffix(a.name, "_") && a.of != "countif" {
			a.name += strings.TrimPrefix(p.named(begin, 0), "Column0")
		}
	}
	return a, p.want(")", "behind "+a.of+"(…")
}

// graphGroup is a group of rows, so far.
type graphGroup struct {
	row    GraphRow // what they are grouped by
	counts []graphCount
}

type graphCount struct {
	n, sum float64
	edge   any // the least or the greatest
	seen   map[string]bool
}

// grouping makes a row of each group; without rows there is one nevertheless where nothing is grouped by.
func grouping(by []graphNamed, aggregates []graphAggregate) graphStep {
	return func(in iter.Seq2[GraphRow, error]) iter.Seq2[GraphRow, error] {
		groups, order := map[string]*graphGroup{}, []*graphGroup{}
		begin := func(key string, row GraphRow) *graphGroup {
			g := &graphGroup{row, make([]graphCount, len(aggregates))}
			groups[key], order = g, append(order, g)
			return g
		}
		if len(by) == 0 {
			begin("null", GraphRow{})
		}
		kept := 0
		for row, err := range in {
			if err != nil {
				return failing(err)
			}
			key, at := groupOf(by, row)
			g := groups[key]
			if g == nil {
				if kept++; kept > maxGraphHeld {
					return failing(tooManyHeld())
				}
				g = begin(key, at)
			}
			for i, a := range aggregates {
				if kept += g.counts[i].add(a, row); kept > maxGraphHeld {
					return failing(tooManyHeld())
				}
			}
		}
		return func(yield func(GraphRow, error) bool) {
			for _, g := range order {
				for i, a := range aggregates {
					g.row[a.name] = g.counts[i].result(a.of)
				}
				if !yield(g.row, nil) {
					return
				}
			}
		}
	}
}

func groupOf(by []graphNamed, row GraphRow) (key string, at GraphRow) {
	at = make(GraphRow, len(by))
	values := make([]any, len(by))
	for i, c := range by {
		values[i] = c.of(row)
		at[c.name] = values[i]
	}
	if len(by) == 0 {
		return "null", at
	}
	text, _ := json.Marshal(values) // what is in rows came from JSON
	return string(text), at
}

// add counts a row, and tells how many values more are kept.
func (c *graphCount) add(a graphAggregate, row GraphRow) int {
	var v any
	if a.value != nil {
		v = a.value(row)
	}
	switch a.of {
	case "count":
		c.n++
	case "countif":
		if truth(v) {
			c.n++
		}
	case "dcount":
		if c.seen == nil {
			c.seen = map[string]bool{}
		}
		if key := graphString(v); !c.seen[key] {
			c.seen[key] = true
			return 1
		}
	case "min", "max":
		if v != nil && (c.edge == nil || (graphSorted(v, c.edge) < 0) == (a.of == "min")) {
			c.edge = v
		}
	default:
		if n, ok := graphNumberOf(v); ok {
			c.n, c.sum = c.n+1, c.sum+n
		}
	}
	return 0
}

func (c *graphCount) result(of string) any {
	switch of {
	case "count", "countif":
		return c.n
	case "dcount":
		return float64(len(c.seen))
	case "min", "max":
		return c.edge
	case "avg":
		if c.n == 0 {
			return nil
		}
		c.sum /= c.n
	}
	if math.IsInf(c.sum, 0) || math.IsNaN(c.sum) {
		return nil
	}
	return c.sum
}
