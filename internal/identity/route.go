package identity

import (
	"net/http"
	"strings"
)

// family is how a path's errors look.
type family int

const (
	oauth   family = iota // AADSTS answers
	managed               // those of the metadata endpoints
	graph                 // OData answers
	page                  // HTML
)

// operation is what a method does to a path.
type operation struct {
	name string // for metrics and the access line
	do   func(*Face, *call) error
}

// route is a path with its operations. Words of the pattern compare without regard to case; those in braces stand for
// any one segment, {t} for a tenant's.
type route struct {
	pattern []string
	family  family
	methods map[string]operation
}

func at(f family, pattern string, methods map[string]operation) route {
	return route{strings.Split(pattern, "/"), f, methods}
}

func get(name string, do func(*Face, *call) error) map[string]operation {
	return map[string]operation{http.MethodGet: {name, do}}
}

func post(name string, do func(*Face, *call) error) map[string]operation {
	return map[string]operation{http.MethodPost: {name, do}}
}

// match finds the segments that stand for the words in braces; ok is false where the path is another.
func (r *route) match(segments []string) (words []string, ok bool) {
	if len(segments) != len(r.pattern) {
		return nil, false
	}
	for i, word := range r.pattern {
		switch {
		case word[0] != '{':
			if !strings.EqualFold(word, segments[i]) {
				return nil, false
			}
		case word == "{t}" && reserved[strings.ToLower(segments[i])]:
			return nil, false
		default:
			words = append(words, segments[i])
		}
	}
	return words, true
}

// reserved are first segments that other faces own: no tenant is called that.
var reserved = map[string]bool{
	"v2": true, "acr": true, "oauth2": true, "subscriptions": true, "providers": true, "tenants": true, "metadata": true,
	"portal": true, "v1.0": true, "beta": true,
}

// split cuts a path into segments. Doubled slashes count as one; users('x') is users/x, as OData has it, and
// users(name='x') users/name='x'; beta is v1.0.
func split(path string) []string {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(segments) < 2 || !isGraph(segments[0]) {
		return segments
	}
	segments[0] = "v1.0"
	out := segments[:1:1]
	for _, s := range segments[1:] {
		set, rest, found := strings.Cut(s, "(")
		key, closed := strings.CutSuffix(rest, ")")
		if !found || !closed || key == "" {
			out = append(out, s)
			continue
		}
		if len(key) > 1 && key[0] == '\'' && key[len(key)-1] == '\'' {
			key = strings.ReplaceAll(key[1:len(key)-1], "''", "'")
		}
		out = append(out, set, key)
	}
	return out
}

func isGraph(first string) bool {
	return strings.EqualFold(first, "v1.0") || strings.EqualFold(first, "beta")
}

// find is the route of a path, with its words; nil where there is none.
func (f *Face) find(path string) (r *route, words []string) {
	segments := split(path)
	for i := range f.routes {
		if words, ok := f.routes[i].match(segments); ok {
			return &f.routes[i], words
		}
	}
	return nil, nil
}

// Owns tells whether a path is this face's on every host: product paths such as /{tenant}/oauth2/v2.0/token,
// /devicelogin, /metadata/identity/… and /v1.0/…. Paths of the registries and of the management API never are. It costs
// them a few nanoseconds.
func (f *Face) Owns(path string) bool {
	for _, theirs := range [...]string{"/v2/", "/acr/", "/oauth2/"} {
		if strings.HasPrefix(path, theirs) {
			return false
		}
	}
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(segments) > 1 && isGraph(segments[0]) {
		return true
	}
	r, _ := f.find(path)
	return r != nil
}
