package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// target is a registry named on the command line: one that runs already, or one to start.
type target struct {
	name           string
	base           *url.URL // nil for one to start
	user, password string
	pid            int
	meta           string // acre's metadata URL, when not its own
}

// parseTarget reads name=URL[,user:password][,pid=N].
func parseTarget(s string) (target, error) {
	const form = "name=URL[,user:password][,pid=N]"
	name, rest, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return target{}, fmt.Errorf("target %q: want %s", s, form)
	}
	parts := strings.Split(rest, ",")
	base, err := url.Parse(parts[0])
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return target{}, fmt.Errorf("target %q: %q is no http or https URL; want %s", s, parts[0], form)
	}
	t := target{name: name, base: base}
	for _, p := range parts[1:] {
		if n, ok := strings.CutPrefix(p, "pid="); ok {
			if t.pid, err = strconv.Atoi(n); err != nil || t.pid <= 0 {
				return target{}, fmt.Errorf("target %q: pid %q is no process id", s, n)
			}
			continue
		}
		if t.user, t.password, ok = strings.Cut(p, ":"); !ok {
			return target{}, fmt.Errorf("target %q: %q is neither user:password nor pid=N", s, p)
		}
	}
	return t, nil
}

// parseManaged reads the name of a server that the harness starts itself.
func parseManaged(s string) (target, error) {
	name, meta, withMeta := strings.Cut(s, "=")
	switch {
	case name == "acre-pg" && meta != "":
		return target{name: name, meta: meta}, nil
	case name == "acre-pg":
		return target{}, fmt.Errorf("--start %s: want acre-pg=postgres://…, an empty database", s)
	case withMeta:
		return target{}, fmt.Errorf("--start %s: only acre-pg takes a value", s)
	case name == "acre" || name == "distribution" || name == "ceiling" || name == "ceiling-nosync":
		return target{name: name}, nil
	}
	return target{}, fmt.Errorf("--start %s: the harness starts acre, acre-pg, distribution, ceiling and ceiling-nosync; name others with --target", s)
}

// launcher is how to start t, and what it is for the head of the report.
func (t target) launcher(ctx context.Context, o options) (launcher, string, error) {
	switch t.name {
	case "ceiling", "ceiling-nosync":
		durable := t.name == "ceiling"
		l, err := ceilingLauncher(durable)
		what := "the least work that net/http allows, blobs flushed to the disk"
		if !durable {
			what = "the same, nothing flushed"
		}
		return l, what, err
	case "distribution":
		l, err := distributionLauncher(o.distribution)
		return l, version(ctx, l.binary, "--version"), err
	}
	l, err := acreLauncher(o.acre, t.meta)
	return l, version(ctx, l.binary, "version"), err
}

// open makes the site of a target, starting its server where that is ours to do.
func (t target) open(ctx context.Context, o options, src *source) (*site, string, error) {
	s := &site{name: t.name, sizes: o.sizes, source: src, pid: t.pid, prefix: "bench-" + src.run, insecure: o.insecure}
	if t.base != nil {
		return s, t.base.Redacted(), s.connect(ctx, t.base, t.user, t.password)
	}
	l, what, err := t.launcher(ctx, o)
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp(o.dir, "bench-"+t.name+"-")
	if err != nil {
		return nil, "", fmt.Errorf("%s: data directory: %w; name another place with --dir", t.name, err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, "", err
	}
	s.proc = &process{launcher: l, name: t.name, dir: dir}
	base, _, err := s.proc.start(ctx)
	if err != nil {
		return s, "", err
	}
	s.pid = s.proc.pid()
	return s, what, s.connect(ctx, base, l.user, l.password)
}

// close ends a managed server and removes its data, or says where it was kept.
func (s *site) close(keep bool, errs io.Writer) {
	if s.client != nil {
		s.client.transport.CloseIdleConnections()
	}
	if s.proc == nil {
		return
	}
	if err := s.proc.stop(); err != nil {
		fmt.Fprintln(errs, "bench:", err)
	}
	if keep {
		fmt.Fprintf(errs, "bench: data of %s is in %s\n", s.name, s.proc.dir)
		return
	}
	s.proc.discard(errs)
}
