package test

import (
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// DEL-02: space comes back while pushes go on. No push fails, nothing referred to is lost, and once
// all is deleted the bytes leave the disk.
func TestCollect(t *testing.T) {
	eachStore(t, func(t *testing.T, env ...string) {
		s := ownServer(t, append(env, "ACRE_COLLECT_INTERVAL=300ms", "ACRE_COLLECT_GRACE=4s")...)
		c := s.http().client(t)
		const ballast = 8 << 20
		m, _, err := c.pushImage("collect/ballast", "v1", randomBytes(ballast))
		if err != nil {
			t.Fatal(err)
		}
		c.must(t, http.StatusAccepted, http.MethodDelete, "/v2/collect/ballast/manifests/"+c.digest(t, "collect/ballast", "v1").String(), nil, nil)
		layer := "/v2/collect/ballast/blobs/" + m.Layers[0].Digest.String()

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
		within(t, 30*time.Second, func() error {
			a, err := c.get(layer)
			if err == nil {
				err = a.want(http.StatusNotFound)
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
		within(t, 30*time.Second, func() error {
			if left := size(t, filepath.Join(s.data, "blobs")); left > 0 {
				return fmt.Errorf("%d bytes are on disk", left)
			}
			return nil
		})
		recovered(t, s, &l)
	})
}

// size sums up the files below a directory; one that goes away meanwhile counts nothing.
func size(t testing.TB, dir string) (sum int64) {
	t.Helper()
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
