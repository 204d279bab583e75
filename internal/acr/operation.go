package acr

import (
	"slices"
	"strings"
)

// Operations of the registry provider that give rights on a registry's contents.
const (
	registries   = "Microsoft.ContainerRegistry/registries/"
	repositories = registries + "repositories/"

	contentWrite  = repositories + "content/write"
	contentCreate = repositories + "content/create" // acre's own: contentWrite without moving tags that exist
)

// contentOperations are what each action on contents needs: an action where the legacy roles count, a data action where
// the repository roles do (data plane, section 4.6).
var contentOperations = map[Action]struct{ action, dataAction string }{
	Pull:           {registries + "pull/read", repositories + "content/read"},
	Push:           {registries + "push/write", contentCreate},
	Overwrite:      {registries + "push/write", contentWrite},
	Delete:         {registries + "artifacts/delete", repositories + "content/delete"},
	MetadataRead:   {registries + "pull/read", repositories + "metadata/read"},
	MetadataWrite:  {registries + "metadata/write", repositories + "metadata/write"},
	DeletedRead:    {registries + "deleted/read", ""},
	DeletedRestore: {registries + "deleted/restore/action", ""},
	All:            {registries + "pull/read", registries + "catalog/read"}, // on the catalog
}

// Operations are what a role must allow for act in this mode: the action or the data action, either of which suffices
// where both are given; where both are empty no role allows it. All stands for reading the catalog. On DeletedCatalog
// ask DeletedRead.
func (m PermissionMode) Operations(act Action) (action, dataAction string) {
	op := contentOperations[act]
	switch m {
	case "", LegacyPermissions:
		return op.action, ""
	case AbacPermissions:
		return "", op.dataAction
	case BothPermissions:
		return op.action, op.dataAction
	}
	return "", ""
}

// AllowsAction tells whether the permission holds an operation of the management API: among its actions and not among
// its notActions.
//
// The directory and the trusted issuers are no part of the real management API, and roles know nothing of them. Who may
// change either can come by any right, and so needs what it takes to manage access: to a role, an operation there that does
// more than read is a write of Microsoft.Authorization. Owners and user access administrators hold it, contributors do not.
func (p Permission) AllowsAction(op string) bool {
	op = asAuthorization(op)
	return matchesAny(p.Actions, op) && !matchesAny(p.NotActions, op)
}

// AllowsData tells the same of a data action. Who holds repositories/content/write holds repositories/content/create,
// unless that is taken away by name.
func (p Permission) AllowsData(op string) bool {
	if matchesAny(p.NotDataActions, op) {
		return false
	}
	return matchesAny(p.DataActions, op) || strings.EqualFold(op, contentCreate) && p.AllowsData(contentWrite)
}

func asAuthorization(op string) string {
	for _, provider := range []string{"Microsoft.Graph/", "Acre.Identity/"} {
		if len(op) > len(provider) && strings.EqualFold(op[:len(provider)], provider) && !MatchOperation("*/read", op) {
			return "Microsoft.Authorization/" + op[len(provider):] + "/write"
		}
	}
	return op
}

func matchesAny(patterns []string, op string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return MatchOperation(p, op) })
}

// MatchOperation tells whether a pattern of a role covers an operation: without regard to case, * standing for any run
// of characters, slashes included.
func MatchOperation(pattern, op string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(op) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && lower(pattern[p]) == lower(op[i]):
			p++
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

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
