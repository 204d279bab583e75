package test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// FMT-03: a chart is pushed, shown, rendered and pulled.
func TestHelm(t *testing.T) {
	need(t, "helm")
	each(t, func(t *testing.T, to target) {
		s := to.shell(t)
		s = s.with("HELM_CACHE_HOME="+s.path("cache"), "HELM_CONFIG_HOME="+s.path("config"), "HELM_DATA_HOME="+s.path("data"))
		c := to.client(t)
		trust := "--plain-http"
		if to.TLS {
			trust = "--ca-file=" + to.CA
		}
		login := func(password string) []string {
			return []string{"registry", "login", trust, "--username", to.User, "--password", password, to.Host}
		}
		s.write("hello/Chart.yaml", "apiVersion: v2\nname: hello\nversion: 0.1.0+build.7\ndescription: says "+to.Name+"\n")
		s.write("hello/values.yaml", "word: hello\n")
		s.write("hello/templates/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  word: {{ .Values.word }}\n")
		s.run("helm", "package", "hello")
		repo := to.repo("charts")
		remote := "oci://" + to.Host + "/" + repo

		if out := s.fails("helm", login("wrong")...); !refusal(out) {
			t.Errorf("login with a wrong password says: %s", out)
		}
		s.run("helm", login(to.Password)...)
		_, out, err := s.exec("helm", "push", trust, "hello-0.1.0+build.7.tgz", remote)
		if err != nil {
			t.Fatalf("push: %v\n%s", err, out)
		}
		// helm writes the plus of a version as an underscore, which a tag may hold.
		if got, want := c.digest(t, repo+"/hello", "0.1.0_build.7"), reported(t, out); got != want {
			t.Errorf("registry has %s, helm pushed %s", got, want)
		}
		remote += "/hello"
		version := []string{trust, "--version", "0.1.0+build.7"}
		if out := s.run("helm", slices.Concat([]string{"show", "chart", remote}, version)...); !strings.Contains(out, "says "+to.Name) {
			t.Errorf("show chart prints %s", out)
		}
		if out := s.run("helm", slices.Concat([]string{"template", "release", remote, "--set", "word=bye"}, version)...); !strings.Contains(out, "word: bye") {
			t.Errorf("template prints %s", out)
		}
		s.run("mkdir", "back")
		s.run("helm", slices.Concat([]string{"pull", remote, "--destination", "back"}, version)...)
		want, got := must(os.ReadFile(s.path("hello-0.1.0+build.7.tgz")))(t), must(os.ReadFile(s.path("back", "hello-0.1.0+build.7.tgz")))(t)
		if !bytes.Equal(got, want) {
			t.Errorf("the chart came back as %d bytes, want %d", len(got), len(want))
		}
		// Without --version helm lists the tags to find the newest release.
		s.write("hello/Chart.yaml", "apiVersion: v2\nname: hello\nversion: 0.2.0\ndescription: newer\n")
		s.run("helm", "package", "hello")
		s.run("helm", "push", trust, "hello-0.2.0.tgz", "oci://"+to.Host+"/"+repo)
		if out := s.run("helm", "show", "chart", trust, remote); !strings.Contains(out, "newer") {
			t.Errorf("show chart without a version prints %s", out)
		}
		s.run("helm", "registry", "logout", to.Host)
		if out := s.fails("helm", "pull", trust, remote); !refusal(out) {
			t.Errorf("pull after logout says: %s", out)
		}
	})
}
