package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/meta/metatest"
)

// victimStore names the store to the process that TestKill kills.
const victimStore = "ACRE_TEST_AUDIT_STORE"

// A process that is killed loses rows of requests that are not written yet, no change, and nothing from the middle.
func TestKill(t *testing.T) {
	t.Parallel()
	if url := os.Getenv(victimStore); url != "" {
		beVictim(t, url)
	}
	s := &store{t: t, url: "sqlite://" + filepath.Join(t.TempDir(), "acre.db")}
	victim := exec.Command(os.Args[0], "-test.run=^TestKill$")
	victim.Env = append(os.Environ(), victimStore+"="+s.url)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = victim.Process.Kill() }) // where the test ended before
	said := bufio.NewScanner(out)
	for said.Scan() && said.Text() != "ready" {
		t.Log(said.Text())
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil || said.Text() != "ready" {
		t.Fatalf("the process ended by itself: %v", err)
	}

	s.DB = metatest.Open(t, s.url, meta.Options{})
	if err := s.Update(t.Context(), func(tx *meta.Tx) (err error) {
		s.number, err = tx.CreateRegistry("demo1")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.run(audit.Options{}, func(*audit.Service) {})
	var pulls, changes int
	for _, r := range s.all("demo1") {
		switch {
		case r.Category == acr.Changes:
			if changes++; r.Tag != fmt.Sprint("v", changes) {
				t.Errorf("change %d is of %s", changes, r.Tag)
			}
		default:
			if pulls++; r.Tag != fmt.Sprint("p", pulls) {
				t.Errorf("pull %d is of %s", pulls, r.Tag)
			}
		}
	}
	if changes != 50 || pulls < 100 || pulls > 200 {
		t.Errorf("%d changes of 50, %d pulls of 200, of which 100 were written", changes, pulls)
	}
	if faults := s.verify(); faults != nil {
		t.Error(faults)
	}
}

// beVictim writes 100 rows of requests, then hands in as many again and changes something 50 times, says so, and waits for
// its end.
func beVictim(t *testing.T, url string) {
	s := &store{t: t, url: url, DB: metatest.Open(t, url, meta.Options{})}
	if err := s.Update(t.Context(), func(tx *meta.Tx) (err error) {
		s.number, err = tx.CreateRegistry("demo1")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	a := s.service(audit.Options{})
	go func() { _ = a.Run(context.Background()) }()
	pull := func(n int) {
		a.Repository(t.Context(), audit.RepositoryEvent{Request: request(200), Operation: acr.PullOperation, Repository: "app", Tag: fmt.Sprint("p", n)})
	}
	for n := range 100 {
		pull(n + 1)
	}
	for tick := time.Tick(10 * time.Millisecond); len(s.all("demo1")) < 100; {
		<-tick
	}
	for n := range 100 {
		pull(n + 101)
		if n%2 == 0 {
			s.append(acr.Event{Kind: acr.TagPushed, Repository: "app", Tag: fmt.Sprint("v", n/2+1), Actor: "jo"})
		}
	}
	fmt.Println("ready")
	select {}
}
