package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAcreIsStartedAndFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "acre")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := acreLauncher(binary, "postgres://db")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "data", "acre.addr")
	for _, tc := range []struct {
		content, want string
		ok            bool
	}{
		{`{"http":"127.0.0.1:41000","https":""}`, "127.0.0.1:41000", true},
		{`{"http":"http://127.0.0.1:41000/"}`, "http://127.0.0.1:41000", true},
		{`{"https":"127.0.0.1:41001"}`, "", false},
		{`{"http":"127.0`, "", false}, // not yet written to its end
	} {
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := l.address(dir, nil); got != tc.want && tc.ok || ok != tc.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tc.content, got, ok, tc.want, tc.ok)
		}
	}
	args, err := l.arguments(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"serve", "--dev", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--https", "", "--meta", "postgres://db"}
	if !slices.Equal(args, want) {
		t.Errorf("arguments %q, want %q", args, want)
	}
	if _, ok := l.address(dir, nil); ok {
		t.Error("the address of an earlier start is taken for that of the next")
	}
}
