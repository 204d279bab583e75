package identity

import (
	"net/http"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

func (f *Face) users(c *call) error {
	l, err := c.listing()
	if err != nil {
		return err
	}
	q := directory.Query{ID: l.key("id"), Name: l.key("userPrincipalName"), Shown: l.key("displayName")}
	return l.answer(c, "users", paged(func(p directory.Page) ([]acr.User, bool, error) {
		q.Page = p
		return f.opt.Directory.Users(c.r.Context(), q)
	}, userObject))
}

func (f *Face) user(c *call) error {
	u, err := f.opt.Directory.User(c.r.Context(), c.words[0])
	if err != nil {
		return err
	}
	return c.entity(http.StatusOK, "users", userObject(u))
}

// asMe does what users/{id}/… does for the user whose token it is.
func asMe(do func(*Face, *call) error) func(*Face, *call) error {
	return func(f *Face, c *call) error {
		p, err := delegated(c)
		if err != nil {
			return err
		}
		c.words = []string{p.ID}
		return do(f, c)
	}
}

// delegated is the user whose token it is. Errors: fault.Invalid where it is an application's.
func delegated(c *call) (auth.Principal, error) {
	id, _ := auth.Who(c.r.Context())
	p, ok := id.Principal()
	if !ok || p.Type != acr.UserPrincipal {
		return auth.Principal{}, fault.New(fault.Invalid, "/me request is only valid with delegated authentication flow.")
	}
	return p, nil
}

// ownedObjects are the groups that the user owns; applications have no owners here.
func (f *Face) ownedObjects(c *call) error {
	p, err := delegated(c)
	if err != nil {
		return err
	}
	l, err := c.listing()
	if err != nil {
		return err
	}
	return l.answer(c, "directoryObjects", func(page directory.Page) ([]object, bool, error) {
		groups, more, err := f.opt.Directory.Groups(c.r.Context(), directory.Query{Page: page})
		out := []object{}
		for _, g := range groups {
			if contains(g.Owners, p.ID) {
				out = append(out, typed("group", groupObject(g)))
			}
		}
		return out, more, err
	})
}

func (f *Face) createUser(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	n := directory.NewUser{}
	enabled := true
	body.take("userPrincipalName", &n.Name)
	body.take("displayName", &n.DisplayName)
	body.take("mail", &n.Mail)
	body.take("accountEnabled", &enabled)
	body.ignore("mailNickname", "userType")
	profile := body.within("passwordProfile")
	profile.take("password", &n.Password)
	if err := body.done(profile); err != nil {
		return err
	}
	n.Disabled = !enabled
	u, err := f.opt.Directory.CreateUser(c.r.Context(), n)
	if err != nil {
		return err
	}
	return c.entity(http.StatusCreated, "users", userObject(u))
}

func (f *Face) updateUser(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var change directory.UserChange
	text(body, "userPrincipalName", &change.Name)
	text(body, "displayName", &change.DisplayName)
	text(body, "mail", &change.Mail)
	var enabled bool
	if body.take("accountEnabled", &enabled) {
		change.Enabled = &enabled
	}
	body.ignore("mailNickname")
	profile := body.within("passwordProfile")
	text(profile, "password", &change.Password)
	if err := body.done(profile); err != nil {
		return err
	}
	if _, err := f.opt.Directory.UpdateUser(c.r.Context(), c.words[0], change); err != nil {
		return err
	}
	return c.nothing()
}

// text takes a property that may be absent.
func text(p *properties, name string, into **string) {
	var s string
	if p.take(name, &s) {
		*into = &s
	}
}

func (f *Face) deleteUser(c *call) error {
	if err := f.opt.Directory.DeleteUser(c.r.Context(), c.words[0]); err != nil {
		return err
	}
	return c.nothing()
}

func (f *Face) revokeSignIns(c *call) error {
	if err := f.opt.Directory.RevokeSignIns(c.r.Context(), c.words[0]); err != nil {
		return err
	}
	return web.WriteJSON(c.w, http.StatusOK, object{"@odata.context": contextOf(c, "Edm.Boolean"), "value": true})
}
