package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

const secret = "s3cret"

// hooks are the webhooks of a test; changing them moves the store's generation, as writing a resource does.
type hooks struct {
	db *meta.DB

	mu   sync.Mutex
	list []acr.WebhookTarget
}

func (h *hooks) WebhookTargets(context.Context) ([]acr.WebhookTarget, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list), nil
}

func (h *hooks) WebhookTarget(_ context.Context, id arm.ID, _ string) (acr.WebhookTarget, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.list {
		if w.Name == id.Name() {
			return w, nil
		}
	}
	return acr.WebhookTarget{}, fault.New(fault.NotFound, "webhook %s does not exist", id.Name())
}

func (h *hooks) set(t *testing.T, list ...acr.WebhookTarget) {
	t.Helper()
	h.mu.Lock()
	h.list = list
	h.mu.Unlock()
	if err := h.db.Update(context.Background(), func(tx *meta.Tx) error { return tx.PutSecret("any", []byte("any")) }); err != nil {
		t.Fatal(err)
	}
}

// told is a request that came to the receiver.
type told struct {
	at      time.Time
	host    string
	header  http.Header
	body    []byte
	payload payload
}

// receiver is an HTTP server on pipes, so that it lives in a bubble's time. What answer says becomes of a request.
type receiver struct {
	conns  chan net.Conn
	closed chan struct{}
	server *http.Server

	mu     sync.Mutex
	got    []told
	answer func(w http.ResponseWriter, r *http.Request, t told)
	down   bool
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{conns: make(chan net.Conn), closed: make(chan struct{})}
	r.server = &http.Server{Handler: r}
	ended := make(chan error, 1)
	go func() { ended <- r.server.Serve(r) }()
	t.Cleanup(func() {
		_ = r.server.Close()
		<-ended
	})
	return r
}

func (r *receiver) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

func (r *receiver) Close() error   { close(r.closed); return nil }
func (r *receiver) Addr() net.Addr { return &net.UnixAddr{Name: "receiver"} }

func (r *receiver) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	down := r.down
	r.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case r.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *receiver) set(down bool, answer func(w http.ResponseWriter, r *http.Request, t told)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.answer = down, answer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	t := told{at: time.Now(), host: req.Host, header: req.Header.Clone()}
	t.body, _ = io.ReadAll(req.Body)
	_ = json.Unmarshal(t.body, &t.payload)
	r.mu.Lock()
	r.got = append(r.got, t)
	answer := r.answer
	r.mu.Unlock()
	w.Header().Set("Connection", "close")
	if answer != nil {
		answer(w, req, t)
	}
}

func (r *receiver) all() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// rig is a store with a registry, a queue that follows its log, and a service that delivers.
type rig struct {
	t        *testing.T
	db       *meta.DB
	hooks    *hooks
	to       *receiver
	s        *Service
	q        *job.Queue
	registry int64
	stop     func() // both
	quiet    func() // the queue, whose polls are most of what a day in a bubble takes
}

// inBubble runs fn once for each dialect in virtual time.
func inBubble(t *testing.T, fn func(r *rig)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := store(t)
			synctest.Test(t, func(t *testing.T) { fn(newRig(t, metatest.Open(t, url, meta.Options{}))) })
		})
	}
}

func newRig(t *testing.T, db *meta.DB) *rig {
	t.Helper()
	r := &rig{t: t, db: db, hooks: &hooks{db: db}, to: newReceiver(t)}
	if err := db.Update(context.Background(), func(tx *meta.Tx) (err error) {
		r.registry, err = tx.CreateRegistry("main")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

// start runs a new service and a new queue on the store, as a new process would.
func (r *rig) start() {
	r.s = New(Options{DB: r.db, Webhooks: r.hooks, Version: "1.2.3", Dial: r.to.dial})
	r.q = job.New(job.Options{DB: r.db})
	r.q.FollowPages("webhooks", r.s.Follow)
	begin := func(run func(context.Context) error) func() {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		return sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				r.t.Errorf("ended: %v", err)
			}
		})
	}
	service := begin(r.s.Run)
	r.quiet = begin(r.q.Run)
	r.stop = func() { r.quiet(); service() }
}

// hook is a webhook of the registry.
func (r *rig) hook(name, scope string, actions ...acr.WebhookAction) acr.WebhookTarget {
	return acr.WebhookTarget{
		Webhook: acr.Webhook{Name: name, Status: acr.WebhookEnabled, Scope: scope, Actions: actions},
		Key:     acr.WebhookKey("uid", name), Registry: "main", Number: r.registry,
		To: acr.WebhookCallback{ServiceURI: "http://receiver.example.com/" + name + "?code=1"},
	}
}

func (r *rig) append(events ...acr.Event) {
	r.t.Helper()
	err := r.db.Change(context.Background(), r.registry, func(tx *meta.Tx) error {
		for _, e := range events {
			if err := tx.Append(&e); err != nil {
				return err
			}
		}
		tx.OnCommit(r.q.Wake)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) list(name string) []Event {
	r.t.Helper()
	events, _, err := r.s.Events(context.Background(), idOf(name), Page{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	return events
}

func idOf(name string) arm.ID {
	return arm.ID{Provider: arm.Provider, Types: []string{"registries", "webhooks"}, Names: []string{"main", name}}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func pushed(repo, tag string) acr.Event {
	return acr.Event{
		Kind: acr.ManifestPushed, Repository: repo, Tag: tag, Digest: "sha256:0123", MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 524,
		RequestID: "3cbb6949-7549-4fa1-86cd-a6d5451dffc7", Request: acr.EventCall{Host: "main.azurecr.io", Method: "PUT", UserAgent: "docker/29.0"},
	}
}

func fail(status int) func(http.ResponseWriter, *http.Request, told) {
	return func(w http.ResponseWriter, _ *http.Request, _ told) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "not now")
	}
}

// A receiver that is down for an hour is told every event once, signed, and in the order of each repository.
func TestOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		w := r.hook("builds", "", push)
		w.To.CustomHeaders = map[string]string{"Authorization": "Bearer 1", "content-type": "application/x-told", acr.SigningSecret: secret}
		r.hooks.set(r.t, w)
		r.to.set(true, nil)
		want := map[string][]string{}
		for i := range 60 {
			repo, tag := fmt.Sprintf("app%d", i%3), fmt.Sprintf("v%d", i)
			want[repo] = append(want[repo], tag)
			r.append(pushed(repo, tag))
			pass(time.Minute)
			switch i {
			case 20:
				r.to.set(false, fail(http.StatusServiceUnavailable))
			case 30: // hangs
				r.to.set(false, func(_ http.ResponseWriter, req *http.Request, _ told) { <-req.Context().Done() })
			case 40:
				r.to.set(true, nil)
			case 50: // another process takes over
				r.stop()
				r.start()
			}
		}
		failed := len(r.to.all())
		if failed < 5 {
			r.t.Fatalf("%d attempts in an hour", failed)
		}
		r.to.set(false, nil)
		pass(11 * time.Minute)
		got, ids := map[string][]string{}, map[string]bool{}
		for _, c := range r.to.all()[failed:] {
			got[c.payload.Target.Repository] = append(got[c.payload.Target.Repository], c.payload.Target.Tag)
			ids[c.header.Get("Webhook-Id")] = true
			checkSigned(r.t, c)
			if c.header.Get("Authorization") != "Bearer 1" || c.header.Get("Content-Type") != "application/x-told" || c.header.Get("User-Agent") != "acre-webhook/1.2.3" {
				r.t.Fatalf("headers: %v", c.header)
			}
			if c.header.Get(acr.SigningSecret) != "" || strings.Contains(fmt.Sprint(c.header), secret) {
				r.t.Fatalf("the secret was sent: %v", c.header)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(ids) != 60 {
			r.t.Errorf("%d events arrived:\n%v\nwant\n%v", len(ids), got, want)
		}
		for _, e := range r.list("builds") {
			if text := fmt.Sprint(e); e.State != "delivered" || strings.Contains(text, "Bearer") || strings.Contains(text, "code=1") || strings.Contains(text, secret) {
				r.t.Fatalf("listed: %s", text)
			}
		}
	})
}

func checkSigned(t *testing.T, c told) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s.%s", c.header.Get("Webhook-Id"), c.header.Get("Webhook-Timestamp"), c.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); c.header.Get("Webhook-Signature") != want {
		t.Fatalf("signature %s, want %s", c.header.Get("Webhook-Signature"), want)
	}
	if c.header.Get("Webhook-Id") != c.payload.ID {
		t.Fatalf("delivery %s of event %s", c.header.Get("Webhook-Id"), c.payload.ID)
	}
}

// What nobody takes for a day is given up, and can be replayed under its ID.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.hooks.set(r.t, r.hook("builds", "", push))
		r.to.set(false, fail(http.StatusTeapot))
		r.append(pushed("app", "v1"), pushed("app", "v2"))
		pass(time.Second)
		r.quiet()
		pass(time.Hour)
		r.stop()
		pass(22 * time.Hour)
		r.start()
		r.quiet()
		pass(10 * time.Minute)
		if got := statesOf(r.list("builds")); got != "[waiting waiting]" {
			r.t.Fatalf("after 23 hours: %s", got)
		}
		pass(2 * time.Hour)
		if got := statesOf(r.list("builds")); got != "[dead dead]" {
			r.t.Fatalf("after 25 hours: %s", got)
		}
		tries := len(r.to.all())
		if tries < 15 || tries > 30 {
			r.t.Errorf("%d attempts in two hours", tries)
		}
		last := r.list("builds")[1]
		if last.Answer.Status != http.StatusTeapot || last.Answer.Body != "not now" || last.Attempts != tries {
			r.t.Errorf("the last attempt: %+v", last)
		}
		pass(time.Hour)
		if len(r.to.all()) != tries {
			r.t.Error("it is tried after it was given up")
		}
		r.to.set(false, nil)
		again, err := r.s.Replay(context.Background(), idOf("builds"), nil)
		if err != nil || len(again) != 2 {
			r.t.Fatalf("replay: %v %v", again, err)
		}
		pass(11 * time.Minute)
		all := r.to.all()[tries:]
		if len(all) != 2 || all[0].payload.ID != last.ID || all[0].payload.Target.Tag != "v1" || all[1].payload.Target.Tag != "v2" {
			r.t.Errorf("replayed: %+v", all)
		}
		if _, err := r.s.Replay(context.Background(), idOf("builds"), []string{"nothing"}); !errors.Is(err, fault.NotFound) {
			r.t.Errorf("replay of what was not told: %v", err)
		}
	})
}

// What ended is shown for a month.
func TestSweep(t *testing.T) {
	t.Parallel()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			var later atomic.Int64
			db := metatest.Open(t, store(t), meta.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
			s := New(Options{DB: db})
			left := func() (n int) {
				t.Helper()
				err := errors.Join(s.Sweep(context.Background()), db.Look(context.Background(), func(tx *meta.Tx) error {
					rows, err := tx.Deliveries("uid/builds", 0, 10)
					n = len(rows)
					return err
				}))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			if err := db.Update(context.Background(), func(tx *meta.Tx) error {
				for _, event := range []string{"ends", "waits"} {
					if err := tx.Deliver(meta.Delivery{Webhook: "uid/builds", Repository: "app", Event: event, Payload: []byte("{}")}); err != nil {
						return err
					}
				}
				waiting, err := tx.Waiting(meta.Lane{Webhook: "uid/builds", Repository: "app"}, 1)
				if err != nil {
					return err
				}
				return tx.Attempted(waiting[0].ID, []byte("{}"), meta.DeliveryDead)
			}); err != nil {
				t.Fatal(err)
			}
			later.Store(int64(29 * 24 * time.Hour))
			if n := left(); n != 2 {
				t.Errorf("after 29 days there are %d", n)
			}
			later.Store(int64(31 * 24 * time.Hour))
			if n := left(); n != 1 {
				t.Errorf("after 31 days there are %d, not the one that waits", n)
			}
		})
	}
}

func statesOf(list []Event) string {
	var out []string
	for _, e := range list {
		out = append(out, e.State)
	}
	return fmt.Sprint(out)
}

// One repository whose deliveries fail holds up nobody else's; a webhook that hangs leaves workers to others.
func TestLanes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.hooks.set(r.t, r.hook("picky", "", push), r.hook("hangs", "", push))
		r.to.set(false, func(w http.ResponseWriter, req *http.Request, c told) {
			if req.URL.Path == "/hangs" {
				<-req.Context().Done()
			} else if c.payload.Target.Repository == "bad" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		r.append(pushed("bad", "v1"), pushed("bad", "v2"))
		for i := range 100 {
			r.append(pushed(fmt.Sprintf("app%d", i), "v1"))
		}
		pass(15 * time.Second)
		good, bad := 0, map[string]int{}
		for _, c := range r.to.all() {
			switch {
			case c.payload.Target.Repository == "bad":
				bad[c.payload.Target.Tag]++
			default:
				good++
			}
		}
		if bad["v1"] < 2 || bad["v2"] != 0 {
			r.t.Errorf("bad lane: %v", bad)
		}
		done := 0
		for _, e := range r.list("picky") {
			if e.State == "delivered" {
				done++
			}
		}
		if done != 100 {
			r.t.Errorf("%d of 100 delivered beside a failing repository and a webhook that hangs", done)
		}
	})
}

// Redirects are followed on the same host and with the same method only.
func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, to string
		status   int
		want     string
		calls    int
	}{
		{"same host", "/there", http.StatusTemporaryRedirect, "delivered", 2},
		{"another host", "http://169.254.169.254/latest", http.StatusTemporaryRedirect, "waiting", 1},
		{"another port", "http://receiver.example.com:8080/there", http.StatusPermanentRedirect, "waiting", 1},
		{"as a GET", "/there", http.StatusFound, "waiting", 1},
		{"in circles", "/builds?code=1", http.StatusTemporaryRedirect, "waiting", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(r *rig) {
				r.hooks.set(r.t, r.hook("builds", "", push))
				r.to.set(false, func(w http.ResponseWriter, req *http.Request, _ told) {
					if req.URL.Path == "/builds" {
						http.Redirect(w, req, c.to, c.status)
					}
				})
				r.append(pushed("app", "v1"))
				pass(300 * time.Millisecond)
				if got := r.list("builds"); len(got) != 1 || got[0].State != c.want || len(r.to.all()) != c.calls {
					r.t.Errorf("%d calls, %+v", len(r.to.all()), got)
				}
			})
		})
	}
}

// A ping is told once, to a webhook that is disabled too, and shows in the list.
func TestPing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		w := r.hook("builds", "", push)
		w.Status = acr.WebhookDisabled
		r.hooks.set(r.t, w)
		id, err := r.s.Ping(context.Background(), idOf("builds"))
		if err != nil {
			r.t.Fatal(err)
		}
		pass(200 * time.Millisecond)
		r.to.set(false, fail(http.StatusBadGateway))
		second, err := r.s.Ping(context.Background(), idOf("builds"))
		if err != nil {
			r.t.Fatal(err)
		}
		r.append(pushed("app", "v1"))
		pass(time.Hour)
		list := r.list("builds")
		if len(list) != 2 || list[0].ID != second || list[0].State != "dead" || list[0].Answer.Status != 502 || list[1].ID != id || list[1].State != "delivered" {
			r.t.Errorf("listed: %+v", list)
		}
		if got := r.to.all(); len(got) != 2 || got[0].payload.Action != ping || got[0].payload.Target != nil {
			r.t.Errorf("told: %+v", got)
		}
		if _, err := r.s.Ping(context.Background(), idOf("nothere")); !errors.Is(err, fault.NotFound) {
			r.t.Errorf("ping of none: %v", err)
		}
	})
}

// A webhook that is gone takes what waits for it along; one that is disabled keeps it until it is enabled.
func TestDisabledAndGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		w := r.hook("builds", "", push)
		r.hooks.set(r.t, w)
		r.to.set(true, nil)
		r.append(pushed("app", "v1"))
		pass(10 * time.Second)
		w.Status = acr.WebhookDisabled
		r.hooks.set(r.t, w)
		r.to.set(false, nil)
		pass(time.Hour)
		if n := len(r.to.all()); n != 0 {
			r.t.Fatalf("%d calls of a disabled webhook", n)
		}
		w.Status = acr.WebhookEnabled
		r.hooks.set(r.t, w)
		pass(2 * time.Minute)
		if n := len(r.to.all()); n != 1 {
			r.t.Fatalf("%d calls of a webhook that is enabled again", n)
		}
		r.to.set(true, nil)
		r.append(pushed("app", "v2"))
		pass(10 * time.Second)
		r.hooks.set(r.t)
		pass(time.Hour)
		r.hooks.set(r.t, w)
		if list := r.list("builds"); len(list) != 0 {
			r.t.Errorf("of a webhook that was deleted: %+v", list)
		}
	})
}

// Only the newest that went well are kept, and pages follow one another.
func TestKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.hooks.set(r.t, r.hook("builds", "", push))
		for i := range 300 {
			r.append(pushed("app", fmt.Sprintf("v%d", i)))
		}
		pass(time.Second)
		list := r.list("builds")
		if len(r.to.all()) != 300 || len(list) < keepDone || len(list) > keepDone+keepDone/4 {
			r.t.Fatalf("%d told, %d kept", len(r.to.all()), len(list))
		}
		var paged []Event
		for after := int64(0); ; {
			page, more, err := r.s.Events(context.Background(), idOf("builds"), Page{After: after, Limit: 70})
			if err != nil {
				r.t.Fatal(err)
			}
			paged = append(paged, page...)
			if after = more; more == 0 {
				break
			}
		}
		if len(paged) != len(list) || paged[0].ID != list[0].ID || paged[len(paged)-1].ID != list[len(list)-1].ID || !strings.Contains(string(list[0].Payload), `"v299"`) {
			r.t.Errorf("%d in pages, %d in all", len(paged), len(list))
		}
	})
}
