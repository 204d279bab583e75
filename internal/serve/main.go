package serve

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/acre-registry/acre/internal/crash"
)

// Main is "acre serve": it serves until SIGTERM or SIGINT and gives the exit code.
func Main(args, environ []string, version string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c, err := LoadConfig(args, environ)
	if errors.Is(err, flag.ErrHelp) {
		Usage(stdout)
		return 0
	}
	if err == nil {
		err = setCrashPoint(environ)
	}
	if err == nil {
		err = serve(ctx, c, version, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "acre serve: %v\n", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, c Config, version string, stdout, stderr io.Writer) error {
	tuneMemory()
	s, err := Open(ctx, c, version, stderr)
	if err != nil {
		return err
	}
	err = s.Run(ctx, stdout)
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// setCrashPoint sets the crash point that tests name in ACRE_CRASHPOINT.
func setCrashPoint(environ []string) error {
	for _, v := range environ {
		if spec, ok := strings.CutPrefix(v, "ACRE_CRASHPOINT="); ok && spec != "" {
			return crash.Arm(spec)
		}
	}
	return nil
}

// CheckConfig is "acre config check": it says what is wrong, or prints the effective settings.
func CheckConfig(args, environ []string, stdout, stderr io.Writer) int {
	c, err := LoadConfig(args, environ)
	if errors.Is(err, flag.ErrHelp) {
		Usage(stdout)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "acre config check: %v\n", err)
		return 2
	}
	_, _ = stdout.Write(c.YAML())
	return 0
}

// Offline opens the data directory on which no server runs and serves its operator socket until stop.
func Offline(ctx context.Context, environ []string, data, version string, stderr io.Writer) (stop func(), err error) {
	c, err := LoadConfig([]string{"--data", data, "--log-level", "warn"}, environ)
	if err != nil {
		return nil, err
	}
	c.HTTP, c.HTTPS, c.Ops = "", "", ""
	s, err := Open(ctx, c, version, stderr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := errors.Join(s.Run(ctx, io.Discard), s.Close(context.WithoutCancel(ctx))); err != nil {
			fmt.Fprintf(stderr, "acre: %v\n", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

// greeting says the password where it is new or no secret, else how to see it. Commands are printed as this one was
// called, so that they can be typed where acre is not on the path.
func (s *Server) greeting(registry, password string) string {
	if password == "" {
		return "Password: shown by " + os.Args[0] + " admin credential show -n " + registry + " --data " + s.config.Data + "\n"
	}
	return "Password: " + password + "\n"
}

// welcomeText says where the server is and what to try first.
func (s *Server) welcomeText() string {
	at := s.listeners.Addresses()
	host := cmp.Or(at.HTTP, at.HTTPS)
	if host == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nacre is ready.\n\n")
	if at.HTTP != "" {
		fmt.Fprintf(&b, "  http://%s\n", at.HTTP)
	}
	if at.HTTPS != "" {
		fmt.Fprintf(&b, "  https://%s\n", at.HTTPS)
		if s.authority != nil {
			fmt.Fprintf(&b, "  trust: %s admin ca export --data %s\n", os.Args[0], s.config.Data)
		}
	}
	name, note := dockerName(host, s.loginServer(s.config.DefaultRegistry))
	fmt.Fprintf(&b, "\nTry it:\n\n%s  docker login %s --username %s\n    %s", note, name, s.config.DefaultRegistry, s.welcome)
	fmt.Fprintf(&b, "  docker pull busybox\n  docker tag busybox %s/hello:v1\n  docker push %s/hello:v1\n\n%s", name, name, s.owner)
	if s.config.Dev && at.HTTPS != "" {
		fmt.Fprintf(&b, "az and others that have the cloud's names built in, signed in as that service principal:\n\n"+
			"  %s dev exec --data %s -- az acr list --output table\n  %s dev env --help\n\n", os.Args[0], s.config.Data, os.Args[0])
	}
	return b.String()
}

// dockerName is how docker calls a listener: it takes no IPv6 address. Where localhost leads to the listener it is that;
// else, for such an address, the login server's name, which is to lead there: the note tells how.
func dockerName(addr, loginServer string) (name, note string) {
	host, port, err := net.SplitHostPort(addr)
	ip, ipErr := netip.ParseAddr(host)
	if err != nil || ipErr != nil {
		return addr, ""
	}
	local := net.JoinHostPort("localhost", port)
	if (ip.IsLoopback() || ip.IsUnspecified()) && leads(local, addr) {
		return local, ""
	}
	if ip.Is4() {
		return addr, ""
	}
	if ip.IsUnspecified() {
		ip = netip.IPv6Loopback()
	}
	return net.JoinHostPort(loginServer, port), fmt.Sprintf("  echo '%s %s' >> /etc/hosts   # docker takes no IPv6 address\n", ip, loginServer)
}

// leads tells whether who connects to a name comes to the listener at an address.
func leads(name, addr string) bool {
	c, err := net.DialTimeout("tcp", name, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	to, err := netip.ParseAddrPort(addr)
	far, farErr := netip.ParseAddrPort(c.RemoteAddr().String())
	return err == nil && farErr == nil && far.Port() == to.Port() && (to.Addr().IsUnspecified() || far.Addr().Unmap() == to.Addr())
}
