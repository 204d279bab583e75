package acr

import "strings"

// operator compares an attribute with a value.
type operator struct {
	test     test
	fold     bool // without regard to case
	negative bool
}

type test uint8

const (
	isEqual test = iota
	startsWith
	isLike
	inNetwork
	atTime
	after
	notBefore
	before
	notAfter
)

func (t test) ofText() bool { return t <= isLike }
func (t test) ofTime() bool { return t >= atTime }

// operators by name in lower case.
var operators = map[string]operator{
	"stringequals":                  {test: isEqual},
	"stringequalsignorecase":        {test: isEqual, fold: true},
	"stringnotequals":               {test: isEqual, negative: true},
	"stringnotequalsignorecase":     {test: isEqual, fold: true, negative: true},
	"stringstartswith":              {test: startsWith},
	"stringstartswithignorecase":    {test: startsWith, fold: true},
	"stringnotstartswith":           {test: startsWith, negative: true},
	"stringnotstartswithignorecase": {test: startsWith, fold: true, negative: true},
	"stringlike":                    {test: isLike},
	"stringlikeignorecase":          {test: isLike, fold: true},
	"stringnotlike":                 {test: isLike, negative: true},
	"stringnotlikeignorecase":       {test: isLike, fold: true, negative: true},
	"ipmatch":                       {test: inNetwork},
	"ipnotmatch":                    {test: inNetwork, negative: true},
	"datetimeequals":                {test: atTime},
	"datetimenotequals":             {test: atTime, negative: true},
	"datetimegreaterthan":           {test: after},
	"datetimegreaterthanequals":     {test: notBefore},
	"datetimelessthan":              {test: before},
	"datetimelessthanequals":        {test: notAfter},
}

// match compares texts; the negative operators are turned around by the caller.
func (o operator) match(s, value string) bool {
	switch o.test {
	case startsWith:
		if o.fold {
			return len(s) >= len(value) && strings.EqualFold(s[:len(value)], value)
		}
		return strings.HasPrefix(s, value)
	case isLike:
		return like(value, s, o.fold)
	}
	if o.fold {
		return strings.EqualFold(s, value)
	}
	return s == value
}

// order judges how the attribute's time compares with the value's.
func (o operator) order(cmp int) bool {
	switch o.test {
	case after:
		return cmp > 0
	case notBefore:
		return cmp >= 0
	case before:
		return cmp < 0
	case notAfter:
		return cmp <= 0
	}
	return cmp == 0
}

// like matches a pattern in which * stands for any run of characters, ? for one, and a backslash takes the meaning from
// what follows it.
func like(pattern, s string, fold bool) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		step, ok := likeOne(pattern, p, s[i], fold)
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case ok:
			p += step
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// likeOne holds one character against the pattern's at p, which takes step bytes.
func likeOne(pattern string, p int, c byte, fold bool) (step int, ok bool) {
	if p == len(pattern) {
		return 0, false
	}
	want, step := pattern[p], 1
	switch {
	case want == '?':
		return 1, true
	case want == '\\' && p+1 < len(pattern):
		want, step = pattern[p+1], 2
	}
	if fold {
		want, c = lower(want), lower(c)
	}
	return step, want == c
}
