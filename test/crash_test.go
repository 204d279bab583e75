package test

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pushersInLoad is how many clients push at once when the server is ended under them.
const pushersInLoad = 8

// eachStore runs a fault on servers of its own, on SQLite and on PostgreSQL.
func eachStore(t *testing.T, fault func(t *testing.T, env ...string)) {
	t.Helper()
	needAcre(t)
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); fault(t) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); fault(t, "ACRE_META="+newDatabase(t)) })
}

// TestKill kills the server at random moments under load. After each, what it left on disk is sound
// and everything it had acknowledged is there to the byte.
func TestKill(t *testing.T) {
	rounds := rounds(t, 3)
	eachStore(t, func(t *testing.T, env ...string) {
		rng := random(t)
		s := ownServer(t, env...)
		var all ledger
		for round := range rounds {
			var now ledger
			moment := time.Duration(rng.IntN(400)) * time.Millisecond
			underLoad(t, s, &now, pushersInLoad, rng, func() {
				time.Sleep(moment) // it is what is tested
				s.proc.kill()
			})
			recovered(t, s, &now)
			all.pushers = append(all.pushers, now.pushers...)
			if t.Failed() {
				t.Fatalf("in round %d of %d", round+1, rounds)
			}
		}
		recovered(t, s, &all)
		blobs, manifests, tags := all.size()
		t.Logf("%d rounds: %d blobs, %d manifests, %d tags acknowledged and there", rounds, blobs, manifests, tags)
	})
}

// rounds is how often a test repeats its fault.
func rounds(t testing.TB, otherwise int) int {
	t.Helper()
	s := os.Getenv("ACRE_TEST_ROUNDS")
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("ACRE_TEST_ROUNDS: %q is not a number of rounds", s)
	}
	return n
}

// TestCrashPoints ends the server at each place that the code names as one where a crash matters.
func TestCrashPoints(t *testing.T) {
	points := slices.DeleteFunc(crashPoints(t), func(point string) bool { return strings.HasPrefix(point, "delivery.") }) // TestWebhookCrash passes those
	if len(points) == 0 {
		t.Fatal("the code names no crash point")
	}
	eachStore(t, func(t *testing.T, env ...string) {
		rng := random(t)
		s := ownServer(t, append(env, "ACRE_COLLECT_INTERVAL=1s", "ACRE_COLLECT_GRACE=4s")...)
		plain := s.env
		for _, point := range points {
			passes, pushers, limit := []int{1, 2 + rng.IntN(20)}, pushersInLoad, 30*time.Second
			if strings.HasPrefix(point, "collect.") {
				// Passed once a second at most, and after a crash only when the job's lease has run out.
				passes, pushers, limit = []int{1}, 1, 2*time.Minute
			}
			for _, pass := range passes {
				t.Logf("%s, pass %d", point, pass)
				if err := s.stop(); err != nil {
					t.Fatal(err)
				}
				s.env = append(slices.Clone(plain), "ACRE_CRASHPOINT="+point+":"+strconv.Itoa(pass))
				now := ledger{collected: true}
				err := s.start()
				s.env = plain
				if err != nil && s.proc != nil && s.proc.ended() && s.proc.cmd.ProcessState.ExitCode() == 137 {
					recovered(t, s, &now) // collection begins with the server and was there before it was ready
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				underLoad(t, s, &now, pushers, rng, func() {
					select {
					case <-s.proc.done:
					case <-time.After(limit):
						t.Errorf("crash point %s: not passed %d times in %v of load", point, pass, limit)
						s.proc.kill()
					}
				})
				if code := s.proc.cmd.ProcessState.ExitCode(); code != 137 && !t.Failed() {
					t.Errorf("crash point %s: the server ended with %d, want 137", point, code)
				}
				recovered(t, s, &now)
				if t.Failed() {
					return
				}
			}
		}
	})
}

// TestTerminate ends the server with SIGTERM in the middle of pushes: it exits 0 and loses nothing.
func TestTerminate(t *testing.T) {
	eachStore(t, func(t *testing.T, env ...string) {
		rng := random(t)
		s := ownServer(t, env...)
		var now ledger
		underLoad(t, s, &now, pushersInLoad, rng, func() {
			time.Sleep(300 * time.Millisecond) // let the pushes get going
			if err := s.proc.signal(syscall.SIGTERM, 30*time.Second); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
		recovered(t, s, &now)
	})
}

// underLoad pushes while end ends the server. A client that is refused, rather than cut off, has
// found an error of the server's.
func underLoad(t *testing.T, s *server, l *ledger, pushers int, rng *rand.Rand, end func()) {
	t.Helper()
	c := s.http().client(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end()
	}()
	errs := l.load(c, pushers, rng)
	<-ended
	for _, err := range errs {
		var refused *refusedError
		if errors.As(err, &refused) && refused.Status != 503 {
			t.Errorf("while the server was up: %v", err)
		}
	}
}

// recovered looks at what an ended server left behind, starts it again and compares it with the ledger.
func recovered(t *testing.T, s *server, l *ledger) {
	t.Helper()
	if !s.proc.ended() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}
	if err := s.fsck(); err != nil {
		t.Error(err)
	}
	s.mustStart(t)
	c := s.http().client(t)
	if err := errors.Join(l.check(c), l.finish(c)); err != nil {
		t.Error(err)
	}
}

// crashPoints finds the names in the sources.
func crashPoints(t testing.TB) []string {
	t.Helper()
	call := regexp.MustCompile(`\bcrash\.Point\("([^"]+)"\)`)
	names := map[string]bool{}
	err := filepath.WalkDir(filepath.Join("..", "internal"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range call.FindAllSubmatch(text, -1) {
			names[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(names))
}
