package acr

import (
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// MaxScopeActions bounds a scope map.
const MaxScopeActions = 500

// What a scope map's actions allow, by the two last parts of their spelling.
var (
	scopeActions = map[string]Action{
		"content/read": Pull, "content/write": Push, "content/delete": Delete, "metadata/read": MetadataRead, "metadata/write": MetadataWrite,
	}
	gatewayScopeActions = map[string]Action{
		"config/read": ConfigRead, "config/write": ConfigWrite, "message/read": MessageRead, "message/write": MessageWrite,
	}
)

// ScopeAction is how a scope map spells what allows act on a repository, such as repositories/app/content/read; "" where
// nothing in a scope map does.
func ScopeAction(repository string, act Action) string {
	if act == Overwrite {
		act = Push // content/write is both
	}
	for word, allows := range scopeActions {
		if allows == act {
			return "repositories/" + repository + "/" + word
		}
	}
	return ""
}

// ScopeActions reads a scope map's actions as grants, one a name, in the order in which the names come first. To read the
// root * in any way is to read the catalog too. Errors: Invalid.
func ScopeActions(actions []string) ([]Grant, error) {
	if len(actions) > MaxScopeActions {
		return nil, fault.New(fault.Invalid, "the scope map has %d actions: %d are allowed", len(actions), MaxScopeActions)
	}
	out := []Grant{}
	at := map[string]int{} // by type and name
	for _, a := range actions {
		kind, name, act, err := parseScopeAction(a)
		if err != nil {
			return nil, err
		}
		i, ok := at[kind+name]
		if !ok {
			i = len(out)
			at[kind+name] = i
			out = append(out, Grant{Type: kind, Name: name})
		}
		if !slices.Contains(out[i].Actions, act) {
			out[i].Actions = append(out[i].Actions, act)
		}
	}
	if i, ok := at["repository*"]; ok && (slices.Contains(out[i].Actions, Pull) || slices.Contains(out[i].Actions, MetadataRead)) {
		out = append(out, Grant{Type: Catalog.Type, Name: Catalog.Name, Actions: []Action{All}})
	}
	return out, nil
}

func parseScopeAction(s string) (kind, name string, act Action, err error) {
	bad := func() error {
		return fault.New(fault.Invalid, "scope map action %.300q is not valid: it looks like repositories/{name}/content/read, with content/read, "+
			"content/write, content/delete, metadata/read or metadata/write, or gateway/{connected registry}/config/read", s)
	}
	verb := strings.LastIndexByte(s, '/')
	if verb < 1 {
		return "", "", "", bad()
	}
	verb = strings.LastIndexByte(s[:verb], '/')
	top, name, ok := strings.Cut(s[:max(verb, 0)], "/")
	if !ok {
		return "", "", "", bad()
	}
	verbs := s[verb+1:]
	switch top {
	case "repositories":
		act, ok = scopeActions[verbs]
		kind, err = "repository", CheckNamePattern(name)
	case "gateway":
		act, ok = gatewayScopeActions[verbs]
		kind, err = "gateway", connectedRegistryNames.check(name)
	default:
		ok = false
	}
	if !ok {
		return "", "", "", bad()
	}
	return kind, name, act, err
}

// CheckNamePattern holds s against what stands for repositories in scope maps and rules: a name, prefix/* or *.
// Errors: Invalid, with the reason for each way in which a wildcard goes wrong.
func CheckNamePattern(s string) error {
	prefix, rest, wild := strings.Cut(s, "*")
	wrong := func(why string) error {
		return fault.New(fault.Invalid, "repository %.260q is not valid: %s; use a name, a prefix that ends with /*, or * alone", s, why)
	}
	switch {
	case !wild:
		return oci.CheckName(s)
	case s == "*":
		return nil
	case strings.Contains(rest, "*"):
		return wrong("it has more than one wildcard")
	case rest != "" && prefix == "":
		return wrong("it begins with a wildcard")
	case rest != "":
		return wrong("it has a wildcard in the middle")
	case !strings.HasSuffix(prefix, "/"):
		return wrong("its wildcard does not follow a /")
	}
	return oci.CheckName(strings.TrimSuffix(prefix, "/"))
}

// SystemScopeMaps are the scope maps that every registry has and nobody changes.
func SystemScopeMaps() []ScopeMap {
	of := func(name, description string, verbs ...string) ScopeMap {
		return ScopeMap{Name: name, Description: description, Actions: each("repositories/*", verbs...)}
	}
	return []ScopeMap{
		of("_repositories_admin", "Can perform all read, write and delete operations on the registry",
			"metadata/read", "metadata/write", "content/read", "content/write", "content/delete"),
		of("_repositories_pull", "Can pull any repository of the registry", "content/read"),
		of("_repositories_pull_metadata_read", "Can perform all read operations on the registry", "content/read", "metadata/read"),
		of("_repositories_push", "Can push to any repository of the registry", "content/read", "content/write"),
		of("_repositories_push_metadata_write", "Can perform all read and write operations on the registry",
			"metadata/read", "metadata/write", "content/read", "content/write"),
	}
}

// SystemScopeMap finds one of SystemScopeMaps by its name, in any case.
func SystemScopeMap(name string) (ScopeMap, bool) {
	for _, m := range SystemScopeMaps() {
		if strings.EqualFold(m.Name, name) {
			return m, true
		}
	}
	return ScopeMap{}, false
}
