package identity

import (
	"net/http"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

func (f *Face) groups(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	q := directory.Query{ID: l.key("id"), Name: l.key("displayName")}
	return l.answer(c, "groups", paged(func(p directory.Page) ([]acr.Group, bool, error) {
		q.Page = p
		return f.opt.Directory.Groups(c.r.Context(), q)
	}, groupObject))
}

func (f *Face) group(c *call) error {
	g, err := f.opt.Directory.Group(c.r.Context(), c.words[0])
	if err != nil {
		return err
	}
	return c.entity(http.StatusOK, "groups", groupObject(g))
}

func (f *Face) createGroup(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var name, description string
	var members, owners []string
	body.take("displayName", &name)
	body.take("description", &description)
	body.take("members@odata.bind", &members)
	body.take("owners@odata.bind", &owners)
	body.ignore("mailNickname", "securityEnabled")
	if err := body.done(); err != nil {
		return err
	}
	for _, refs := range [][]string{members, owners} {
		for i, ref := range refs {
			if refs[i], err = refID(ref); err != nil {
				return err
			}
		}
	}
	g, err := f.opt.Directory.CreateGroup(c.r.Context(), name, description, members, owners)
	if err != nil {
		return err
	}
	return c.entity(http.StatusCreated, "groups", groupObject(g))
}

func (f *Face) updateGroup(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var change directory.GroupChange
	text(body, "displayName", &change.DisplayName)
	text(body, "description", &change.Description)
	body.ignore("mailNickname", "securityEnabled")
	if err := body.done(); err != nil {
		return err
	}
	if _, err := f.opt.Directory.UpdateGroup(c.r.Context(), c.words[0], change); err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) deleteGroup(c *call) error {
	if err := f.opt.Directory.DeleteGroup(c.r.Context(), c.words[0]); err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) members(c *call) error { return f.listMembers(c, false) }
func (f *Face) owners(c *call) error  { return f.listMembers(c, true) }

func (f *Face) listMembers(c *call, owners bool) error {
	found, err := f.opt.Directory.Members(c.r.Context(), c.words[0], owners)
	if err != nil {
		return err
	}
	return f.answerObjects(c, found)
}

// answerObjects writes objects of several kinds, whole.
func (f *Face) answerObjects(c *call, found []directory.Object) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	l.limit = longestPage
	slices.SortFunc(found, func(a, b directory.Object) int { return strings.Compare(a.ID(), b.ID()) })
	return l.answer(c, "directoryObjects", func(directory.Page) ([]object, bool, error) {
		out := make([]object, len(found))
		for i, o := range found {
			out[i] = f.shown(o)
		}
		return out, false, nil
	})
}

// shown is an object with its type.
func (f *Face) shown(o directory.Object) object {
	switch {
	case o.User != nil:
		return typed("user", userObject(*o.User))
	case o.Group != nil:
		return typed("group", groupObject(*o.Group))
	case o.Application != nil:
		return typed("application", applicationObject(*o.Application))
	}
	return typed("servicePrincipal", serviceObject(*o.Account, nil, f.opt.Directory.Tenant()))
}

func typed(kind string, o object) object {
	o["@odata.type"] = "#microsoft.graph." + kind
	return o
}

func (f *Face) addMember(c *call) error { return f.addRef(c, false) }
func (f *Face) addOwner(c *call) error  { return f.addRef(c, true) }

func (f *Face) addRef(c *call, owner bool) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var ref string
	body.take("@odata.id", &ref)
	if err := body.done(); err != nil {
		return err
	}
	id, err := refID(ref)
	if err != nil {
		return err
	}
	if err := f.opt.Directory.AddMember(c.r.Context(), c.words[0], id, owner); err != nil {
		return err
	}
	return c.nothing()
}

// refID is the ID at the end of an object's address.
func refID(ref string) (string, error) {
	_, id, _ := cutLast(strings.TrimSuffix(ref, "/"))
	if id = strings.ToLower(id); !acr.GUID(id) {
		return "", fault.New(fault.Invalid, "Invalid object identifier '%.200s': give the address of an object, which ends in its ID.", ref)
	}
	return id, nil
}

func (f *Face) removeMember(c *call) error { return f.removeRef(c, false) }
func (f *Face) removeOwner(c *call) error  { return f.removeRef(c, true) }

func (f *Face) removeRef(c *call, owner bool) error {
	if err := f.opt.Directory.RemoveMember(c.r.Context(), c.words[0], c.words[1], owner); err != nil {
		return err
	}
	return c.nothing()
}

// memberOf lists the groups that a user, a group or a service principal is in: directly, or through others.
func (f *Face) memberOf(c *call) error           { return f.listGroupsOf(c, false) }
func (f *Face) transitiveMemberOf(c *call) error { return f.listGroupsOf(c, true) }

func (f *Face) listGroupsOf(c *call, transitive bool) error {
	groups, err := f.groupsOf(c, transitive)
	if err != nil {
		return err
	}
	found := make([]directory.Object, len(groups))
	for i := range groups {
		found[i].Group = &groups[i]
	}
	return f.answerObjects(c, found)
}

// groupsOf are the groups of the object of the path, which for users may be given by name.
func (f *Face) groupsOf(c *call, transitive bool) ([]acr.Group, error) {
	id := c.words[0]
	if strings.Contains(id, "@") {
		u, err := f.opt.Directory.User(c.r.Context(), id)
		if err != nil {
			return nil, err
		}
		id = u.ID
	}
	return f.opt.Directory.MemberOf(c.r.Context(), id, transitive)
}

// memberGroups answers getMemberGroups: the IDs of all groups that somebody is in.
func (f *Face) memberGroups(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	body.ignore("securityEnabledOnly") // all groups are
	if err := body.done(); err != nil {
		return err
	}
	return f.answerGroupIDs(c, func(string) bool { return true })
}

// checkGroups answers checkMemberGroups: which of some groups somebody is in.
func (f *Face) checkGroups(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var ids []string
	body.take("groupIds", &ids)
	if err := body.done(); err != nil {
		return err
	}
	return f.answerGroupIDs(c, func(id string) bool { return contains(ids, id) })
}

func contains(list []string, id string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, id) })
}

func (f *Face) answerGroupIDs(c *call, wanted func(id string) bool) error {
	groups, err := f.groupsOf(c, true)
	if err != nil {
		return err
	}
	ids := []string{}
	for _, g := range groups {
		if wanted(g.ID) {
			ids = append(ids, g.ID)
		}
	}
	return web.WriteJSON(c.w, http.StatusOK, object{"@odata.context": contextOf(c, "Collection(Edm.String)"), "value": ids})
}

// byIDs answers directoryObjects/getByIds; who is not there is left out.
func (f *Face) byIDs(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var ids, types []string
	body.take("ids", &ids)
	body.take("types", &types)
	if err := body.done(); err != nil {
		return err
	}
	found, err := f.opt.Directory.Objects(c.r.Context(), ids)
	if err != nil {
		return err
	}
	shown := []object{}
	for _, o := range found {
		one := f.shown(o)
		kind, _ := one["@odata.type"].(string)
		if len(types) == 0 || contains(types, "directoryObject") || contains(types, strings.TrimPrefix(kind, "#microsoft.graph.")) {
			shown = append(shown, one)
		}
	}
	return web.WriteJSON(c.w, http.StatusOK, object{"@odata.context": contextOf(c, "directoryObjects"), "value": shown})
}

// byID answers directoryObjects/{id}.
func (f *Face) byID(c *call) error {
	found, err := f.opt.Directory.Objects(c.r.Context(), c.words)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "Resource '%.100s' does not exist or one of its queried reference-property objects are not present.", c.words[0])
	}
	if err != nil {
		return err
	}
	return c.entity(http.StatusOK, "directoryObjects", f.shown(found[0]))
}
