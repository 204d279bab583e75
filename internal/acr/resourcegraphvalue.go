package acr

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// graphValue works a value out of a row. It never fails: what has no value is nil.
type graphValue func(GraphRow) any

func truth(v any) bool { b, ok := v.(bool); return ok && b }

// graphString is a value as a text: nil is "".
func graphString(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.0000000Z")
	case time.Duration:
		return v.String()
	}
	text, err := json.Marshal(v)
	if err != nil || len(text) > maxGraphText {
		return ""
	}
	return string(text)
}

// graphNumberOf reads a number, also out of a text; ok is false where there is none.
func graphNumberOf(v any) (n float64, ok bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return 0, false
}

// graphTime reads a time, also out of a text.
func graphTime(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, true
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
			if t, err := time.Parse(layout, v); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// compareGraph orders two values; ok is false where they have no order. A text is read as what it is compared with.
func compareGraph(a, b any) (order int, ok bool) {
	if a == nil || b == nil {
		return 0, false
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), true
		}
	}
	if isTime(a) || isTime(b) {
		x, ok1 := graphTime(a)
		y, ok2 := graphTime(b)
		return x.Compare(y), ok1 && ok2
	}
	x, ok1 := a.(time.Duration)
	y, ok2 := b.(time.Duration)
	if ok1 || ok2 {
		return cmp.Compare(x, y), ok1 && ok2
	}
	m, ok1 := graphNumberOf(a)
	n, ok2 := graphNumberOf(b)
	return cmp.Compare(m, n), ok1 && ok2
}

func isTime(v any) bool { _, ok := v.(time.Time); return ok }

func equalGraph(a, b any) bool {
	order, ok := compareGraph(a, b)
	return ok && order == 0
}

// graphSorted orders values of a column: nothing is less than anything, and kinds that have no order go by their text.
func graphSorted(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	if order, ok := compareGraph(a, b); ok {
		return order
	}
	return strings.Compare(graphString(a), graphString(b))
}

// graphOperators compare two values. Texts compare without regard to case but where the name says so.
var graphOperators = map[string]func(a, b any) bool{
	"==":            equalGraph,
	"!=":            func(a, b any) bool { return !equalGraph(a, b) },
	"<>":            func(a, b any) bool { return !equalGraph(a, b) },
	"<":             func(a, b any) bool { order, ok := compareGraph(a, b); return ok && order < 0 },
	"<=":            func(a, b any) bool { order, ok := compareGraph(a, b); return ok && order <= 0 },
	">":             func(a, b any) bool { order, ok := compareGraph(a, b); return ok && order > 0 },
	">=":            func(a, b any) bool { order, ok := compareGraph(a, b); return ok && order >= 0 },
	"=~":            onTexts(strings.EqualFold),
	"!~":            not(onTexts(strings.EqualFold)),
	"contains":      folded(strings.Contains),
	"!contains":     not(folded(strings.Contains)),
	"contains_cs":   onTexts(strings.Contains),
	"startswith":    folded(strings.HasPrefix),
	"!startswith":   not(folded(strings.HasPrefix)),
	"startswith_cs": onTexts(strings.HasPrefix),
	"endswith":      folded(strings.HasSuffix),
	"!endswith":     not(folded(strings.HasSuffix)),
	"endswith_cs":   onTexts(strings.HasSuffix),
	"has":           folded(hasTerm),
	"!has":          not(folded(hasTerm)),
	"has_cs":        onTexts(hasTerm),
}

func not(f func(a, b any) bool) func(a, b any) bool {
	return func(a, b any) bool { return !f(a, b) }
}

func onTexts(f func(a, b string) bool) func(a, b any) bool {
	return func(a, b any) bool { return f(graphString(a), graphString(b)) }
}

func folded(f func(a, b string) bool) func(a, b any) bool {
	return func(a, b any) bool { return f(strings.ToLower(graphString(a)), strings.ToLower(graphString(b))) }
}

// hasTerm tells whether a text holds another with no letter or digit beside it.
func hasTerm(text, term string) bool {
	for from := 0; term != ""; {
		i := strings.Index(text[from:], term)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(term)
		if (i == 0 || !alphanumeric(text[i-1])) && (end == len(text) || !alphanumeric(text[end])) {
			return true
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		from = i + n
	}
	return true
}

// graphCalculate is arithmetic: of numbers, and of times and spans of time.
func graphCalculate(sign string, a, b any) any {
	if isTime(a) || isTime(b) {
		return calculateTimes(sign, a, b)
	}
	if _, text := a.(string); text {
		return nil
	}
	x, ok1 := graphNumberOf(a)
	y, ok2 := graphNumberOf(b)
	if !ok1 || !ok2 {
		return nil
	}
	out := 0.0
	switch sign {
	case "+":
		out = x + y
	case "-":
		out = x - y
	case "*":
		out = x * y
	case "/":
		out = x / y
	case "%":
		out = math.Mod(x, y)
	}
	if math.IsNaN(out) || math.IsInf(out, 0) {
		return nil
	}
	return out
}

func calculateTimes(sign string, a, b any) any {
	at, _ := graphTime(a)
	switch b := b.(type) {
	case time.Duration:
		if sign == "-" {
			b = -b
		}
		if isTime(a) && (sign == "+" || sign == "-") {
			return at.Add(b)
		}
	default:
		if until, ok := graphTime(b); ok && sign == "-" && !at.IsZero() {
			return at.Sub(until)
		}
	}
	return nil
}

// graphFunction is a function of the language: it takes at least and at most so many values.
type graphFunction struct {
	least, most int
	of          func(v []any) any
}

// graphFunctions are those that do not depend on the clock.
var graphFunctions = map[string]graphFunction{
	"tolower":  {1, 1, func(v []any) any { return strings.ToLower(graphString(v[0])) }},
	"toupper":  {1, 1, func(v []any) any { return strings.ToUpper(graphString(v[0])) }},
	"tostring": {1, 1, func(v []any) any { return graphString(v[0]) }},
	"toint":    {1, 1, graphWhole}, "tolong": {1, 1, graphWhole},
	"todouble": {1, 1, graphReal}, "toreal": {1, 1, graphReal},
	"tobool": {1, 1, graphBool}, "toboolean": {1, 1, graphBool},
	"todatetime": {1, 1, func(v []any) any {
		if t, ok := graphTime(v[0]); ok {
			return t
		}
		return nil
	}},
	"isnull":       {1, 1, func(v []any) any { return v[0] == nil }},
	"isnotnull":    {1, 1, func(v []any) any { return v[0] != nil }},
	"isempty":      {1, 1, func(v []any) any { return graphString(v[0]) == "" }},
	"isnotempty":   {1, 1, func(v []any) any { return graphString(v[0]) != "" }},
	"strlen":       {1, 1, func(v []any) any { return float64(utf8.RuneCountInString(graphString(v[0]))) }},
	"array_length": {1, 1, arrayLength},
	"strcat":       {1, 64, strcat},
	"coalesce": {1, 64, func(v []any) any {
		if i := slices.IndexFunc(v, func(v any) bool { return v != nil && v != "" }); i >= 0 {
			return v[i]
		}
		return nil
	}},
	"iff": {3, 3, graphIf}, "iif": {3, 3, graphIf},
	"not": {1, 1, func(v []any) any { return !truth(v[0]) }},
}

func graphIf(v []any) any {
	if truth(v[0]) {
		return v[1]
	}
	return v[2]
}

func graphReal(v []any) any {
	if n, ok := graphNumberOf(v[0]); ok {
		return n
	}
	return nil
}

func graphWhole(v []any) any {
	if n, ok := graphNumberOf(v[0]); ok {
		return math.Trunc(n)
	}
	return nil
}

func graphBool(v []any) any {
	switch v := v[0].(type) {
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(v)); err == nil {
			return b
		}
	}
	return nil
}

func arrayLength(v []any) any {
	if list, ok := v[0].([]any); ok {
		return float64(len(list))
	}
	return nil
}

func strcat(v []any) any {
	var b strings.Builder
	for _, one := range v {
		if b.WriteString(graphString(one)); b.Len() > maxGraphText {
			return nil
		}
	}
	return b.String()
}
