package controlplane

import (
	"slices"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// maxFilter bounds a $filter, in bytes.
const maxFilter = 4096

// term is one comparison of a filter: name eq 'value', or a call: atScope(), assignedTo('value').
type term struct{ name, value string }

// terms reads a filter: comparisons and calls joined by and. Errors: badFilter.
func terms(filter string) ([]term, error) {
	bad := fault.New(badFilter, "Invalid $filter '%.200s' specified in the query string: it looks like name eq 'value', joined by and.", filter)
	if len(filter) > maxFilter {
		return nil, bad
	}
	var out []term
	rest := strings.TrimSpace(filter)
	for rest != "" {
		t, after, ok := cutTerm(rest)
		if !ok {
			return nil, bad
		}
		out = append(out, t)
		rest = strings.TrimSpace(after)
		if rest == "" {
			return out, nil
		}
		word, after, _ := strings.Cut(rest, " ")
		if !strings.EqualFold(word, "and") || strings.TrimSpace(after) == "" {
			return nil, bad
		}
		rest = strings.TrimSpace(after)
	}
	return out, nil
}

func cutTerm(s string) (t term, rest string, ok bool) {
	end := strings.IndexAny(s, " (")
	if end < 1 {
		return t, "", false
	}
	t.name = strings.ToLower(s[:end])
	if s[end] == '(' {
		s = strings.TrimLeft(s[end+1:], " ")
		if strings.HasPrefix(s, "'") {
			if t.value, s, ok = cutQuoted(s); !ok {
				return t, "", false
			}
			s = strings.TrimLeft(s, " ")
		}
		rest, ok = strings.CutPrefix(s, ")")
		return t, rest, ok
	}
	op, after, _ := strings.Cut(strings.TrimLeft(s[end:], " "), " ")
	if !strings.EqualFold(op, "eq") {
		return t, "", false
	}
	t.value, rest, ok = cutQuoted(strings.TrimLeft(after, " "))
	return t, rest, ok
}

// cutQuoted reads a text in single quotes, in which a quote is doubled.
func cutQuoted(s string) (text, rest string, ok bool) {
	if !strings.HasPrefix(s, "'") {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 == len(s) || s[i+1] != '\'' {
			return b.String(), s[i+1:], true
		}
		b.WriteByte('\'')
		i++
	}
	return "", "", false
}

// parseFilter makes a predicate of a filter of the list of all resources. Errors: badFilter.
func parseFilter(filter string) (func(genericWire) bool, error) {
	list, err := terms(filter)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		switch t.name {
		case "resourcetype", "name", "resourcegroup", "location", "tagname", "tagvalue":
		default:
			return nil, fault.New(badFilter, "Invalid $filter '%.200s' specified in the query string: '%s' is not known here; "+
				"use resourceType, name, resourceGroup, location, tagName or tagValue.", filter, t.name)
		}
	}
	return func(r genericWire) bool {
		tag, tagged := "", false
		for _, t := range list {
			var got string
			switch t.name {
			case "resourcetype":
				got = r.Type
			case "name":
				got = r.Name
			case "resourcegroup":
				p, _ := arm.ParsePath(r.ID)
				got = p.Group
			case "location":
				got, t.value = r.Location, strings.ReplaceAll(t.value, " ", "")
			case "tagname":
				if tag, tagged = tagOf(r, t.value); !tagged {
					return false
				}
				continue
			case "tagvalue":
				if tag != t.value {
					return false
				}
				continue
			}
			if !strings.EqualFold(got, t.value) {
				return false
			}
		}
		return true
	}, nil
}

func tagOf(r genericWire, name string) (string, bool) {
	for k, v := range r.Tags {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

// expand leaves of what is shown only where it is asked for what was asked for, in a list of names.
func (r *genericWire) expand(names string) {
	names = strings.ToLower(names)
	for name, member := range map[string]*string{"createdtime": &r.CreatedTime, "changedtime": &r.ChangedTime, "provisioningstate": &r.ProvisioningState} {
		if !strings.Contains(names, name) {
			*member = ""
		}
	}
}

// top cuts the part out of a list that $top and $skipToken ask for; more is where to go on. Without $top it is the whole.
func (c *call) top(list []genericWire) (part []genericWire, more string, err error) {
	text := c.query.Get("$top")
	if text == "" {
		return list, "", nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return nil, "", fault.New(badFilter, "Invalid $top '%.40s' specified in the query string: it is a number of 1 or more.", text)
	}
	if after := c.query.Get("$skipToken"); after != "" {
		i := slices.IndexFunc(list, func(r genericWire) bool { return strings.EqualFold(r.ID, after) })
		if i < 0 {
			return nil, "", fault.New(badFilter, "The resource that the $skipToken names, '%.300s', is gone: begin the list again.", after)
		}
		list = list[i+1:]
	}
	if len(list) > n {
		list = list[:n]
		more = list[n-1].ID
	}
	return list, more, nil
}
