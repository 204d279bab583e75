package operator

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
	"github.com/acre-registry/acre/internal/oci"
	"github.com/acre-registry/acre/internal/resource"
	"github.com/acre-registry/acre/internal/web"
)

// site is an operator's socket with what lies behind it.
type site struct {
	client   *http.Client
	db       *meta.DB
	registry oci.Registry
	blobs    string // folder of the objects
	ctx      context.Context
	clock    func(time.Duration) // sets the clock forward
}

const certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"

// each runs fn on a fresh site of each dialect, whose socket is a real one.
func each(t *testing.T, fn func(t *testing.T, s *site)) {
	t.Helper()
	for name, store := range metatest.Stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, open(t, store(t)))
		})
	}
}

func open(t *testing.T, store string) *site {
	t.Helper()
	var mu sync.Mutex
	now := time.Now()
	db := metatest.Open(t, store, meta.Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	s := &site{
		db: db, blobs: filepath.Join(t.TempDir(), "blobs"), ctx: auth.As(t.Context(), auth.System("test")),
		clock: func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) },
	}
	bucket, err := disk.Open(s.blobs)
	if err != nil {
		t.Fatal(err)
	}
	registries := auth.NewRegistries(db)
	tokens, err := auth.New(s.ctx, auth.Options{DB: db, Registries: registries})
	if err != nil {
		t.Fatal(err)
	}
	resources, err := resource.New(s.ctx, resource.Options{DB: db, Registries: registries})
	if err != nil {
		t.Fatal(err)
	}
	if err := resources.PutDevRegistry(s.ctx, "acre", "a password"); err != nil {
		t.Fatal(err)
	}
	reg, err := registries.Get(s.ctx, "acre")
	if err != nil {
		t.Fatal(err)
	}
	contents := content.New(content.Options{DB: db, Blobs: blob.NewStore(bucket)})
	s.registry = contents.In(reg)
	s.serve(t, New(Options{
		Auth: tokens, Content: contents, Resources: resources, Authority: []byte(certificate),
		LoginServer: func(registry string) string { return registry + ".example.com" },
	}))
	return s
}

// serve answers on a socket. Its path is short: a socket's has at most 107 characters.
func (s *site) serve(t *testing.T, h http.Handler) {
	t.Helper()
	dir, err := os.MkdirTemp("", "acre")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "acre.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: web.New(h, web.Options{}), ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() { _ = srv.Close(); serving.Wait() })
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	s.client = &http.Client{Transport: tr}
}

// call sends a request and gives status, headers and body.
func (s *site) call(t *testing.T, method, path, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://operator"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// ok is call that wants a status and reads the answer's JSON.
func (s *site) ok(t *testing.T, status int, method, path, body string, into any) {
	t.Helper()
	got, _, text := s.call(t, method, path, body)
	if got != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, got, text, status)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

// lines runs a long call and gives its lines; the last holds the result.
func (s *site) lines(t *testing.T, path, body string, result any) []line {
	t.Helper()
	status, header, text := s.call(t, "POST", path, body)
	if status != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%s: %d %s %s", path, status, header.Get("Content-Type"), text)
	}
	var out []line
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		var l struct {
			line
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v in %s", path, err, scan.Text())
		}
		if l.Result != nil {
			if err := json.Unmarshal(l.Result, result); err != nil {
				t.Fatal(err)
			}
			return out
		}
		out = append(out, l.line)
	}
	t.Fatalf("%s: no result in %s", path, text)
	return nil
}

// push stores an image of one layer and gives the layer's digest.
func (s *site) push(t *testing.T, repo, tag, layer string) oci.Digest {
	t.Helper()
	for _, body := range []string{"{}", layer} {
		if _, err := s.registry.PushBlob(s.ctx, repo, digest.FromString(body), strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "config": oci.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: digest.FromString("{}"), Size: 2},
		"layers": []oci.Descriptor{{MediaType: "text/plain", Digest: digest.FromString(layer), Size: int64(len(layer))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.registry.PutManifest(s.ctx, repo, oci.Ref{Tag: tag}, oci.TypeImage, m); err != nil {
		t.Fatal(err)
	}
	return digest.FromString(layer)
}

// long makes a text long enough to be kept as an object.
func long(text string) string { return strings.Repeat(text+" ", 1000) }

// object is the file that holds these bytes.
func (s *site) object(t *testing.T, body string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(s.blobs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if string(text) == body {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no object holds %.40q: %v", body, err)
	}
	return found
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		if status := statuses[k]; status < 400 || http.StatusText(status) == "" {
			t.Errorf("kind %v has the status %d", k, status)
		}
	}
	if len(statuses) != len(fault.Kinds()) {
		t.Errorf("%d statuses for %d kinds", len(statuses), len(fault.Kinds()))
	}
}

func TestRegistries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		type reg struct {
			Name, UID, SKU, LoginServer, CreatedAt string
			AdminUserEnabled, AnonymousPullEnabled bool
		}
		var made, shown, changed reg
		s.ok(t, 201, "PUT", "/operator/registries/Demo1", `{"adminUserEnabled":true}`, &made)
		if made.Name != "Demo1" || made.SKU != "Premium" || len(made.UID) != 32 || made.LoginServer != "demo1.example.com" || !made.AdminUserEnabled || made.AnonymousPullEnabled || made.CreatedAt == "" {
			t.Errorf("made %+v", made)
		}
		if s.ok(t, 200, "GET", "/operator/registries/dEMO1", "", &shown); shown != made {
			t.Errorf("shown %+v, made %+v", shown, made)
		}
		s.ok(t, 200, "PUT", "/operator/registries/demo1", `{"anonymousPullEnabled":true}`, &changed)
		if made.AnonymousPullEnabled = true; changed != made {
			t.Errorf("changed to %+v, want %+v", changed, made)
		}
		var list struct{ Value []reg }
		s.ok(t, 200, "GET", "/operator/registries", "", &list)
		var names []string
		for _, r := range list.Value {
			names = append(names, r.Name)
		}
		if !slices.Equal(names, []string{"acre", "Demo1"}) {
			t.Errorf("listed %v", names)
		}
		for _, c := range []struct {
			method, path, body string
			status             int
			text               string
		}{
			{"PUT", "/operator/registries/demo1", `{"sku":"Basic"}`, 400, "while it has: anonymous pull"},
			{"PUT", "/operator/registries/demo2", `{"sku":"Gold"}`, 400, "is not Basic, Standard or Premium"},
			{"PUT", "/operator/registries/abc", `{}`, 400, "use 5 to 50 letters and digits"},
			{"PUT", "/operator/registries/demo2", `{`, 400, "the body is not the JSON of this call"},
			{"PUT", "/operator/registries/demo2", strings.Repeat(" ", maxBody+1), 413, "too large"},
			{"GET", "/operator/registries/nowhere", "", 404, "nowhere"},
			{"GET", "/operator/registries/nowhere/credentials", "", 404, "nowhere"},
			{"POST", "/operator/registries/acre/credentials/password3", "", 400, "use password or password2"},
			{"POST", "/operator/gc", `{"grace":"-1s"}`, 400, "is not a duration such as 1h"},
			{"POST", "/operator/gc", `{"grace":"soon"}`, 400, "is not a duration such as 1h"},
			{"GET", "/operator/unknown", "", 404, "no such operator call"},
			{"DELETE", "/operator/registries/acre", "", 404, "no such operator call"},
		} {
			var got struct{ Error wireError }
			s.ok(t, c.status, c.method, c.path, c.body, &got)
			if !strings.Contains(got.Error.Message, c.text) || got.Error.Code == "" || got.Error.Kind == "" {
				t.Errorf("%s %s: %+v, want %q", c.method, c.path, got.Error, c.text)
			}
		}
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		type credentials struct {
			Username  string
			Passwords []password
		}
		var before, renewed, after credentials
		s.ok(t, 200, "GET", "/operator/registries/acre/credentials", "", &before)
		if before.Username != "acre" || !slices.Equal(before.Passwords, []password{{"password", "a password"}, {"password2", "a password"}}) {
			t.Errorf("credentials %+v", before)
		}
		s.ok(t, 200, "POST", "/operator/registries/acre/credentials/password2", "", &renewed)
		s.ok(t, 200, "GET", "/operator/registries/acre/credentials", "", &after)
		if !slices.Equal(after.Passwords, renewed.Passwords) || after.Passwords[0].Value != "a password" || len(after.Passwords[1].Value) < 32 {
			t.Errorf("renewed %+v, then %+v", renewed, after)
		}
		_, header, _ := s.call(t, "GET", "/operator/registries/acre/credentials", "")
		if header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", header)
		}
		if status, _, text := s.call(t, "PUT", "/operator/registries/acre", `{"adminUserEnabled":false}`); status != 200 {
			t.Fatal(text)
		}
		status, _, text := s.call(t, "GET", "/operator/registries/acre/credentials", "")
		if status != 409 || !strings.Contains(text, "the admin user of registry acre is disabled: acre admin registry update") {
			t.Errorf("disabled: %d %s", status, text)
		}
	})
}

func TestKeysAndAuthority(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		var first, second struct{ Kid string }
		s.ok(t, 200, "POST", "/operator/keys", "", &first)
		s.ok(t, 200, "POST", "/operator/keys", "", &second)
		if len(first.Kid) != 59 || first == second {
			t.Errorf("keys %q and %q", first.Kid, second.Kid)
		}
		status, header, pem := s.call(t, "GET", "/operator/ca", "")
		if status != 200 || pem != certificate || header.Get("Content-Type") != "application/x-pem-file" {
			t.Errorf("authority: %d %s %s", status, header.Get("Content-Type"), pem)
		}
		s.serve(t, New(Options{}))
		if status, _, text := s.call(t, "GET", "/operator/ca", ""); status != 404 || !strings.Contains(text, "no authority of its own") {
			t.Errorf("without one: %d %s", status, text)
		}
		if status, _, _ := s.call(t, "GET", "/debug/pprof/goroutine", ""); status != 200 {
			t.Errorf("profiles: %d", status)
		}
	})
}

// A dry run names each victim and takes none; a run takes just those.
func TestCollect(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.push(t, "app", "kept", "a layer in use")
		idle := []string{long("idle one"), long("idle two"), "idle three, which is small"}
		for _, body := range idle {
			if _, err := s.registry.PushBlob(s.ctx, "app", digest.FromString(body), strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
		}
		abandoned, err := s.registry.StartUpload(s.ctx, "app")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := abandoned.ReadFrom(strings.NewReader(long("half a blob"))); err != nil {
			t.Fatal(err)
		}
		if err := abandoned.Close(s.ctx); err != nil {
			t.Fatal(err)
		}
		victims := func(body string) (names []string, sum content.Collected) {
			t.Helper()
			for _, l := range s.lines(t, "/operator/gc", body, &sum) {
				names = append(names, l.Phase+" "+l.Item)
			}
			slices.Sort(names)
			return names, sum
		}
		if names, sum := victims(`{"dryRun":true}`); len(names) != 0 || sum.Memberships != 0 {
			t.Errorf("within the grace period: %v %+v", names, sum)
		}
		s.clock(8 * 24 * time.Hour)
		want := []string{"upload app " + abandoned.ID()}
		for _, body := range idle {
			want = append(want, "membership app@"+string(digest.FromString(body)))
		}
		slices.Sort(want)
		for range 2 { // a dry run changes nothing
			names, sum := victims(`{"dryRun":true,"grace":"1h"}`)
			if !slices.Equal(names, want) || sum.Memberships != 3 || sum.Uploads != 1 {
				t.Errorf("dry run: %v %+v, want %v", names, sum, want)
			}
		}
		if _, sum := victims(""); sum.Memberships != 3 || sum.Uploads != 1 {
			t.Errorf("run: %+v", sum)
		}
		s.clock(2 * time.Minute) // objects rest for a while, so that reads of them end
		if _, sum := victims(`{"grace":"0s"}`); sum.Objects != 3 || sum.Memberships != 0 || sum.PendingBytes != 0 {
			t.Errorf("second run: %+v", sum)
		}
		for _, body := range idle {
			if _, err := s.registry.StatBlob(s.ctx, "app", digest.FromString(body)); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s is still there: %v", body, err)
			}
		}
		var c content.Checked
		if s.lines(t, "/operator/fsck", "", &c); c.Blobs != 2 || c.Problems != 0 {
			t.Errorf("what is in use: %+v", c)
		}
	})
}

// alter changes a file's bytes.
func alter(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // a sealed object is read-only
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o400); err != nil {
		t.Fatal(err)
	}
}

// replace makes a row of other bytes, or another size, of a small blob that a repository has.
func (s *site) replace(t *testing.T, repo string, d oci.Digest, size int64, body string) {
	t.Helper()
	if err := s.db.Update(t.Context(), func(tx *meta.Tx) error {
		reg, err := tx.Registry("acre")
		if err != nil {
			return err
		}
		row, err := tx.Repository(reg, repo)
		if err != nil {
			return err
		}
		if _, err := tx.DeleteMember(reg, row.ID, d); err != nil {
			return err
		}
		if _, err := tx.PutBlob(reg, d, size, "", []byte(body)); err != nil {
			return err
		}
		_, _, err = tx.AddMember(reg, repo, d)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Damage on the disk and in the rows is found and named; nothing else is.
func TestCheck(t *testing.T) {
	t.Parallel()
	config := digest.FromString("{}")
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, s *site, object string)
		want   string // of the one problem; LAYER and CONFIG stand for the digests
	}{
		{"nothing", func(*testing.T, *site, string) {}, ""},
		{"a flipped bit", func(t *testing.T, _ *site, object string) {
			alter(t, object, func(b []byte) []byte { b[3] ^= 4; return b })
		}, "blob LAYER, object "},
		{"a truncated object", func(t *testing.T, _ *site, object string) {
			alter(t, object, func(b []byte) []byte { return b[:len(b)-1] })
		}, "blob LAYER, object "},
		{"an object that has grown", func(t *testing.T, _ *site, object string) {
			alter(t, object, func(b []byte) []byte { return append(b, 'x') })
		}, "blob LAYER, object "},
		{"a missing object", func(t *testing.T, _ *site, object string) {
			if err := os.Remove(object); err != nil {
				t.Fatal(err)
			}
		}, "blob LAYER, object "},
		{"a flipped byte in a row", func(t *testing.T, s *site, _ string) {
			s.replace(t, "app", config, 2, "{]")
		}, "blob CONFIG, kept in its row: content of 2 bytes has digest "},
		{"a row cut short", func(t *testing.T, s *site, _ string) {
			s.replace(t, "app", config, 2, "{")
		}, "blob CONFIG, kept in its row: content of 1 bytes has digest "},
		{"a row of another size", func(t *testing.T, s *site, _ string) {
			s.replace(t, "app", config, 3, "{}")
		}, "blob CONFIG: its row says 3 bytes and has 2"},
		{"a wrong counter", func(t *testing.T, s *site, _ string) {
			if err := s.db.Update(t.Context(), func(tx *meta.Tx) error {
				reg, err := tx.Registry("acre")
				if err != nil {
					return err
				}
				row, err := tx.Repository(reg, "app")
				if err != nil {
					return err
				}
				return tx.Count(row.ID, 1, 2)
			}); err != nil {
				t.Fatal(err)
			}
		}, "repository app: its row counts 2 manifests and 3 tags, there are 1 and 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *site) {
				layer := long("the bytes of a layer")
				d := s.push(t, "app", "v1", layer)
				c.damage(t, s, s.object(t, layer))
				var sum content.Checked
				var problems []string
				for _, l := range s.lines(t, "/operator/fsck", "", &sum) {
					if l.Problem != "" {
						problems = append(problems, l.Problem)
					}
				}
				want := strings.NewReplacer("LAYER", string(d), "CONFIG", string(config)).Replace(c.want)
				found := len(problems) == 1 && want != "" && strings.HasPrefix(problems[0], want)
				if want == "" && len(problems) > 0 || want != "" && !found || sum.Problems != len(problems) {
					t.Errorf("problems %q of %d, want %q", problems, sum.Problems, want)
				}
				if sum.Blobs != 2 || sum.Manifests != 1 || sum.Tags != 1 {
					t.Errorf("checked %+v", sum)
				}
			})
		})
	}
}

// A failure in the midst of a long call is its last line, with its kind.
func TestLongCallFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/operator/gc", "/operator/fsck"} {
			status, _, text := s.call(t, "POST", path, "")
			last := text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:]
			var got struct{ Error wireError }
			if err := json.Unmarshal([]byte(last), &got); err != nil || status != 200 || got.Error.Kind != fault.Unavailable.Error() || got.Error.Message == "" {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
	})
}
