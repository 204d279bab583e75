package test

import (
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// DEL-02: space comes back while pushes go on. No push fails, nothing referred to is lost, and once
// all is deleted the bytes leave the disk. That takes a minute, in which readers may finish.
func TestCollect(t *testing.T) {
	eachStore(t, func(t *testing.T, env ...string) {
		s := ownServer(t, append(env, "ACRE_COLLECT_INTERVAL=1s", "ACRE_COLLECT_GRACE=4s")...)
		c := s.http().client(t)
		const ballast = 8 << 20
		if _, _, err := c.pushImage("collect/ballast", "v1", randomBytes(ballast)); err != nil {
			t.Fatal(err)
		}
		c.must(t, http.StatusAccepted, http.MethodDelete, "/v2/collect/ballast/manifests/"+c.digest(t, "collect/ballast", "v1").String(), nil, nil)

		l := ledger{collected: true}
		rng := random(t)
		done := make(chan struct{})
		defer func() { l.enough.Store(true); <-done }()
		go func() {
			defer close(done)
			for _, err := range l.load(c, 4, rng) {
				if err != nil {
					t.Errorf("a push beside the collection: %v", err)
				}
			}
		}()
		// Nobody asks for the blob itself: a client that finds one may be about to name it.
		within(t, time.Minute, func() error {
			a, err := c.get("/metrics")
			if err == nil && pending(a.Body, "litter") < ballast {
				err = fmt.Errorf("%d bytes are about to go, want at least %d", pending(a.Body, "litter"), ballast)
			}
			return err
		})
		l.enough.Store(true)
		<-done
		if err := l.check(c); err != nil {
			t.Error(err)
		}
		for _, p := range l.pushers {
			for d := range p.manifests {
				c.must(t, http.StatusAccepted, http.MethodDelete, "/v2/"+p.repo+"/manifests/"+d.String(), nil, nil)
			}
			p.manifests, p.tags = nil, nil
		}
		within(t, 3*time.Minute, func() error {
			if left := size(filepath.Join(s.data, "blobs")); left > 0 {
				return fmt.Errorf("%d bytes are on disk", left)
			}
			return nil
		})
		recovered(t, s, &l)
	})
}

// pending reads how many bytes the server is yet to give back.
func pending(metrics []byte, what string) int64 {
	var sum int64
	for line := range strings.Lines(string(metrics)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "acre_content_pending_bytes{") && strings.Contains(name, `"`+what+`"`) {
			n, err := strconv.ParseFloat(value, 64)
			if err == nil {
				sum += int64(n)
			}
		}
	}
	return sum
}

// size sums up the files below a directory; one that goes away meanwhile counts nothing.
func size(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
