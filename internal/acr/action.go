// Package acr holds the product's nouns and their rules, without I/O: what may be done, on what, by which
// grant; resources; events; intents.
package acr

import (
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/oci"
)

// Action is something one may be allowed to do on a scope of the data plane, spelled as token scopes spell it.
type Action string

// The actions of the data plane.
const (
	Pull          Action = "pull"
	Push          Action = "push"
	Delete        Action = "delete"
	MetadataRead  Action = "metadata_read"
	MetadataWrite Action = "metadata_write"
	// What soft deletion keeps: on a repository, and DeletedCatalog.
	DeletedRead    Action = "deleted_read"
	DeletedRestore Action = "deleted_restore"
	// Overwrite is to move a tag that exists. It is asked for beside Push where that is what a push does, and never
	// stands in a grant: one that allows Push allows it.
	Overwrite Action = "overwrite"
	// All is every action on the scope; the catalog is asked for with it.
	All Action = "*"
)

// The actions on a connected registry's gateway.
const (
	ConfigRead   Action = "config_read"
	ConfigWrite  Action = "config_write"
	MessageRead  Action = "message_read"
	MessageWrite Action = "message_write"
)

// Actions of a repository, in the order in which a challenge names them.
var repositoryActions = []Action{Pull, Push, Delete, MetadataRead, MetadataWrite, DeletedRead, DeletedRestore}

var gatewayActions = []Action{ConfigRead, ConfigWrite, MessageRead, MessageWrite}

// Scope is what an action is done on: a repository, one of the registry's catalogs, or a connected registry's gateway.
type Scope struct {
	Type string // "repository", "registry" or "gateway"
	Name string // the repository's or connected registry's name, or "catalog"
	// Tag and Digest are what of the repository it is done on, where that is known: conditions see them, grants do not.
	Tag    string
	Digest oci.Digest
}

// Repository is the scope of one repository.
func Repository(name string) Scope { return Scope{Type: "repository", Name: name} }

// Gateway is the scope of one connected registry.
func Gateway(name string) Scope { return Scope{Type: "gateway", Name: name} }

// Catalog is the scope of the list of repositories, DeletedCatalog that of the list of soft-deleted ones.
var (
	Catalog        = Scope{Type: "registry", Name: "catalog"}
	DeletedCatalog = Scope{Type: "registry", Name: "deleted_catalog"}
)

// Grant allows actions on a scope. Its JSON is an entry of the access claim of an ACR access token.
type Grant struct {
	Type    string   `json:"Type"`
	Name    string   `json:"Name"` // "*" is every name, "team/*" every name below team
	Actions []Action `json:"Actions"`
}

// Allows tells whether the grant covers act on s.
func (g Grant) Allows(act Action, s Scope) bool {
	if g.Type != s.Type || !covers(g.Name, s.Name) {
		return false
	}
	if act == Overwrite {
		act = Push
	}
	return slices.Contains(g.Actions, act) || slices.Contains(g.Actions, All)
}

// covers tells whether a pattern of repository names, a name, prefix/* or *, covers a name or all that another covers.
func covers(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok && (prefix == "" || strings.HasSuffix(prefix, "/")) {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func (g Grant) String() string {
	acts := make([]string, len(g.Actions))
	for i, a := range g.Actions {
		acts[i] = string(a)
	}
	return g.Type + ":" + g.Name + ":" + strings.Join(acts, ",")
}

// MaxScopes bounds the grants of one token request.
const MaxScopes = 100

// ParseScopes reads the scope parameters of a token request: each value holds grants separated by blanks,
// each type:name:action,action. The name may hold colons; a class as in repository(plugin) is dropped; the
// older spellings metadataRead and metadataWrite are read; what is malformed or unknown is dropped, as the
// real service does. Entries for one scope are joined. At most MaxScopes are kept.
func ParseScopes(values []string) []Grant {
	var out []Grant
	for _, value := range values {
		for s := range strings.FieldsSeq(value) {
			first, last := strings.IndexByte(s, ':'), strings.LastIndexByte(s, ':')
			if first <= 0 || last == first || len(out) >= MaxScopes {
				continue
			}
			kind, _, _ := strings.Cut(s[:first], "(")
			acts := parseActions(kind, s[last+1:])
			if len(acts) > 0 {
				out = join(out, Grant{Type: kind, Name: s[first+1 : last], Actions: acts})
			}
		}
	}
	return out
}

func parseActions(kind, list string) []Action {
	var out []Action
	for a := range strings.SplitSeq(list, ",") {
		switch a {
		case "metadataRead":
			a = string(MetadataRead)
		case "metadataWrite":
			a = string(MetadataWrite)
		}
		act := Action(a)
		known := act == All || kind == "repository" && slices.Contains(repositoryActions, act) ||
			kind == "gateway" && slices.Contains(gatewayActions, act)
		if known && !slices.Contains(out, act) {
			out = append(out, act)
		}
	}
	return out
}

func join(list []Grant, g Grant) []Grant {
	for i := range list {
		if list[i].Type == g.Type && list[i].Name == g.Name {
			for _, a := range g.Actions {
				if !slices.Contains(list[i].Actions, a) {
					list[i].Actions = append(list[i].Actions, a)
				}
			}
			return list
		}
	}
	return append(list, g)
}

// Intersect is what remains of asked under have: each asked action that some grant in have allows.
// Nothing is refused, entries that lose every action fall away. "*" on a repository comes back as the
// single actions where not all of them are allowed.
func Intersect(asked, have []Grant) []Grant {
	out := []Grant{}
	for _, g := range asked {
		s := Scope{Type: g.Type, Name: g.Name}
		allowed := func(a Action) bool {
			return slices.ContainsFunc(have, func(h Grant) bool { return h.Allows(a, s) })
		}
		var acts []Action
		for _, a := range g.Actions {
			switch {
			case allowed(a):
				acts = append(acts, a)
			case a == All && g.Type == "repository":
				for _, single := range repositoryActions {
					if allowed(single) {
						acts = append(acts, single)
					}
				}
			}
		}
		if len(acts) > 0 {
			out = append(out, Grant{g.Type, g.Name, acts})
		}
	}
	return out
}

// Everything is the grant of an admin user.
var Everything = []Grant{
	{Type: "repository", Name: "*", Actions: []Action{All}},
	{Type: "registry", Name: "*", Actions: []Action{All}},
}

// AnonymousPull is what a token for anybody holds, whatever was asked. Pull on every repository then suffices for
// lists too: see AnonymousRights.
var AnonymousPull = []Grant{{Type: "repository", Name: "*", Actions: []Action{Pull}}}

// AnonymousRights are what AnonymousPull amounts to.
var AnonymousRights = []Grant{
	{Type: "repository", Name: "*", Actions: []Action{Pull, MetadataRead}},
	{Type: "registry", Name: "catalog", Actions: []Action{All}},
}
