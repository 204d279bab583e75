package identity

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
)

// login is a request to sign in, and what came of it.
type login struct {
	name   string // who it was said to be, then who it is
	client string // the application by which it came
	token  string // the ID of the token that was given out
	failed error  // why it was refused, where the answer is no error's: a page to try again on, or a redirect
	reason string // of what is no refusal and no sign-in either
}

// granted notes whose token was given out.
func (l *login) granted(t directory.Tokens) {
	l.name, l.client, l.token = t.Name, t.ClientID, t.TokenID
}

// refused notes why a sign-in is refused by an answer that is no error's.
func (c *call) refused(err error) {
	if c.login != nil {
		c.login.failed = err
	}
}

// recordLogin hands a sign-in, good or bad, to the audit, among what belongs to no registry. A device that asks whether its
// user has decided is none.
func (f *Face) recordLogin(c *call, failed error) {
	if f.opt.Audit == nil || c.login == nil {
		return
	}
	if failed == nil {
		failed = c.login.failed
	}
	e := audit.LoginEvent{
		Request: audit.Request{
			LoginServer: c.r.Host, Address: c.info.Address, UserAgent: c.r.UserAgent(), ID: c.info.ID, Began: c.began,
			Status: c.info.Status, Reason: c.login.reason,
		},
		Identity: c.login.name, AppID: c.login.client, JwtID: c.login.token, Throttled: errors.Is(failed, fault.TooMany),
	}
	if failed == nil {
		e.Tenant = f.opt.Directory.Tenant()
		f.opt.Audit.Login(c.r.Context(), e)
		return
	}
	why, status := refusal(failed)
	if why.OAuth == "authorization_pending" || why.OAuth == "slow_down" {
		return
	}
	if e.Status < http.StatusBadRequest { // a redirect tells the client of it, or the error is rendered after this
		e.Status = status
	}
	e.Reason = why.OAuth
	if why.Number != 0 {
		e.Reason = "AADSTS" + strconv.Itoa(why.Number)
	}
	f.opt.Audit.Login(c.r.Context(), e)
}
