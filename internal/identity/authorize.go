package identity

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// question is a request to the authorize endpoint. All of it is in the query, and stays there from page to page: nothing
// is kept here until somebody signs in.
type question struct {
	directory.Authorization
	query url.Values
}

func (c *call) question() question {
	q := c.r.URL.Query()
	return question{directory.Authorization{
		Tenant: c.words[0], ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri"), ResponseType: q.Get("response_type"),
		Scope: q.Get("scope"), Resource: q.Get("resource"), Nonce: q.Get("nonce"),
		Challenge: q.Get("code_challenge"), Method: q.Get("code_challenge_method"),
	}, q}
}

// authorize answers GET /{t}/oauth2/v2.0/authorize with the page to sign in on.
func (f *Face) authorize(c *call) error {
	q := c.question()
	name, err := f.checkQuestion(c, q)
	if name == "" || err != nil {
		return err
	}
	if q.query.Get("prompt") == "none" { // nobody is ever signed in here without a password
		return f.tell(c, q, url.Values{"error": {"login_required"}, "error_description": {
			"AADSTS50058: A silent sign-in request was sent but no user is signed in.",
		}}, name)
	}
	return f.showSignIn(c, q, view{App: name, User: q.query.Get("login_hint")}, http.StatusOK)
}

// checkQuestion is the name of the client that asks; "" where the client has been told already that it may not.
func (f *Face) checkQuestion(c *call, q question) (name string, err error) {
	name, err = f.opt.Directory.CheckAuthorization(c.r.Context(), q.Authorization)
	if err == nil {
		switch mode := q.query.Get("response_mode"); mode {
		case "", "query", "form_post":
		default:
			err = failure(fault.Invalid, "invalid_request", 700054, "The response_mode '"+mode+"' is not supported: use query or form_post.")
		}
	}
	if r, ok := directory.RefusalOf(err); ok && r.ToClient {
		c.refused(err)
		return "", f.tell(c, q, url.Values{"error": {r.OAuth}, "error_description": {describe(*r)}}, "the application")
	}
	return name, err
}

func (f *Face) showSignIn(c *call, q question, v view, status int) error {
	v.Title, v.Action = "Sign in", c.r.URL.EscapedPath()+"?"+c.r.URL.RawQuery
	if strings.HasPrefix(v.Action, "//") { // a browser would take it for a host
		v.Action = "/" + strings.TrimLeft(v.Action, "/")
	}
	if u, err := url.Parse(q.RedirectURI); err == nil {
		v.Target = u.Host
	}
	return show(c.w, status, "signin", v, q.RedirectURI)
}

// signIn answers the form of that page: with the code, or with the page once more.
func (f *Face) signIn(c *call) error {
	c.login = &login{}
	if err := f.sameOrigin(c); err != nil {
		return err
	}
	form, err := c.form()
	if err != nil {
		return err
	}
	user := form.Get("username")
	q := c.question()
	c.login.name, c.login.client = user, q.ClientID
	name, err := f.checkQuestion(c, q)
	if name == "" || err != nil {
		return err
	}
	code, err := f.opt.Directory.Authorize(c.r.Context(), q.Authorization, user, form.Get("password"), c.info.Address.String())
	if why, status, again := wrongEntry(err); again {
		c.refused(err)
		return f.showSignIn(c, q, view{App: name, User: user, Wrong: why}, status)
	}
	if err != nil {
		return err
	}
	c.info.Actor = user
	return f.tell(c, q, url.Values{"code": {code}, "session_state": {web.RequestID(c.r.Context())}}, name)
}

// wrongEntry tells whether an error is one that the user may mend by typing something else, and how the page says it.
func wrongEntry(err error) (text string, status int, again bool) {
	r, ok := directory.RefusalOf(err)
	if !ok || r.ToClient || !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.TooMany) {
		return "", 0, false
	}
	return r.Err.Message, column[r.Err.Kind].status, true
}

// tell sends the browser back to the client, in the way that it asked for. What the address holds already stays.
func (f *Face) tell(c *call, q question, answer url.Values, name string) error {
	if state := q.query.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if q.query.Get("response_mode") == "form_post" {
		v := view{Title: "One moment", App: name, Action: q.RedirectURI}
		for _, key := range []string{"code", "state", "session_state", "error", "error_description"} {
			if answer.Has(key) {
				v.Fields = append(v.Fields, field{key, answer.Get(key)})
			}
		}
		return show(c.w, http.StatusOK, "post", v, q.RedirectURI)
	}
	to, err := url.Parse(q.RedirectURI)
	if err != nil {
		return err // the directory has parsed it
	}
	all := to.Query()
	for key := range answer {
		all.Set(key, answer.Get(key))
	}
	to.RawQuery = all.Encode()
	c.w.Header().Set("Location", to.String())
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	c.w.WriteHeader(http.StatusFound)
	return nil
}

// sameOrigin refuses forms that another site's page sends. Errors: fault.Denied.
func (f *Face) sameOrigin(c *call) error {
	if err := f.origins.Check(c.r); err != nil {
		return fault.New(fault.Denied, "this form was sent from another site: open the page here and fill it in there: %w", err)
	}
	return nil
}

// logout answers /{t}/oauth2/v2.0/logout. There is no session to end.
func (f *Face) logout(c *call) error {
	return show(c.w, http.StatusOK, "message", view{
		Title: "Signed out", Text: "No sign-in is kept in this browser. An application that you signed in to keeps its own: sign out there.",
	})
}

// nativeClient answers /{t}/oauth2/nativeclient, where the browsers of programs end that read the address and not the page.
func (f *Face) nativeClient(c *call) error {
	return show(c.w, http.StatusOK, "message", view{Title: "You are signed in", Text: "Go back to your application. You may close this page."})
}
