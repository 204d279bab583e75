package serve

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be opened is said, and what was opened before it is let go of.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, c *Config)
		want  string
	}{
		"another server's directory": {func(t *testing.T, c *Config) {
			s, err := Open(t.Context(), *c, "test", io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
		}, "another acre"},
		"a seal key cut short": {func(t *testing.T, c *Config) {
			if err := os.WriteFile(filepath.Join(c.Data, "seal.key"), []byte("c2hvcnQ=\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "openssl rand -base64 32"},
		"an authority without its key": {func(t *testing.T, c *Config) {
			dir := filepath.Join(c.Data, "tls")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "ca.pem"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, "to begin anew"},
		"no log": {func(_ *testing.T, c *Config) { c.Log.File = filepath.Join(c.Data, "missing", "log") }, "open the log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := testConfig(shortDir(t))
			c.spoil(t, &config)
			s, err := Open(t.Context(), config, "test", io.Discard)
			if err == nil {
				t.Fatal("it was opened:", s.Close(context.WithoutCancel(t.Context())))
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, which does not say %q", err, c.want)
			}
		})
	}
}
