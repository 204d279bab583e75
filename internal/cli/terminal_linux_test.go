package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// openTerminal makes a terminal: what a user sees and types, and what a program has as stdin.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// talk runs a command on a terminal, types each answer when its question has been asked, and gives what the screen
// showed.
func (b *bench) talk(answers [][2]string, args ...string) (code int, screen string) {
	b.Helper()
	user, program := openTerminal(b.T)
	shown, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		var all strings.Builder
		r := bufio.NewReader(user)
		for _, qa := range answers {
			for !strings.HasSuffix(all.String(), qa[0]) {
				c, err := r.ReadByte()
				if err != nil {
					shown <- all.String()
					return
				}
				all.WriteByte(c)
			}
			fmt.Fprintf(user, "%s\n", qa[1])
		}
		rest, _ := io.ReadAll(r) // ends with an error when the program's side closes
		shown <- all.String() + string(rest)
	}()
	code = Main(b.Context(), Options{
		Args: args, Stdin: program, Stdout: program, Stderr: program, Getenv: func(k string) string { return b.env[k] },
	})
	program.Close()
	<-done
	return code, strings.ReplaceAll(<-shown, "\r\n", "\n")
}

func TestAskForCredentials(t *testing.T) {
	t.Parallel()
	b, s := locked(t, "")
	s.mu.Lock()
	s.password = "hush"
	s.mu.Unlock()
	code, screen := b.talk([][2]string{{"Username: ", "me"}, {"Password: ", "hush"}}, "login")
	if code != 0 || !strings.Contains(screen, "Logged in to "+s.host()) {
		t.Errorf("exit %d:\n%s", code, screen)
	}
	if strings.Contains(screen, "hush") {
		t.Errorf("the screen shows the password:\n%s", screen)
	}
	code, screen = b.talk(nil, "repository", "list", "--top", "2")
	if want := "Result\n------\napp\nbase\n"; code != 0 || screen != want {
		t.Errorf("exit %d, screen %q; want a table: %q", code, screen, want)
	}
}

func TestAskBeforeDelete(t *testing.T) {
	t.Parallel()
	b, s := stocked(t)
	question := "Delete the manifest app@" + string(wordDigest("two")) + " with the tags latest, stable, v2? (y/n): "
	for _, no := range []string{"n", "", "no way"} {
		code, screen := b.talk([][2]string{{question, no}}, "repository", "delete", "--image", "app:v2")
		if code == 0 || !strings.Contains(screen, "nothing was done") {
			t.Errorf("answer %q: exit %d:\n%s", no, code, screen)
		}
	}
	if code, screen := b.talk([][2]string{{question, "Y"}}, "repository", "delete", "--image", "app:v2"); code != 0 {
		t.Errorf("exit %d:\n%s", code, screen)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := keys(s.repos["app"]); len(got) != 1 || got[0] != "v1" {
		t.Errorf("tags left: %q", got)
	}
}

func TestTerminalIsFound(t *testing.T) {
	t.Parallel()
	_, program := openTerminal(t)
	if _, ok := terminal(program); !ok || !term.IsTerminal(int(program.Fd())) {
		t.Error("a terminal is not taken for one")
	}
	if _, ok := terminal(&strings.Builder{}); ok {
		t.Error("a buffer is taken for a terminal")
	}
}
