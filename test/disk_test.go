package test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// mount makes a file system for one test and unmounts it afterwards.
func mount(t testing.TB, args ...string) (dir string) {
	t.Helper()
	needRoot(t)
	dir = t.TempDir()
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		missing(t, "mount %s: %v: %s", strings.Join(args, " "), err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// serverOn starts a server whose data directory is on a mounted file system.
func serverOn(t testing.TB, dir string) *server {
	t.Helper()
	s := newServer(shared.binary(t), filepath.Join(dir, "data"))
	s.logFile = filepath.Join(t.TempDir(), "log")
	s.mustStart(t)
	t.Cleanup(func() {
		s.proc.kill()
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", tail(s.log()))
		}
	})
	return s
}

// TestFullDisk fills the disk to the last byte. Pushes are refused in so many words, what was
// acknowledged stays readable, and when space returns so do pushes, without a restart.
func TestFullDisk(t *testing.T) {
	needAcre(t)
	t.Parallel()
	dir := mount(t, "-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs")
	s := serverOn(t, dir)
	c := s.http().client(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o644); err != nil {
		t.Fatal(err)
	}

	var l ledger
	refusals := 0
	for _, err := range l.load(c, 4, random(t)) {
		refusals += full(t, err)
	}
	// Bytes have no room; what fits now is ever smaller, down to rows alone.
	for size := 1 << 20; size > 0; size /= 8 {
		for range 2000 {
			if _, _, err := c.pushImage("full/small", fmt.Sprint(size), randomBytes(size)); err != nil {
				refusals += full(t, err)
				break
			}
		}
	}
	if refusals < 5 {
		t.Errorf("%d refusals: the disk did not fill", refusals)
	}
	if err := l.check(c); err != nil {
		t.Errorf("while the disk is full: %v", err)
	}
	c.must(t, http.StatusOK, http.MethodGet, "/healthz", nil, nil)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	within(t, 30*time.Second, func() error {
		_, _, err := c.pushImage("full/after", "v1", randomBytes(1<<20))
		return err
	})
	recovered(t, s, &l)
}

// full checks that a push was refused for want of space, as the envelope says it, and counts it.
func full(t *testing.T, err error) int {
	t.Helper()
	var refused *refusedError
	if !errors.As(err, &refused) {
		t.Errorf("on a full disk the answer is %v, want a refusal", err)
		return 0
	}
	if refused.Status != http.StatusInsufficientStorage || refused.code() == "" {
		t.Errorf("on a full disk the answer is %v, want 507 with an error envelope", err)
	}
	return 1
}

// ext4 makes a file system in a file, with a journal as machines have it, and mounts it.
func ext4(t testing.TB) (dir string, repair func()) {
	t.Helper()
	needRoot(t)
	need(t, "mkfs.ext4", "fsck.ext4")
	image := filepath.Join(t.TempDir(), "ext4")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	dir = mount(t, "-o", "loop,errors=remount-ro", image)
	return dir, func() {
		t.Helper()
		for _, args := range [][]string{{"umount", dir}, {"fsck.ext4", "-p", "-f", image}, {"mount", "-o", "loop,errors=remount-ro", image, dir}} {
			out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			var exit *exec.ExitError
			if corrected := args[0] == "fsck.ext4" && errors.As(err, &exit) && exit.ExitCode() == 1; err != nil && !corrected {
				t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
			}
		}
	}
}

// TestReadOnlyDisk has the file system give up writing, as ext4 does after an I/O error. Reads go on;
// pushes are refused; after a repair everything acknowledged is there.
func TestReadOnlyDisk(t *testing.T) {
	needAcre(t)
	t.Parallel()
	dir, repair := ext4(t)
	s := serverOn(t, dir)
	c := s.http().client(t)
	l := ledger{}
	rng := random(t)
	p := l.pusher("readonly/app", rng.Uint64())
	for range 20 {
		if err := p.image(c); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mount", "-o", "remount,abort", dir).CombinedOutput(); err != nil {
		missing(t, "mount -o remount,abort: %v: %s", err, out)
	}
	if err := l.check(c); err != nil {
		t.Errorf("while the disk is read-only: %v", err)
	}
	for _, size := range layerSizes {
		_, err := c.pushBlob("readonly/app", randomBytes(size))
		var refused *refusedError
		if !errors.As(err, &refused) || !slices.Contains([]int{http.StatusServiceUnavailable, http.StatusInsufficientStorage}, refused.Status) || refused.code() == "" {
			t.Errorf("push of %d bytes to a read-only disk: %v, want 503 or 507 with an error envelope", size, err)
		}
	}
	s.proc.kill()
	repair()
	recovered(t, s, &l)
	if err := p.image(s.http().client(t)); err != nil {
		t.Errorf("push after the repair: %v", err)
	}
}

// TestPowerLoss stops the disk under load as a power cut does: what the file system had not been told
// to flush is gone. Every acknowledged push is there when the power is back.
func TestPowerLoss(t *testing.T) {
	needAcre(t)
	t.Parallel()
	rng := random(t)
	dir, repair := ext4(t)
	s := serverOn(t, dir)
	var all ledger
	for range rounds(t, 3) {
		var now ledger
		moment := 100*time.Millisecond + time.Duration(rng.IntN(300))*time.Millisecond
		c := s.http().client(t)
		c.deaf = new(atomic.Bool)
		off := make(chan struct{})
		go func() {
			defer close(off)
			time.Sleep(moment) // it is what is tested
			c.deaf.Store(true) // a flush that the kernel is in the middle of may report success and be lost,
			powerOff(t, dir)   // so what is answered from here on does not count
			now.enough.Store(true)
		}()
		now.load(c, pushersInLoad, rng)
		<-off
		s.proc.kill()
		repair()
		for _, p := range now.pushers {
			p.partial = upload{} // an upload under way is no push yet
		}
		recovered(t, s, &now)
		all.pushers = append(all.pushers, now.pushers...)
		if t.Failed() {
			return
		}
	}
	recovered(t, s, &all)
	blobs, manifests, tags := all.size()
	t.Logf("%d blobs, %d manifests, %d tags acknowledged and there", blobs, manifests, tags)
}

// powerOff has the file system drop everything that it holds in memory and refuse all further work.
func powerOff(t testing.TB, dir string) {
	f, err := os.Open(dir)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	const shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
	withoutFlush := uint32(2)   // EXT4_GOING_FLAGS_NOLOGFLUSH
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&withoutFlush))); errno != 0 {
		t.Errorf("shut %s down: %v", dir, errno)
	}
}

// TestTwoProcesses starts a second server on a data directory that is in use.
func TestTwoProcesses(t *testing.T) {
	needAcre(t)
	t.Parallel()
	s := ownServer(t)
	second := newServer(s.acre, s.data)
	second.logFile = filepath.Join(t.TempDir(), "log")
	p, err := start(second.log(), second.env, second.acre, "serve", "--dev", "--data", s.data, "--http", "127.0.0.1:0", "--https", "")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.kill()
		t.Fatal("the second process was still there after 20 s")
	}
	if said := tail(second.log()); p.cmd.ProcessState.ExitCode() <= 0 || !strings.Contains(said, "another acre") || !strings.Contains(said, s.data) {
		t.Errorf("the second process ended with %v, saying:\n%s", p.err, said)
	}
	if _, _, err := s.http().client(t).pushImage("two/app", "v1", []byte("x")); err != nil {
		t.Errorf("the first process afterwards: %v", err)
	}
	if s.proc.ended() {
		t.Error("the first process ended")
	}
}
