package identity

import (
	"net/http"
	"strconv"
	"time"

	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/web"
)

// deviceCode answers POST /{t}/oauth2/v2.0/devicecode and that of version 1.
func (f *Face) deviceCode(c *call) error {
	r, err := c.request()
	if err != nil {
		return err
	}
	d, err := f.opt.Directory.BeginDevice(c.r.Context(), r)
	if err != nil {
		return err
	}
	c.info.Actor = r.ClientID
	life, interval := int(time.Until(d.Expires).Round(time.Second).Seconds()), int(d.Interval.Seconds())
	where := origin(c.r) + "/devicelogin"
	type answer struct {
		UserCode string `json:"user_code"`
		Code     string `json:"device_code"`
		URI      string `json:"verification_uri"`
		URL      string `json:"verification_url"` // the name of version 1
		Expires  any    `json:"expires_in"`
		Interval any    `json:"interval"`
		Message  string `json:"message"` // az prints it as it is
	}
	a := answer{d.UserCode, d.Code, where, where, life, interval,
		"To sign in, use a web browser to open the page " + where + " and enter the code " + d.UserCode + " to authenticate."}
	if r.Resource != "" && r.Scope == "" { // version 1, whose numbers are strings
		a.Expires, a.Interval = strconv.Itoa(life), strconv.Itoa(interval)
	}
	return web.WriteJSON(c.w, http.StatusOK, a)
}

// devicePage answers GET /devicelogin: the page to type a code on.
func (f *Face) devicePage(c *call) error {
	return show(c.w, http.StatusOK, "code", view{Title: "Enter the code", Action: "/devicelogin", Code: c.r.URL.Query().Get("user_code")})
}

// deviceSignIn answers the forms of both pages: the one with the code, and the one with the name and password.
func (f *Face) deviceSignIn(c *call) error {
	c.login = &login{}
	if err := f.sameOrigin(c); err != nil {
		return err
	}
	form, err := c.form()
	if err != nil {
		return err
	}
	c.login.name = form.Get("username")
	ctx, address, code := c.r.Context(), c.info.Address.String(), form.Get("user_code")
	client, name, err := f.opt.Directory.DeviceAsked(ctx, code, address)
	c.login.client = client
	if why, status, again := wrongEntry(err); again {
		c.refused(err)
		return show(c.w, status, "code", view{Title: "Enter the code", Action: "/devicelogin", Code: code, Wrong: why})
	}
	if err != nil {
		return err
	}
	by := directory.Decision{
		UserCode: code, Username: form.Get("username"), Password: form.Get("password"), Address: address, Decline: form.Get("answer") == "decline",
	}
	confirm := view{Title: "Sign in on another device?", Action: "/devicelogin", App: name, Code: code, User: by.Username}
	switch {
	case by.Decline && by.Password == "": // only who signs in may speak for the device
		c.login = nil
		return show(c.w, http.StatusOK, "message", view{Title: "Cancelled", Text: "Nobody was signed in. The code ends by itself; you may close this page."})
	case form.Get("answer") == "":
		c.login = nil
		return show(c.w, http.StatusOK, "confirm", confirm)
	}
	err = f.opt.Directory.DecideDevice(ctx, by)
	if why, status, again := wrongEntry(err); again {
		c.refused(err)
		confirm.Wrong = why
		return show(c.w, status, "confirm", confirm)
	}
	if err != nil {
		return err
	}
	c.info.Actor = by.Username
	done := view{Title: "You are signed in", Text: "Go back to " + name + " on your device. You may close this page."}
	if by.Decline {
		c.login.reason = "authorization_declined"
		done = view{Title: "Declined", Text: name + " was not signed in. You may close this page."}
	}
	return show(c.w, http.StatusOK, "message", done)
}
