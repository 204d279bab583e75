package test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// REPO-17: while a thousand pushes make repositories and tags, no listing omits what was there before.
func TestListingUnderPushes(t *testing.T) {
	plain(t, func(t *testing.T, to target) {
		const before, pushes = 150, 1000
		c := to.client(t)
		prefix := to.repo("listing")
		repo := prefix + "/tags"
		var repos, tags []string
		for i := range before {
			repos, tags = append(repos, fmt.Sprintf("%s/%03d", prefix, i*7%before)), append(tags, fmt.Sprintf("v%03d", i*7%before))
		}
		parallel(t, 8, before, func(i int) error {
			if _, _, err := c.pushImage(repos[i], "v1", []byte("layer")); err != nil {
				return err
			}
			_, _, err := c.pushImage(repo, tags[i], []byte("layer"))
			return err
		})
		slices.Sort(repos)
		slices.Sort(tags)

		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			parallel(t, pushes, pushes, func(i int) error {
				if _, _, err := c.pushImage(fmt.Sprintf("%s/%03d-%d", prefix, i%before, i), "v1", fmt.Appendf(nil, "layer %d", i)); err != nil {
					return err
				}
				_, _, err := c.pushImage(repo, fmt.Sprintf("v%03d-%d", i%before, i), []byte("layer"))
				return err
			})
		}()
		listings := 0
		for during := true; during; listings++ {
			select {
			case <-done:
				during = false
			default:
			}
			whole(t, c, "/v2/_catalog?n=40&last="+url.QueryEscape(prefix), "repositories", repos)
			whole(t, c, "/v2/"+repo+"/tags/list?n=40", "tags", tags)
		}
		t.Logf("%d listings while %d pushes went on", listings, pushes)
		got := must(c.list("/v2/"+repo+"/tags/list?n=100", "tags"))(t)
		if len(got) != before+pushes {
			t.Errorf("%d tags in the end, want %d", len(got), before+pushes)
		}
	})
}

// whole checks that a listing is in byte order, without repetition, and holds all that is wanted.
func whole(t *testing.T, c *client, path, member string, want []string) {
	t.Helper()
	got := must(c.list(path, member))(t)
	for i := 1; i < len(got); i++ {
		if got[i-1] >= got[i] {
			t.Fatalf("%s: %q comes before %q", path, got[i-1], got[i])
		}
	}
	for _, w := range want {
		if _, found := slices.BinarySearch(got, w); !found {
			t.Fatalf("%s omits %s among %d", path, w, len(got))
		}
	}
}

// parallel calls work for 0 to n-1 from several goroutines and reports errors.
func parallel(t *testing.T, workers, n int, work func(int) error) {
	t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := work(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestSlowClients holds hundreds of connections that never finish a header or a body. Others are
// served as ever.
func TestSlowClients(t *testing.T) {
	needAcre(t)
	t.Parallel()
	to := ownServer(t).http()
	c := to.client(t)
	location := must(c.startUpload("slow/app"))(t)
	req := must(http.NewRequest(http.MethodPatch, to.URL()+strings.TrimPrefix(location, to.URL()), nil))(t)
	req.SetBasicAuth(to.User, to.Password)
	begun := []string{
		"GET /v2/ HTTP/1.1\r\nHost: " + to.Host + "\r\nX-Slow: ",
		fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: 1000000\r\n\r\nx",
			req.URL.RequestURI(), to.Host, req.Header.Get("Authorization")),
		"POST /oauth2/token HTTP/1.1\r\nHost: " + to.Host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ngrant",
		"",
	}
	var conns []net.Conn
	t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
	})
	for i := range 600 {
		conn := must(net.Dial("tcp", to.Host))(t)
		conns = append(conns, conn)
		must(conn.Write([]byte(begun[i%len(begun)])))(t)
	}
	var slowest time.Duration
	for i := range 50 {
		for _, conn := range conns {
			_, _ = conn.Write([]byte("x")) // the server may have had enough of it
		}
		at := time.Now()
		if _, _, err := c.pushImage("slow/others", fmt.Sprint(i), randomBytes(1000)); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(at))
	}
	if slowest > 5*time.Second {
		t.Errorf("beside slow clients a push took %v", slowest)
	}
}
