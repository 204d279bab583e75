package serve

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "rewrite what is generated from the code")

// equal compares configurations by what they say, not by where it came from.
var equal = cmp.Options{cmpopts.IgnoreFields(Config{}, "File", "origins"), cmpopts.IgnoreUnexported(Secret{})}

// configFile writes text to acre.yaml in a new directory and gives both paths.
func configFile(t *testing.T, text string) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "acre.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func TestLoadConfigDefaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := LoadConfig([]string{"--data", dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Data, want.Meta, want.Blobs = dir, "sqlite://"+dir+"/acre.db", "disk://"+dir+"/blobs"
	if d := cmp.Diff(want, c, equal); d != "" {
		t.Error(d)
	}
}

// A directory's name may hold what an address would escape.
func TestDataDirectoryName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "my data 100%?#")
	c, err := LoadConfig([]string{"--data", dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "disk://" + dir + "/blobs"; c.Blobs != want {
		t.Errorf("blobs %q, want %q", c.Blobs, want)
	}
	if u, err := url.Parse(c.Meta); err != nil || u.Path != dir+"/acre.db" {
		t.Errorf("meta %q, %v", c.Meta, err)
	}
}

const full = `
# everything
http: ""
https: 0.0.0.0:443
ops: 127.0.0.1:9090
meta: postgres://u:p%40ss@db/acre?sslmode=require
blobs: "mem:"
suffixes: [acre.localhost, azurecr.io]
defaultRegistry: mainreg
registries:
  - name: mainreg
    sku: Basic
    adminUserEnabled: true
  - name: otherreg
    anonymousPullEnabled: true
tls:
  certificate: /etc/acre/cert.pem
  key: /etc/acre/key.pem
log: {level: warn, format: json, file: /var/log/acre.log}
limits:
  maxUpload: 10GiB
  reads: 5
  uploadExpiry: 24h
collect:
  interval: 1h30m
telemetry:
  otlp: http://collector:4318
  sampleRatio: 0.25
private: "[::1]:6443"
proxies: {trusted: [10.0.0.0/8, "fd00::1"]}
`

func fullConfig(dir string) Config {
	c := DefaultConfig()
	c.Data, c.HTTP, c.HTTPS, c.Ops = dir, "", "0.0.0.0:443", "127.0.0.1:9090"
	c.Meta, c.Blobs = "postgres://u:p%40ss@db/acre?sslmode=require", "mem:"
	c.Suffixes, c.DefaultRegistry = []string{"acre.localhost", "azurecr.io"}, "mainreg"
	c.Registries = []BootRegistry{{Name: "mainreg", SKU: "Basic", AdminUser: true}, {Name: "otherreg", SKU: "Premium", AnonymousPull: true}}
	c.TLS = TLSConfig{"/etc/acre/cert.pem", "/etc/acre/key.pem"}
	c.Private, c.Proxies = "[::1]:6443", ProxiesConfig{[]string{"10.0.0.0/8", "fd00::1"}}
	c.Log = LogConfig{"warn", "json", "/var/log/acre.log"}
	c.Limits.MaxUpload, c.Limits.Reads, c.Limits.UploadExpiry = 10<<30, 5, 24*time.Hour
	c.Collect.Interval = 90 * time.Minute
	c.Telemetry = TelemetryConfig{"http://collector:4318", 0.25}
	return c
}

func TestLoadConfigLayers(t *testing.T) {
	t.Parallel()
	dir, path := configFile(t, full)
	c, err := LoadConfig([]string{"--data=" + dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fullConfig(dir), c, equal); d != "" {
		t.Error(d)
	}
	if c.File != path {
		t.Errorf("file %q, want %q", c.File, path)
	}
	c, err = LoadConfig(
		[]string{"--config", path, "--limits-reads", "7", "--log-level=debug", "--telemetry-sample-ratio", "1"},
		[]string{"ACRE_DATA=" + dir, "ACRE_LIMITS_READS=6", "ACRE_LIMITS_MAX_UPLOAD=1MiB", "ACRE_SUFFIXES=a.test, b.test", "ACRE_PORT=tcp://10.0.0.1", "HOME=/"})
	if err != nil {
		t.Fatal(err)
	}
	want := fullConfig(dir)
	want.Limits.Reads, want.Limits.MaxUpload, want.Log.Level, want.Telemetry.SampleRatio = 7, 1<<20, "debug", 1
	want.Suffixes = []string{"a.test", "b.test"}
	if d := cmp.Diff(want, c, equal); d != "" {
		t.Error(d)
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, yaml string
		args, env  []string
		want       string // in the error; FILE stands for the file's path
	}{
		{"unknown key", "http: 127.0.0.1:1\nhtps: x", nil, nil, "FILE:2: htps is no setting; is https meant?"},
		{"unknown section", "cheese:\n  a: 1", nil, nil, "FILE:1: cheese is no setting"},
		{"unknown key in a section", "limits:\n  reads: 1\n  write: 2", nil, nil, "FILE:3: limits.write is no setting; is writes meant?"},
		{"unknown key in a list", "registries:\n  - name: mainreg\n    tier: Basic", nil, nil, "FILE:3: registries[0].tier is no setting"},
		{"key twice", "http: 127.0.0.1:1\nhttp: 127.0.0.1:2", nil, nil, "FILE:2: "},
		{"no YAML", "http: [", nil, nil, "FILE:1: "},
		{"tabs", "log:\n\tlevel: info", nil, nil, "FILE:2: "},
		{"no mapping", "- a", nil, nil, "FILE:1: "},
		{"two documents", "http: 127.0.0.1:1\n---\nhttps: 127.0.0.1:2", nil, nil, "FILE:3: a second document"},
		{"section as a value", "limits: 5", nil, nil, "FILE:1: limits: settings are expected"},
		{"value as a section", "http:\n  port: 5", nil, nil, "http: a single value is expected"},
		{"value for a list", "suffixes: acre.localhost", nil, nil, "FILE:1: suffixes: a list is expected"},
		{"alias", "http: &a 127.0.0.1:1\nhttps: *a", nil, nil, "FILE:1: http: a single value is expected"},
		{"no number", "limits:\n  reads: many", nil, nil, `FILE:2: limits.reads: "many" is no whole number`},
		{"no duration", "limits:\n  stall: 90", nil, nil, `FILE:2: limits.stall: "90" is no duration`},
		{"no size", "limits:\n  maxUpload: 5 apples", nil, nil, `FILE:2: limits.maxUpload: "5 apples" is no size`},
		{"no boolean", "dev: maybe", nil, nil, `FILE:1: dev: "maybe" is neither true nor false`},
		{"too small", "\nlimits:\n  headers: 100", nil, nil, "FILE:3: limits.headers: the value is too small; give 4KiB"},
		{"refresh under access", "tokens:\n  refreshLifetime: 5m", nil, nil, "FILE:2: tokens.refreshLifetime: "},
		{"no address", "http: localhost", nil, nil, `FILE:1: http: "localhost" is no address`},
		{"no port", "http: localhost:http", nil, nil, "FILE:1: http: "},
		{"port", "http: localhost:70000", nil, nil, "FILE:1: http: "},
		{"both off", "http: ''\nhttps: ''", nil, nil, "FILE:1: http: all listeners are off"},
		{"same address", "http: 127.0.0.1:5443", nil, nil, "default: https: 127.0.0.1:5443 is the address of http already"},
		{"dev off loopback", "dev: true\nhttp: 0.0.0.0:5000", nil, nil, "FILE:2: http: \"0.0.0.0:5000\" is not a loopback address"},
		{"dev everywhere", "dev: true", []string{"--https=:5443"}, nil, "--https: https: "},
		{"dev by name", "", []string{"--dev", "--ops=example.com:1"}, nil, "--ops: ops: "},
		{"dev off loopback in private", "dev: true\nprivate: 192.0.2.1:443", nil, nil, "FILE:2: private: \"192.0.2.1:443\" is not a loopback address"},
		{"private and public in one", "https: 127.0.0.1:1\nprivate: 127.0.0.1:1", nil, nil, "FILE:2: private: 127.0.0.1:1 is the address of https already"},
		{"proxy", "proxies:\n  trusted: [10.0.0.1, proxy.example.com]", nil, nil, "FILE:2: proxies.trusted[1]: \"proxy.example.com\" is no address or range"},
		{"proxy by flag", "", []string{"--proxies-trusted=10.0.0.0/99"}, nil, "--proxies-trusted: proxies.trusted: "},
		{"half a pair", "tls:\n  key: k.pem", nil, nil, "default: tls.certificate: certificate and key belong together"},
		{"certificate without listener", "https: ''\ntls: {key: k, certificate: c}", nil, nil, "FILE:2: tls.certificate: "},
		{"log level", "log:\n  level: loud", nil, nil, "FILE:2: log.level: "},
		{"log format", "log:\n  format: xml", nil, nil, "FILE:2: log.format: "},
		{"suffix", "suffixes:\n  - .acre.localhost", nil, nil, "FILE:1: suffixes: "},
		{"suffix twice", "suffixes: [a.test, a.test]", nil, nil, "FILE:1: suffixes: a.test is there twice"},
		{"no suffix", "suffixes: []", nil, nil, "FILE:1: suffixes: there is none"},
		{"registry name", "registries:\n  - name: mainreg\n  - name: a_b", nil, nil, "FILE:3: registries[1]: registry name \"a_b\""},
		{"registry twice", "registries:\n  - name: mainreg\n  - name: MainReg", nil, nil, "FILE:3: registries[1]: registry mainreg is there twice"},
		{"registry tier", "registries: [{name: mainreg, sku: Gold}]", nil, nil, "FILE:1: registries[0]: "},
		{"anonymous Basic", "registries: [{name: mainreg, sku: Basic, anonymousPullEnabled: true}]", nil, nil, "FILE:1: registries[0]: "},
		{"default registry", "defaultRegistry: x", nil, nil, "FILE:1: defaultRegistry: "},
		{"store", "meta: mysql://x", nil, nil, `FILE:1: meta: the address begins with "mysql"; sqlite, postgres`},
		{"store with a password", "meta: 'postgres://u:secret%zz@h/d'", nil, nil, "FILE:1: meta: the address is malformed"},
		{"bucket", "blobs: ftp://x", nil, nil, "FILE:1: blobs: "},
		{"collector", "telemetry:\n  otlp: collector:4318", nil, nil, "FILE:2: telemetry.otlp: "},
		{"collector without host", "telemetry:\n  otlp: 'http://'", nil, nil, "FILE:2: telemetry.otlp: the address names no host"},
		{"ratio", "telemetry:\n  sampleRatio: .nan", nil, nil, "FILE:2: telemetry.sampleRatio: "},
		{"secret in the file", "sealKey: hunter2", nil, nil, "FILE:1: sealKey: a secret is not written here"},
		{"secret not set", "sealKey: env:NOT_SET", nil, nil, "FILE:1: sealKey: env:NOT_SET is empty or not set"},
		{"secret's file", "meta: file:/does/not/exist", nil, nil, "FILE:1: meta: read the secret: "},
		{"variable", "", nil, []string{"ACRE_LIMITS_READS=x"}, "variable ACRE_LIMITS_READS: limits.reads: "},
		{"unknown variable", "", nil, []string{"ACRE_LIMITS_REEDS=1"}, "variable ACRE_LIMITS_REEDS names no setting; is ACRE_LIMITS_READS meant?"},
		{"registries by variable", "", nil, []string{"ACRE_REGISTRIES=a"}, "variable ACRE_REGISTRIES: "},
		{"flag", "", []string{"--limits-reads=x"}, nil, "--limits-reads: limits.reads: "},
		{"unknown flag", "", []string{"--cheese"}, nil, "cheese"},
		{"argument", "", []string{"now"}, nil, `argument "now"`},
		{"no such file", "", []string{"--config=/does/not/exist.yaml"}, nil, "/does/not/exist.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, path := configFile(t, c.yaml)
			args := append([]string{"--config", path}, c.args...)
			_, err := LoadConfig(args, c.env)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.ReplaceAll(err.Error(), path, "FILE"); !strings.Contains(got, c.want) {
				t.Errorf("error %q, want %q in it", got, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "u:secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// The file in the data directory is found through that directory; it cannot lead elsewhere.
func TestDataDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"data: ./data/": "", "data: elsewhere": "data/acre.yaml:1: data: "} {
		if err := os.WriteFile("data/acre.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(nil, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLoadConfigHelp(t *testing.T) {
	t.Parallel()
	if _, err := LoadConfig([]string{"--help"}, nil); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	var b bytes.Buffer
	Usage(&b)
	for _, want := range []string{"--config FILE", "--limits-max-upload\n", `Default: "127.0.0.1:5000".`, "Default: 200GiB."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("usage has no %q", want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "meta-url")
	if err := os.WriteFile(file, []byte("postgres://u:hunter2@db/acre?sslpassword=hunter3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig([]string{"--data", t.TempDir(), "--meta", "file:" + file, "--seal-key=env:KEY"}, []string{"KEY=hunter4"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Meta != "postgres://u:hunter2@db/acre?sslpassword=hunter3" {
		t.Errorf("meta %q", c.Meta)
	}
	if key, err := c.SealKey.Read(); key != "hunter4" || err != nil {
		t.Errorf("seal key %q, %v", key, err)
	}
	if text := string(c.YAML()); strings.Contains(text, "hunter") || !strings.Contains(text, `meta: "postgres://u:xxxxx@db/acre?sslpassword=xxxxx" # --meta`) {
		t.Errorf("shown:\n%s", text)
	}
}

// What is shown is a file that says the same again.
func TestConfigYAML(t *testing.T) {
	t.Parallel()
	dir, path := configFile(t, strings.ReplaceAll(full, "u:p%40ss@", ""))
	first, err := LoadConfig([]string{"--data", dir, "--limits-writes=9", "--blobs", `disk:///a"b\c`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Meta = strings.ReplaceAll(first.Meta, "?sslmode=require", "") // a query's values are masked
	text := string(first.YAML())
	for _, want := range []string{"  writes: 9 # --limits-writes\n", "  reads: 5 # " + path + ":22\n", "  idle: 2m\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	_, again := configFile(t, text)
	second, err := LoadConfig([]string{"--config", again}, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if d := cmp.Diff(first, second, equal); d != "" {
		t.Error(d)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1B": 1, "2KiB": 2048, "2 kB": 2000, "64MiB": 64 << 20, "200GiB": 200 << 30, "1TiB": 1 << 40, "3GB": 3e9,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%s is written %s, which reads %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1.5GiB", "1Gib", "9223372036854775808", "9223372036854775807KiB", "16777216TiB", "0x10"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("registries:\n  - {name: a}\n  -\n"))
	f.Add([]byte("? a\n: b"))
	f.Add([]byte("<<: {http: x}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := DefaultConfig()
		c.origins = map[string]string{}
		if err := parseFile(&c, "acre.yaml", text); err != nil && !strings.HasPrefix(err.Error(), "acre.yaml:") {
			t.Errorf("the error does not say where: %v", err)
		}
	})
}

// docs/configuration.md is made from the struct: -update writes it.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "configuration.md")
	want := page()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil { //nolint:gosec // a page for everybody
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the page is not what the code says; go test ./internal/serve -run TestConfigurationPage -update writes it:\n%s", d)
	}
}

const pageHead = `# Configuration

Nothing has to be configured: ` + "`acre serve`" + ` alone keeps everything in ` + "`./data`" + ` and listens on loopback. What is to be
different is said in a YAML file, in environment variables or in flags, each over the one before. The file is
` + "`acre.yaml`" + ` in the data directory, or the one that ` + "`--config`" + ` (` + "`ACRE_CONFIG`" + `) names.

A setting such as ` + "`limits.maxUpload`" + ` is the key ` + "`maxUpload`" + ` under ` + "`limits`" + ` in the file, the variable
` + "`ACRE_LIMITS_MAX_UPLOAD`" + ` and the flag ` + "`--limits-max-upload`" + `. In variables and flags, lists are separated by commas.

- What is unknown, malformed or contradictory stops the start, with the file and line, the variable or the flag, and
  what to do. ` + "`acre config check`" + ` says it without starting, and prints the settings in effect with their origin, secrets
  masked.
- Durations are written like ` + "`90s`, `15m` or `168h`" + `, sizes like ` + "`512KiB`, `64MiB` or `200GiB`" + `.
- Secrets stand elsewhere: ` + "`file:/run/secrets/meta-url`" + ` is the content of that file, ` + "`env:META_URL`" + ` of that variable.
- What users change while the server runs, such as tokens or a registry's admin user, is not configuration.

` + "```yaml" + `
http: 127.0.0.1:5000
https: 0.0.0.0:443
meta: file:/run/secrets/meta-url
suffixes: [registry.example.com]
defaultRegistry: mainreg
registries:
  - name: mainreg
    sku: Premium
    adminUserEnabled: true
tls:
  certificate: /etc/acre/cert.pem
  key: /etc/acre/key.pem
limits:
  maxUpload: 50GiB
` + "```" + `
`

// page is docs/configuration.md.
func page() []byte {
	var b bytes.Buffer
	b.WriteString(pageHead)
	c := DefaultConfig()
	section := "none"
	for _, s := range settings(&c) {
		in, _, ok := strings.Cut(s.path, ".")
		if !ok {
			in = ""
		}
		if in != section {
			section = in
			title := "General"
			if in != "" {
				title = "`" + in + "`"
			}
			fmt.Fprintf(&b, "\n## %s\n\n| Setting | Variable, flag | Default | Meaning |\n|---|---|---|---|\n", title)
		}
		names, value := fmt.Sprintf("`%s`, `--%s`", s.variable(), s.flag()), "`"+shown(s)+"`"
		if !s.text() {
			names, value = "only in the file", "none"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.path, names, value, s.help)
	}
	b.WriteString("\n## An item of `registries`\n\n| Key | Meaning |\n|---|---|\n")
	for _, s := range leaves(reflect.ValueOf(&BootRegistry{}).Elem(), "") {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.path, s.help)
	}
	return b.Bytes()
}
