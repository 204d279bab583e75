package directory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
)

// NewUser is a user to be made.
type NewUser struct {
	ID          string // "" is a random one; only the server itself chooses
	Name        string // the principal name
	DisplayName string // "" is the name
	Mail        string
	Password    string // "" is none: the user cannot sign in with one
	Disabled    bool
}

// Bounds of a password that somebody chooses.
const (
	shortestPassword = 8
	longestPassword  = 256
)

// CreateUser makes a user. Errors: fault.Exists where the name is taken, fault.Invalid, Denied.
func (s *Service) CreateUser(ctx context.Context, n NewUser) (acr.User, error) {
	if err := s.mayChange(ctx, "users", "write"); err != nil {
		return acr.User{}, err
	}
	id, err := newID(ctx, n.ID)
	if err != nil {
		return acr.User{}, err
	}
	u := acr.User{ID: id, Name: n.Name, DisplayName: cmp.Or(n.DisplayName, n.Name), Mail: n.Mail, Enabled: !n.Disabled, CreatedAt: s.opt.DB.Now().UTC()}
	if n.Password != "" {
		if u.Password, err = passwordVerifier(ctx, n.Password); err != nil {
			return acr.User{}, err
		}
	}
	err = s.change(ctx, func(tx *meta.Tx) error {
		if err := nameFree(tx, u); err != nil {
			return err
		}
		return meta.Put(tx, acr.DirectoryID("users", u.ID), u, 0)
	})
	return u, err
}

// newID is a random object ID, or the one that the server itself chose.
func newID(ctx context.Context, chosen string) (string, error) {
	if chosen == "" {
		return uuid.NewString(), nil
	}
	return chosen, system(ctx)
}

// passwordVerifier takes long; so does every check of it. The server itself may choose a short one.
func passwordVerifier(ctx context.Context, password string) (string, error) {
	if len(password) > longestPassword || len(password) < shortestPassword && system(ctx) != nil {
		return "", fault.New(fault.Invalid, "the specified password does not comply with password complexity requirements: use %d to %d bytes",
			shortestPassword, longestPassword)
	}
	return acr.PasswordVerifier(password), nil
}

func nameFree(tx *meta.Tx, u acr.User) error {
	same, err := meta.Find[acr.User](tx, "upn:"+strings.ToLower(u.Name), 2)
	if err == nil && slices.ContainsFunc(same, func(o acr.User) bool { return o.ID != u.ID }) {
		err = fault.New(fault.Exists, "another object with the same value for property userPrincipalName already exists: %s", u.Name)
	}
	return err
}

// User finds a user by object ID or principal name. Errors: fault.NotFound.
func (s *Service) User(ctx context.Context, idOrName string) (acr.User, error) {
	if err := s.mayRead(ctx); err != nil {
		return acr.User{}, err
	}
	var u acr.User
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) { u, _, err = getUser(tx, idOrName); return err })
	u.Password = ""
	return u, err
}

func getUser(tx *meta.Tx, idOrName string) (acr.User, int64, error) {
	if id := strings.ToLower(idOrName); acr.GUID(id) {
		return get[acr.User](tx, "users", id)
	}
	found, err := meta.Find[acr.User](tx, "upn:"+strings.ToLower(idOrName), 1)
	if err != nil || len(found) == 0 {
		return acr.User{}, 0, errors.Join(err, missing("users", idOrName))
	}
	return get[acr.User](tx, "users", found[0].ID)
}

// get reads an object of the directory. Errors: fault.NotFound, with the real service's text.
func get[R acr.Resource](tx *meta.Tx, kind, id string) (R, int64, error) {
	r, version, err := meta.Get[R](tx, acr.DirectoryID(kind, id))
	if errors.Is(err, fault.NotFound) {
		err = missing(kind, id)
	}
	return r, version, err
}

func missing(kind, id string) error {
	return fault.New(fault.NotFound, "resource '%.200s' does not exist among %s or one of its queried reference-property objects are not present", id, kind)
}

// Users lists users.
func (s *Service) Users(ctx context.Context, q Query) (page []acr.User, more bool, err error) {
	if err := s.mayRead(ctx); err != nil {
		return nil, false, err
	}
	err = s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) {
		switch {
		case q.ID != "":
			page, err = one(getUser(tx, q.ID))
		case q.Name != "":
			page, err = meta.Find[acr.User](tx, "upn:"+strings.ToLower(q.Name), q.limit())
		default:
			page, more, err = scan(tx, "users", q, func(u acr.User) string { return u.ID }, func(u acr.User) string { return u.DisplayName })
		}
		return err
	})
	for i := range page {
		page[i].Password = ""
	}
	return page, more, err
}

// one is a list of what was found.
func one[R any](r R, _ int64, err error) ([]R, error) {
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return []R{r}, err
}

// scan lists objects by ID, those of the query's name or prefix.
func scan[R acr.Resource](tx *meta.Tx, kind string, q Query, id, name func(R) string) (page []R, more bool, err error) {
	prefix, shown := strings.ToLower(q.Prefix), strings.ToLower(q.Shown)
	after := acr.DirectoryID(kind, q.After).Key()
	for {
		batch, err := meta.List[R](tx, after, longestPage)
		if err != nil {
			return nil, false, err
		}
		for _, r := range batch {
			display := strings.ToLower(name(r))
			if !strings.HasPrefix(display, prefix) || shown != "" && display != shown {
				continue
			}
			if len(page) == q.limit() {
				return page, true, nil
			}
			page = append(page, r)
		}
		if len(batch) < longestPage {
			return page, false, nil
		}
		after = acr.DirectoryID(kind, id(batch[len(batch)-1])).Key()
	}
}

// UserChange is what to change of a user; nil is nothing.
type UserChange struct {
	Name, DisplayName, Mail, Password *string
	Enabled                           *bool
}

// UpdateUser changes a user. A new password, and to be disabled, revoke all that was given out before.
// Errors: fault.NotFound, Exists, Invalid, Denied.
func (s *Service) UpdateUser(ctx context.Context, idOrName string, c UserChange) (acr.User, error) {
	if err := s.mayChange(ctx, "users", "write"); err != nil {
		return acr.User{}, err
	}
	var password string
	if c.Password != nil {
		var err error
		if password, err = passwordVerifier(ctx, *c.Password); err != nil {
			return acr.User{}, err
		}
	}
	return s.updateUser(ctx, idOrName, func(u *acr.User) {
		for value, field := range map[*string]*string{c.Name: &u.Name, c.DisplayName: &u.DisplayName, c.Mail: &u.Mail} {
			if value != nil {
				*field = *value
			}
		}
		if password != "" {
			u.Password, u.SignInsSince = password, s.opt.DB.Now().UTC()
		}
		if c.Enabled != nil {
			if u.Enabled && !*c.Enabled {
				u.SignInsSince = s.opt.DB.Now().UTC()
			}
			u.Enabled = *c.Enabled
		}
	})
}

func (s *Service) updateUser(ctx context.Context, idOrName string, fn func(u *acr.User)) (acr.User, error) {
	var out acr.User
	err := s.change(ctx, func(tx *meta.Tx) error {
		u, version, err := getUser(tx, idOrName)
		if err != nil {
			return err
		}
		fn(&u)
		if err := nameFree(tx, u); err != nil {
			return err
		}
		out = u
		return meta.Put(tx, acr.DirectoryID("users", u.ID), u, version)
	})
	out.Password = ""
	return out, err
}

// ChangePassword gives a user who knows the old password a new one. Errors: a Refusal; fault.TooMany, Invalid.
func (s *Service) ChangePassword(ctx context.Context, name, old, password, address string) error {
	a, err := s.known(s.signIn(ctx, name, old, address))
	if err != nil {
		return err
	}
	verifier, err := passwordVerifier(ctx, password)
	if err != nil {
		return err
	}
	_, err = s.updateUser(ctx, a.ID, func(u *acr.User) { u.Password, u.SignInsSince = verifier, s.opt.DB.Now().UTC() })
	return err
}

// RevokeSignIns has the user's tokens, given out until now, hold no more. A user may do so for themselves.
func (s *Service) RevokeSignIns(ctx context.Context, idOrName string) error {
	if id, ok := auth.Who(ctx); ok {
		if p, ok := id.Principal(); ok && p.Type == acr.UserPrincipal && (strings.EqualFold(p.ID, idOrName) || strings.EqualFold(p.Name, idOrName)) {
			idOrName = p.ID
		} else if err := s.mayChange(ctx, "users", "write"); err != nil {
			return err
		}
	} else if err := s.mayChange(ctx, "users", "write"); err != nil {
		return err
	}
	_, err := s.updateUser(ctx, idOrName, func(u *acr.User) { u.SignInsSince = s.opt.DB.Now().UTC() })
	return err
}

// DeleteUser removes a user, from groups too. Errors: fault.NotFound, Denied.
func (s *Service) DeleteUser(ctx context.Context, idOrName string) error {
	if err := s.mayChange(ctx, "users", "delete"); err != nil {
		return err
	}
	return s.change(ctx, func(tx *meta.Tx) error {
		u, _, err := getUser(tx, idOrName)
		if err != nil {
			return err
		}
		return remove(tx, "users", u.ID)
	})
}

// remove deletes an object, and takes it out of the groups that it is in.
func remove(tx *meta.Tx, kind, id string) error {
	groups, err := meta.Find[acr.Group](tx, "member:"+id, maxGroups)
	if err != nil {
		return err
	}
	for _, found := range groups {
		g, version, err := get[acr.Group](tx, "groups", found.ID)
		if err != nil {
			return err
		}
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return m == id })
		if err := meta.Put(tx, acr.DirectoryID("groups", g.ID), g, version); err != nil {
			return err
		}
	}
	_, err = meta.Delete(tx, acr.DirectoryID(kind, id))
	return err
}

// signIn checks a user's password. A name that nobody has takes as long as one that somebody has.
// Errors: a Refusal: fault.Unauthenticated, TooMany; fault.NotFound where nobody has the name.
func (s *Service) signIn(ctx context.Context, name, password, address string) (actor, error) {
	if password == "" || len(password) > longestPassword || len(name) > maxName {
		return actor{}, wrong()
	}
	var u acr.User
	err := s.opt.DB.View(ctx, func(tx *meta.Tx) (err error) { u, _, err = getUser(tx, name); return err })
	unknown := errors.Is(err, fault.NotFound)
	if err != nil && !unknown {
		return actor{}, err
	}
	if acr.GUID(strings.ToLower(name)) {
		u, unknown = acr.User{}, true // who signs in has a name, not a number
	}
	match, failure := s.guess.match(ctx, []string{u.Password}, password, name, address)
	switch {
	case failure != nil:
		return actor{}, failure
	case unknown:
		return actor{}, missing("users", name)
	case match < 0:
		return actor{}, wrong()
	case !u.Enabled:
		return actor{}, refuse(disabledUser, "The user account is disabled.")
	}
	s.used(ctx, "users/"+u.ID)
	return s.actor(ctx, u.ID)
}

// known is signIn for who must not learn who there is.
func (s *Service) known(a actor, err error) (actor, error) {
	if errors.Is(err, fault.NotFound) {
		err = wrong()
	}
	return a, err
}

func wrong() error {
	return refuse(wrongPassword, "Error validating credentials due to invalid username or password.")
}

// used notes that something was used. That is never a reason to refuse its use.
func (s *Service) used(ctx context.Context, what string) {
	if err := s.opt.DB.Note(ctx, func(tx *meta.Tx) error { return tx.Use("directory/" + what) }); err != nil {
		s.opt.Log.WarnContext(ctx, "last use not noted", "of", what, "error", err)
	}
}
