package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// CreateGroup makes a group; members and owners are object IDs. Errors: fault.NotFound for a member that is not there,
// fault.Invalid, Denied.
func (s *Service) CreateGroup(ctx context.Context, name, description string, members, owners []string) (acr.Group, error) {
	if err := s.mayChange(ctx, "groups", "write"); err != nil {
		return acr.Group{}, err
	}
	id, err := newID(ctx, "")
	if err != nil {
		return acr.Group{}, err
	}
	g := acr.Group{ID: id, DisplayName: name, Description: description, Members: ids(members), Owners: ids(owners), CreatedAt: s.opt.DB.Now().UTC()}
	err = s.change(ctx, func(tx *meta.Tx) error {
		for _, m := range append(g.Members[:len(g.Members):len(g.Members)], g.Owners...) {
			if _, err := objectOf(tx, m); err != nil {
				return err
			}
		}
		return meta.Put(tx, acr.DirectoryID("groups", g.ID), g, 0)
	})
	return g, err
}

// ids are object IDs as they are kept, each once.
func ids(list []string) []string {
	out := make([]string, 0, len(list))
	for _, id := range list {
		if id = strings.ToLower(id); !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Group finds a group by object ID. Errors: fault.NotFound.
func (s *Service) Group(ctx context.Context, id string) (acr.Group, error) {
	if err := s.mayRead(ctx); err != nil {
		return acr.Group{}, err
	}
	var g acr.Group
	err := s.opt.DB.Look(ctx, func(tx *meta.Tx) (err error) { g, _, err = get[acr.Group](tx, "groups", id); return err })
	return g, err
}

// Groups lists groups.
func (s *Service) Groups(ctx context.Context, q Query) (page []acr.Group, more bool, err error) {
	if err := s.mayRead(ctx); err != nil {
		return nil, false, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		switch {
		case q.ID != "":
			page, err = one(get[acr.Group](tx, "groups", q.ID))
		case q.Name != "":
			page, err = meta.Find[acr.Group](tx, "name:"+strings.ToLower(q.Name), q.limit())
		default:
			page, more, err = scan(tx, "groups", q, func(g acr.Group) string { return g.ID }, func(g acr.Group) string { return g.DisplayName })
		}
		return err
	})
	return page, more, err
}

// GroupChange is what to change of a group; nil is nothing.
type GroupChange struct{ DisplayName, Description *string }

// UpdateGroup changes a group. Errors: fault.NotFound, Invalid, Denied.
func (s *Service) UpdateGroup(ctx context.Context, id string, c GroupChange) (acr.Group, error) {
	return s.updateGroup(ctx, id, func(_ *meta.Tx, g *acr.Group) error {
		if c.DisplayName != nil {
			g.DisplayName = *c.DisplayName
		}
		if c.Description != nil {
			g.Description = *c.Description
		}
		return nil
	})
}

func (s *Service) updateGroup(ctx context.Context, id string, fn func(tx *meta.Tx, g *acr.Group) error) (acr.Group, error) {
	if err := s.mayChange(ctx, "groups", "write"); err != nil {
		return acr.Group{}, err
	}
	var out acr.Group
	err := s.change(ctx, func(tx *meta.Tx) error {
		g, version, err := get[acr.Group](tx, "groups", id)
		if err != nil {
			return err
		}
		if err := fn(tx, &g); err != nil {
			return err
		}
		out = g
		return meta.Put(tx, acr.DirectoryID("groups", g.ID), g, version)
	})
	return out, err
}

// AddMember adds a user, a service principal or a group to a group, or to its owners.
// Errors: fault.NotFound, Exists, Denied.
func (s *Service) AddMember(ctx context.Context, group, member string, owner bool) error {
	member = strings.ToLower(member)
	_, err := s.updateGroup(ctx, group, func(tx *meta.Tx, g *acr.Group) error {
		if _, err := objectOf(tx, member); err != nil {
			return err
		}
		list := memberList(g, owner)
		if slices.Contains(*list, member) {
			return fault.New(fault.Exists, "one or more added object references already exist for the following modified properties: 'members'")
		}
		if member == g.ID {
			return fault.New(fault.Invalid, "group %s cannot be a member of itself", g.DisplayName)
		}
		*list = append(*list, member)
		return nil
	})
	return err
}

// RemoveMember is the reverse of AddMember. Errors: fault.NotFound, Denied.
func (s *Service) RemoveMember(ctx context.Context, group, member string, owner bool) error {
	member = strings.ToLower(member)
	_, err := s.updateGroup(ctx, group, func(_ *meta.Tx, g *acr.Group) error {
		list := memberList(g, owner)
		i := slices.Index(*list, member)
		if i < 0 {
			return missing("members of "+g.DisplayName, member)
		}
		*list = slices.Delete(*list, i, i+1)
		return nil
	})
	return err
}

func memberList(g *acr.Group, owner bool) *[]string {
	if owner {
		return &g.Owners
	}
	return &g.Members
}

// DeleteGroup removes a group, from other groups too. Errors: fault.NotFound, Denied.
func (s *Service) DeleteGroup(ctx context.Context, id string) error {
	if err := s.mayChange(ctx, "groups", "delete"); err != nil {
		return err
	}
	return s.change(ctx, func(tx *meta.Tx) error {
		g, _, err := get[acr.Group](tx, "groups", id)
		if err != nil {
			return err
		}
		return remove(tx, "groups", g.ID)
	})
}

// Object is somebody or something of the directory: one of the fields is set.
type Object struct {
	User        *acr.User
	Group       *acr.Group
	Application *acr.Application
	Account     *acr.ServiceAccount
}

// ID is the object's ID.
func (o Object) ID() string {
	switch {
	case o.User != nil:
		return o.User.ID
	case o.Group != nil:
		return o.Group.ID
	case o.Application != nil:
		return o.Application.ID
	case o.Account != nil:
		return o.Account.ID
	}
	return ""
}

// Objects finds what has the given object IDs; who is not there is left out.
func (s *Service) Objects(ctx context.Context, ids []string) (list []Object, err error) {
	if err := s.mayRead(ctx); err != nil {
		return nil, err
	}
	if len(ids) > 1000 {
		return nil, fault.New(fault.Invalid, "%d IDs are too many: ask for 1000 at a time", len(ids))
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		list = list[:0]
		for _, id := range ids {
			o, err := objectOf(tx, id)
			if fault.KindOf(err) == fault.NotFound && err != nil {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, o)
		}
		return nil
	})
	return list, err
}

// Members are a group's members, or its owners.
func (s *Service) Members(ctx context.Context, group string, owners bool) ([]Object, error) {
	g, err := s.Group(ctx, group)
	if err != nil {
		return nil, err
	}
	list := *memberList(&g, owners)
	var out []Object
	for batch := range slices.Chunk(list, 1000) {
		found, err := s.Objects(ctx, batch)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// MemberOf are the groups that somebody is in; through others too, if asked.
func (s *Service) MemberOf(ctx context.Context, id string, transitive bool) (list []acr.Group, err error) {
	if err := s.mayRead(ctx); err != nil {
		return nil, err
	}
	id = strings.ToLower(id)
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) error {
		list = nil
		if !transitive {
			list, err = meta.Find[acr.Group](tx, "member:"+id, longestPage)
			return err
		}
		all, err := groupsOf(tx, id)
		for _, g := range all {
			if err != nil {
				return err
			}
			var one acr.Group
			if one, _, err = get[acr.Group](tx, "groups", g); err == nil {
				list = append(list, one)
			}
		}
		return err
	})
	return list, err
}

// objectOf finds whose object ID it is. Errors: fault.NotFound.
func objectOf(tx *meta.Tx, id string) (Object, error) {
	id = strings.ToLower(id)
	if !acr.GUID(id) {
		return Object{}, missing("objects", id)
	}
	for _, read := range []func() (Object, error){
		func() (Object, error) {
			u, _, err := get[acr.User](tx, "users", id)
			u.Password = ""
			return Object{User: &u}, err
		},
		func() (Object, error) {
			p, _, err := get[acr.ServiceAccount](tx, "servicePrincipals", id)
			return Object{Account: &p}, err
		},
		func() (Object, error) { g, _, err := get[acr.Group](tx, "groups", id); return Object{Group: &g}, err },
		func() (Object, error) {
			a, _, err := get[acr.Application](tx, "applications", id)
			return Object{Application: &a}, err
		},
	} {
		o, err := read()
		if err == nil || fault.KindOf(err) != fault.NotFound {
			return o, err
		}
	}
	return Object{}, missing("objects", id)
}
