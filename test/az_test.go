package test

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// signedIn holds that az knows the subscription, and that what it hands docker is a login of the registry.
func (a az) signedIn(c *cloud) {
	a.t.Helper()
	if got := a.do("account", "show", "--query", "id", "-o", "tsv"); got != devSubscription {
		a.t.Errorf("az account show: subscription %q, want %s", got, devSubscription)
	}
	token := a.do("acr", "login", "-n", cloudName, "--expose-token", "--query", "accessToken", "-o", "tsv")
	cl := c.login(a.t, nullUser, token)
	if got := cl.must(a.t, http.StatusOK, "GET", "/v2/", nil, nil); got.Status != http.StatusOK {
		a.t.Errorf("the exposed token does not log in: %d", got.Status)
	}
}

// Everybody who may sign in with az does, and can use the registry then.
func TestAzLogin(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		cl := c.admin(t)
		if _, _, err := cl.pushImage("team/app", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		t.Run("secret", func(t *testing.T) {
			a := a.in(t).fresh().asOwner()
			a.signedIn(c)
			if got := a.do("acr", "repository", "list", "-n", cloudName, "-o", "tsv"); got != "team/app" {
				t.Errorf("az acr repository list: %q", got)
			}
		})
		t.Run("wrong secret", func(t *testing.T) {
			out := a.in(t).fresh().refused("login", "--service-principal", "-u", devOwner, "-p", "wrong", "--tenant", devTenant)
			if !strings.Contains(out, "AADSTS7000215") {
				t.Errorf("az login with a wrong secret says: %s", out)
			}
		})
		t.Run("user", func(t *testing.T) {
			a := a.in(t).fresh()
			a.do("login", "-u", devUser, "-p", devSecret)
			a.signedIn(c)
		})
		t.Run("device code", func(t *testing.T) {
			a := a.in(t).fresh()
			a.deviceLogin(c)
			a.signedIn(c)
		})
		t.Run("browser", func(t *testing.T) {
			a := a.in(t).fresh()
			a.browserLogin(c)
			a.signedIn(c)
		})
		t.Run("managed identity", func(t *testing.T) {
			c.hostIdentity(t)
			a := a.in(t).fresh()
			a.do("login", "--identity")
			a.signedIn(c)
		})
	})
}

// in is the program for a subtest.
func (a az) in(t testing.TB) az {
	a.t = t
	return a
}

// deviceLogin signs in with a code that somebody else types into the page.
func (a az) deviceLogin(c *cloud) {
	a.t.Helper()
	message := regexp.MustCompile(`open the page (\S+) and enter the code (\S+) to`)
	a.waiting([]string{"login", "--use-device-code"}, "said.log", func(said []byte) bool {
		m := message.FindSubmatch(said)
		if m == nil {
			return false
		}
		browser(a.t, c).fill(string(m[1]), map[string]string{"user_code": string(m[2]), "username": devUser, "password": devSecret})
		return true
	})
}

// browserLogin signs in on the page that az has a browser open: here, a script that writes its address down.
func (a az) browserLogin(c *cloud) {
	a.t.Helper()
	script := a.write("browser", "#!/bin/sh\nprintf '%s\\n' \"$1\" >\"$HOME/opened.log\"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		a.t.Fatal(err)
	}
	a.shell = a.with("DISPLAY=:0", "BROWSER="+script+" %s &")
	a.waiting([]string{"login"}, "opened.log", func(opened []byte) bool {
		if !bytes.HasSuffix(opened, []byte("\n")) {
			return false
		}
		browser(a.t, c).fill(strings.TrimSpace(string(opened)), map[string]string{"username": devUser, "password": devSecret})
		return true
	})
}

// waiting runs an az that waits for somebody: answer is asked with what stands in a file, again and again, until it has
// done what az waits for.
func (a az) waiting(args []string, file string, answer func([]byte) bool) {
	a.t.Helper()
	p, err := start(a.path("said.log"), a.env, a.program, args...)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(p.kill)
	within(a.t, time.Minute, func() error {
		if p.ended() {
			a.t.Fatalf("az %s ended: %v\n%s", strings.Join(args, " "), p.err, tail(p.log))
		}
		if text, err := os.ReadFile(a.path(file)); err != nil || !answer(text) {
			return os.ErrNotExist
		}
		return nil
	})
	select {
	case <-p.done:
		if p.err != nil {
			a.t.Fatalf("az %s: %v\n%s", strings.Join(args, " "), p.err, tail(p.log))
		}
	case <-time.After(time.Minute):
		a.t.Fatalf("az %s did not end within a minute\n%s", strings.Join(args, " "), tail(p.log))
	}
}

// page is a browser without scripts: it fills forms in and follows them.
type page struct {
	t    testing.TB
	http *http.Client
}

func browser(t testing.TB, c *cloud) *page {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &page{t, &http.Client{Transport: c.transport(t), Jar: jar, Timeout: time.Minute}}
}

var (
	formTag  = regexp.MustCompile(`(?is)<form([^>]*)>(.*?)</form>`)
	inputTag = regexp.MustCompile(`(?is)<(?:input|button)([^>]*)>`)
	attrs    = regexp.MustCompile(`(?is)([a-z-]+)\s*=\s*"([^"]*)"`)
)

// fill opens a page and sends its forms, one after the other, until a page has none that asks for what is known.
func (p *page) fill(at string, known map[string]string) string {
	p.t.Helper()
	res, err := p.http.Get(at)
	for range 5 {
		if err != nil {
			p.t.Fatalf("page %s: %v", at, err)
		}
		body, err1 := io.ReadAll(res.Body)
		res.Body.Close()
		if err1 != nil || res.StatusCode >= 400 {
			p.t.Fatalf("page %s: %d %v\n%s", res.Request.URL, res.StatusCode, err1, body)
		}
		form := formTag.FindSubmatch(body)
		if form == nil {
			return string(body)
		}
		values, action := url.Values{}, res.Request.URL
		for _, m := range attrs.FindAllSubmatch(form[1], -1) {
			if string(m[1]) == "action" {
				if action, err1 = res.Request.URL.Parse(unescape(m[2])); err1 != nil {
					p.t.Fatal(err1)
				}
			}
		}
		for _, in := range inputTag.FindAllSubmatch(form[2], -1) {
			at := map[string]string{}
			for _, m := range attrs.FindAllSubmatch(in[1], -1) {
				at[string(m[1])] = unescape(m[2])
			}
			if v, ok := known[at["name"]]; ok {
				at["value"] = v
			}
			if at["name"] != "" && !values.Has(at["name"]) { // of several buttons the first, which goes on
				values.Set(at["name"], at["value"])
			}
		}
		res, err = p.http.PostForm(action.String(), values)
	}
	p.t.Fatalf("page %s asks again and again", at)
	return ""
}

func unescape(b []byte) string {
	return html.UnescapeString(string(b))
}
