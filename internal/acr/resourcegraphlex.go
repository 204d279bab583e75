package acr

import (
	"strings"
	"unicode/utf8"

	"github.com/acre-registry/acre/internal/fault"
)

// graphToken is a word, a number, a text or a sign of a query.
type graphToken struct {
	kind graphTokenKind
	text string // of a text: what it says
	at   int    // where it begins, in bytes
}

type graphTokenKind int

const (
	graphEnd graphTokenKind = iota
	graphWord
	graphNumber // with a unit of time, if it has one
	graphText
	graphSign
)

// graphSigns are those of two characters; all others have one.
var graphSigns = []string{"==", "!=", "=~", "!~", "<=", ">=", "<>"}

// graphLexer cuts a query up.
type graphLexer struct {
	query string
	at    int
}

// wrong is what is said of a mistake: where it stands, and what was expected.
func (l *graphLexer) wrong(at int, format string, args ...any) error {
	before := l.query[:min(at, len(l.query))]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fault.New(badQuery, "The query is not valid, line %d, column %d: %w", line, column, fault.New(badQuery, format, args...))
}

// tokens cuts all of it; the last is graphEnd.
func (l *graphLexer) tokens() ([]graphToken, error) {
	var out []graphToken
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		if out = append(out, t); t.kind == graphEnd {
			return out, nil
		}
	}
}

func (l *graphLexer) space() {
	for l.at < len(l.query) {
		rest := l.query[l.at:]
		switch {
		case strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				l.at += end
			} else {
				l.at = len(l.query)
			}
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			l.at++
		default:
			return
		}
	}
}

func (l *graphLexer) next() (graphToken, error) {
	l.space()
	at, rest := l.at, l.query[l.at:]
	if rest == "" {
		return graphToken{graphEnd, "", at}, nil
	}
	cut := func(kind graphTokenKind, n int) (graphToken, error) {
		l.at += n
		return graphToken{kind, rest[:n], at}, nil
	}
	switch c := rest[0]; {
	case wordByte(c) && !digit(c):
		n := wordEnd(rest)
		if rest[:n] == "in" && strings.HasPrefix(rest[n:], "~") {
			n++
		}
		return cut(graphWord, n)
	case digit(c):
		n := wordEnd(rest)
		if n+1 < len(rest) && rest[n] == '.' && digit(rest[n+1]) {
			n += 1 + wordEnd(rest[n+1:])
		}
		return cut(graphNumber, n)
	case c == '\'' || c == '"':
		return l.quoted(1, false)
	case c == '@' && len(rest) > 1 && (rest[1] == '\'' || rest[1] == '"'):
		return l.quoted(2, true)
	case c == '!' && len(rest) > 1 && wordByte(rest[1]):
		n := 1 + wordEnd(rest[1:])
		if rest[:n] == "!in" && strings.HasPrefix(rest[n:], "~") {
			n++
		}
		return cut(graphWord, n)
	}
	for _, sign := range graphSigns {
		if strings.HasPrefix(rest, sign) {
			return cut(graphSign, 2)
		}
	}
	_, n := utf8.DecodeRuneInString(rest)
	return cut(graphSign, n)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func wordByte(c byte) bool {
	return digit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
}

func wordEnd(s string) int {
	n := 0
	for n < len(s) && wordByte(s[n]) {
		n++
	}
	return n
}

// quoted reads a text whose quote is the last of the next n bytes; in a verbatim one nothing but a doubled quote is escaped.
func (l *graphLexer) quoted(n int, verbatim bool) (graphToken, error) {
	at := l.at
	quote := l.query[at+n-1]
	var b strings.Builder
	for i := at + n; i < len(l.query); i++ {
		switch c := l.query[i]; {
		case c == quote && verbatim && i+1 < len(l.query) && l.query[i+1] == quote:
			b.WriteByte(c)
			i++
		case c == quote:
			l.at = i + 1
			return graphToken{graphText, b.String(), at}, nil
		case c == '\\' && !verbatim && i+1 < len(l.query):
			i++
			escaped := strings.IndexByte(`nrt\'"`, l.query[i])
			if escaped < 0 {
				return graphToken{}, l.wrong(i, "\\%c is no escape in a text: write \\\\ for a backslash, or @ before the quote", l.query[i])
			}
			b.WriteByte("\n\r\t\\'\""[escaped])
		default:
			b.WriteByte(c)
		}
	}
	return graphToken{}, l.wrong(at, "the text that begins here has no end: close it with %c", quote)
}
