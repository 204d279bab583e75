package identity

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed templates/style.css
var style string

//go:embed templates/page.html
var pages string

var templates = template.Must(template.New("").Parse(pages))

// submit sends the form of a page that has only one, for who does not want to press its button.
const submit = "document.forms[0].submit()"

// view is what a page shows.
type view struct {
	Title  string
	App    string // the application that asks
	Action string // where the form goes
	Target string // where the browser is sent in the end
	User   string
	Code   string
	Wrong  string // what was wrong with the last try
	Text   string
	Fields []field
	Style  template.CSS
	Script template.JS
}

// field is a hidden one of a form.
type field struct{ Name, Value string }

// show writes a page. Its forms may lead here, and to the origins of targets. Nothing is loaded from elsewhere, no other
// site may frame it, and it is kept nowhere.
func show(w http.ResponseWriter, status int, name string, v view, targets ...string) error {
	v.Style, v.Script = template.CSS(style), submit
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	policy := "default-src 'none'; img-src data:; base-uri 'none'; frame-ancestors 'none'; style-src " + hashed(style) +
		"; form-action 'self'"
	for _, t := range targets {
		if o := formTarget(t); o != "" {
			policy += " " + o
		}
	}
	if name == "post" {
		policy += "; script-src " + hashed(submit)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would take the Origin from our own forms
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that went away is noticed by net/http
	return nil
}

// hashed is the source expression of an inline style or script.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// formTarget is the source expression of a URL's origin; "" where it has none that a policy can name.
func formTarget(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Host == "":
		return u.Scheme + ":"
	case strings.ContainsAny(u.Host, " ;,'\""):
		return ""
	}
	return u.Scheme + "://" + u.Host
}
