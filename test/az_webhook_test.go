package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// webhookCall is a request that came to a webhook's receiver.
type webhookCall struct {
	at     time.Time
	path   string
	header http.Header
	body   []byte
	event  webhookEvent
}

type webhookEvent struct {
	ID, Timestamp, Action string
	Target                struct{ MediaType, Digest, Repository, Tag string }
	Request               struct{ ID, Host, Method, UserAgent string }
}

// webhookReceiver is told things. Its answers are those of answer.
type webhookReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []webhookCall
	answer http.HandlerFunc
}

func newWebhookReceiver(t testing.TB) *webhookReceiver {
	r := &webhookReceiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

func (r *webhookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c := webhookCall{at: time.Now(), path: req.URL.Path, header: req.Header.Clone()}
	c.body, _ = io.ReadAll(req.Body)
	_ = json.Unmarshal(c.body, &c.event)
	r.mu.Lock()
	r.calls = append(r.calls, c)
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(w, req)
	}
}

func (r *webhookReceiver) answers(with http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer, r.calls = with, nil
}

// waitFor waits for so many calls and gives them.
func (r *webhookReceiver) waitFor(t testing.TB, n int) (calls []webhookCall) {
	t.Helper()
	within(t, 20*time.Second, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if calls = r.calls; len(calls) < n {
			return fmt.Errorf("%d calls, not %d", len(calls), n)
		}
		return nil
	})
	return calls
}

// toldEvent is what list-events shows.
type toldEvent struct {
	ID                  string
	EventRequestMessage struct {
		Method, RequestURI string
		Headers            map[string]string
		Content            webhookEvent
	}
	EventResponseMessage *struct {
		StatusCode, ReasonPhrase, Content string
	}
}

// A receiver is told of pushes and deletions, signed; it fails, redirects and comes back; pings and lists tell of it.
func TestAzWebhookDelivery(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		to := newWebhookReceiver(t)
		admin := c.admin(t)
		const secret = "c2VjcmV0"
		a.do("acr", "webhook", "create", "-r", cloudName, "-n", "builds", "--uri", to.URL+"/hook?code=hidden", "--actions", "push", "delete", "--scope", "team/app:*",
			"--headers", "Authorization=Bearer 123", "Content-Type=application/vnd.told+json", "X-Acre-Signing-Secret=whsec_"+secret)

		var ping struct{ ID string }
		a.json(&ping, "acr", "webhook", "ping", "-r", cloudName, "-n", "builds")
		if calls := to.waitFor(t, 1); calls[0].event.ID != ping.ID || calls[0].event.Action != "ping" || calls[0].path != "/hook" {
			t.Errorf("pinged: %s", calls[0].body)
		}

		to.answers(nil)
		began := time.Now()
		if _, _, err := admin.pushImage("team/app", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := admin.pushImage("team/other", "v1", []byte("a layer")); err != nil {
			t.Fatal(err)
		}
		first := to.waitFor(t, 1)[0]
		t.Logf("the push and its event took %s", first.at.Sub(began))
		if e := first.event; e.Action != "push" || e.Target.Repository != "team/app" || e.Target.Tag != "v1" || e.Request.Host != cloudHost || e.Request.Method != "PUT" {
			t.Errorf("told: %s", first.body)
		}
		if first.header.Get("Authorization") != "Bearer 123" || first.header.Get("Content-Type") != "application/vnd.told+json" {
			t.Errorf("headers: %v", first.header)
		}
		key, _ := base64.StdEncoding.DecodeString(secret)
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", first.header.Get("Webhook-Id"), first.header.Get("Webhook-Timestamp"), first.body)
		if first.header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature: %v", first.header)
		}

		troubledWebhook(t, to, admin)
		listedWebhook(t, a)

		to.answers(nil)
		a.do("acr", "repository", "delete", "-n", cloudName, "--repository", "team/app", "--yes", "-u", cloudName, "-p", c.password)
		for _, call := range to.waitFor(t, 2) {
			if e := call.event; e.Action != "delete" || e.Target.Digest == "" || e.Target.Repository != "team/app" || e.Request.Method != "DELETE" {
				t.Errorf("told of a deletion: %s", call.body)
			}
		}
	})
}

// troubledWebhook has the receiver fail and redirect before it takes what is pushed next.
func troubledWebhook(t *testing.T, to *webhookReceiver, admin *client) {
	t.Helper()
	elsewhere := newWebhookReceiver(t)
	n := 0
	to.answers(func(w http.ResponseWriter, r *http.Request) {
		switch n++; n { // one call at a time: they are of one repository
		case 1:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case 2:
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	})
	for _, tag := range []string{"v2", "v3"} {
		if _, _, err := admin.pushImage("team/app", tag, []byte("a layer of "+tag)); err != nil {
			t.Fatal(err)
		}
	}
	calls := to.waitFor(t, 4)
	var got []string
	for _, call := range calls {
		got = append(got, call.event.Target.Tag)
	}
	if strings.Join(got, " ") != "v2 v2 v2 v3" || calls[0].event.ID != calls[2].event.ID {
		t.Errorf("told of %v", got)
	}
	elsewhere.mu.Lock()
	defer elsewhere.mu.Unlock()
	if len(elsewhere.calls) != 0 {
		t.Error("a redirect to another host was followed")
	}
}

func listedWebhook(t *testing.T, a az) {
	t.Helper()
	var events []toldEvent
	within(t, 20*time.Second, func() error {
		if a.json(&events, "acr", "webhook", "list-events", "-r", cloudName, "-n", "builds"); len(events) != 4 || events[0].EventResponseMessage == nil {
			return fmt.Errorf("%d events", len(events))
		}
		return nil
	})
	for i, want := range []string{"v3", "v2", "v1", ""} {
		e := events[i]
		if e.EventRequestMessage.Content.Target.Tag != want || e.ID != e.EventRequestMessage.Content.ID || e.EventResponseMessage.StatusCode != "200" || e.EventRequestMessage.Method != "POST" {
			t.Errorf("event %d: %+v, answer %+v", i, e, e.EventResponseMessage)
		}
		if said := fmt.Sprint(e); strings.Contains(said, "hidden") || strings.Contains(said, "Bearer") || strings.Contains(said, "whsec") {
			t.Errorf("the list tells secrets: %s", said)
		}
	}
	if table := a.do("acr", "webhook", "list-events", "-r", cloudName, "-n", "builds", "-o", "table"); !strings.Contains(table, "team/app") || !strings.Contains(table, "200") {
		t.Errorf("%s", table)
	}
}

// A server that ends between a push and the note of its delivery has told it once it is back: under one ID, in order.
func TestWebhookCrash(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	to := newWebhookReceiver(t)
	c.cli(t).run(c.acre, "webhook", "create", "-r", cloudName, "-n", "builds", "--uri", to.URL, "--actions", "push")
	plain := c.server.env
	for i, point := range []string{"delivery.kept", "delivery.made", "delivery.made:2"} {
		to.answers(nil)
		if err := c.stop(); err != nil {
			t.Fatal(err)
		}
		c.server.env = append(slices.Clone(plain), "ACRE_CRASHPOINT="+point)
		err := c.start()
		c.server.env = plain
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for n := range 3 {
			tag := fmt.Sprintf("v%d.%d", i, n)
			if _, _, err := c.admin(t).pushImage("team/app", tag, []byte("a layer of "+tag)); err != nil {
				break // the server has ended
			}
			want = append(want, tag)
		}
		select {
		case <-c.proc.done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was not passed", point)
		}
		c.mustStart(t)
		var got []string
		within(t, 20*time.Second, func() error {
			got = firstTags(t, to)
			if len(got) < len(want) || len(want) == 0 {
				return fmt.Errorf("%s: told of %v, pushed %v", point, got, want)
			}
			return nil
		})
		if !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: told of %v, pushed %v", point, got, want)
		}
	}
}

// firstTags are the tags that a receiver was told of, each counted when it came first; again it must come with the same ID.
func firstTags(t *testing.T, to *webhookReceiver) (tags []string) {
	t.Helper()
	to.mu.Lock()
	defer to.mu.Unlock()
	ids := map[string]string{}
	for _, call := range to.calls {
		tag := call.event.Target.Tag
		if ids[tag] == "" {
			ids[tag] = call.event.ID
			tags = append(tags, tag)
		}
		if ids[tag] != call.event.ID {
			t.Errorf("%s came under two IDs", tag)
		}
	}
	return tags
}
