package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
)

// A user whom nobody knows costs as many rounds of hashing as one who is there.
func TestNobodysVerifier(t *testing.T) {
	t.Parallel()
	known, nobody := strings.Split(acr.PasswordVerifier("x"), "$"), strings.Split(nobodysVerifier, "$")
	if len(nobody) != 4 || nobody[0] != known[0] || nobody[1] != known[1] || len(nobody[2]) != len(known[2]) || len(nobody[3]) != len(known[3]) {
		t.Errorf("verifiers differ: %q, %q", nobodysVerifier, known)
	}
	begun := time.Now()
	if acr.VerifySecret(nobodysVerifier, "") {
		t.Error("it fits")
	}
	if took := time.Since(begun); took < 10*time.Millisecond {
		t.Errorf("it takes %s", took)
	}
}

func TestGuessing(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	g := newGuess(c.now)
	secret := acr.SecretVerifier("secret")
	try := func(name, address, with string) (bool, error) {
		i, err := g.match(t.Context(), []string{acr.SecretVerifier("other"), secret}, with, name, address)
		return i == 1, err
	}
	for range freePerAccount {
		if ok, err := try("ann", "a", "wrong"); ok || err != nil {
			t.Fatalf("%t, %v", ok, err)
		}
	}
	if _, err := try("ANN", "a", "secret"); !errors.Is(err, fault.TooMany) || fault.Of(err).After <= 0 {
		t.Errorf("the right one while a wait runs: %v", err)
	}
	if ok, err := try("ann", "b", "secret"); !ok || err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	c.advance(longestWait)
	if ok, err := try("ann", "a", "secret"); !ok || err != nil {
		t.Errorf("after the wait: %v", err)
	}
	// Many names from one address, and one name from many.
	var err error
	tries := 0
	for ; err == nil && tries < 1000; tries++ {
		_, err = try(fmt.Sprint("user", tries), "c", "wrong")
	}
	if tries > freePerAddress+1 {
		t.Errorf("%d names from an address", tries)
	}
	err = nil
	for tries = 0; err == nil && tries < 1000; tries++ {
		_, err = try("bob", fmt.Sprint("d", tries), "wrong")
	}
	if tries > freePerName+1 {
		t.Errorf("%d addresses for a name", tries)
	}
	if ok, err := try("ann", "b", "secret"); !ok || err != nil {
		t.Errorf("who has logged in before: %v", err)
	}
	for i := range freePerAccount {
		_, _ = try("eve", fmt.Sprintf("2001:db8::%x", i), "wrong")
	}
	if _, err := try("eve", "2001:db8::ffff", "wrong"); !errors.Is(err, fault.TooMany) {
		t.Errorf("from another address of one network: %v", err)
	}
	if _, err := try("eve", "2001:db8:0:1::1", "wrong"); err != nil {
		t.Errorf("from another network: %v", err)
	}
	if _, err := g.match(t.Context(), nil, "x", strings.Repeat("x", 1<<20), "e"); err != nil {
		t.Errorf("a name that nobody has: %v", err)
	}
}

// A storm of wrong passwords is worked off one at a time, and most of it is turned away.
func TestPasswordStorm(t *testing.T) {
	t.Parallel()
	g := newGuess(time.Now)
	right := acr.PasswordVerifier("right")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	results := make(chan error, 500)
	for range cap(results) {
		go func() {
			_, err := g.match(ctx, []string{right}, "wrong", "ann", "a")
			results <- err
		}()
	}
	checked := 0
	for i := range cap(results) {
		if i == cap(results)-maxWaiting-1 {
			stop() // the others wait, or have been checked
		}
		switch err := <-results; {
		case err == nil:
			checked++
		case !errors.Is(err, context.Canceled) && !errors.Is(err, fault.TooMany):
			t.Errorf("%v", err)
		}
	}
	if checked > freePerAccount+cap(g.slots) {
		t.Errorf("%d were checked", checked)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range cap(g.slots) {
		g.slots <- struct{}{}
	}
	if _, err := g.match(gone, []string{right}, "right", "bob", "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("who went away: %v", err)
	}
	for range cap(g.slots) {
		<-g.slots
	}
	for range 3 { // remembered after the first
		if i, err := g.match(t.Context(), []string{right}, "right", "bob", "b"); i != 0 || err != nil {
			t.Errorf("right: %d, %v", i, err)
		}
	}
}
