package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

const proxyHelp = `Lead clients that have the cloud's host names built in to a server on this machine, without privileges: az, the Azure
SDKs, Terraform, docker. It is a proxy on loopback that connects every host to the server and to nothing else: what is
asked for by HTTPS to the server's TLS listener, under the name that was asked for, and what is asked for by HTTP, such
as managed identities at 169.254.169.254, to its HTTP listener.

It prints variables to set, for a shell to read, and writes a file with the certificates of this system and that of the
server's own authority, which those variables name. It runs until it is stopped; a command behind -- is run with the
variables set, and the proxy ends with it.

The server is to serve the cloud's names: acre serve --dev does. It must not run with the variables itself.`

// proxyFlags are where the proxy listens and leads to.
type proxyFlags struct {
	to, plain, listen, bundle string
}

func (a *app) proxyCommand() *cobra.Command {
	var set proxyFlags
	cmd := &cobra.Command{
		Use: "proxy [-- COMMAND …]", Short: "Lead clients of the cloud to a server on this machine", Long: proxyHelp,
		Example: `  acre dev proxy > acre.env & sleep 1; . ./acre.env
  acre dev proxy -- az login --service-principal -u APP_ID -p SECRET --tenant TENANT
  acre dev proxy --to 127.0.0.1:5443 --to-http 127.0.0.1:5000`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return fault.New(fault.Invalid, "acre dev proxy takes a command only behind --")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.proxy(cmd.Context(), set, args) },
	}
	set.flags(cmd)
	return cmd
}

func (set *proxyFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&set.to, "to", "", "TLS listener of the server, as host:port (default that of the server on the data directory)")
	f.StringVar(&set.plain, "to-http", "", "HTTP listener of the server (default that of the server on the data directory)")
	f.StringVar(&set.listen, "listen", "127.0.0.1:0", "where the proxy listens; loopback only, port 0 picks one")
	f.StringVar(&set.bundle, "bundle", "", "file for the certificates to trust (default acre-ca-bundle.pem in the user's configuration of acre)")
}

func (a *app) proxy(ctx context.Context, set proxyFlags, command []string) error {
	return a.underProxy(ctx, &set, func(ctx context.Context, s surroundings) error {
		env := slices.Concat(s.proxied(), s.python(), s.golang(), s.node(), s.az())
		if len(command) > 0 {
			return a.runWith(ctx, env, command)
		}
		forget, err := a.announceProxy(s)
		if err != nil {
			return fmt.Errorf("say where the proxy is: %w", err)
		}
		defer forget()
		if err := shells["sh"](a.Stdout, env); err != nil {
			return err
		}
		a.warn("Leading every host to %s, and plain HTTP to %s. Stop with Ctrl-C.", set.to, set.plain)
		<-ctx.Done()
		return nil
	})
}

// underProxy does something while a proxy runs: to the end of either.
func (a *app) underProxy(ctx context.Context, set *proxyFlags, do func(ctx context.Context, s surroundings) error) error {
	if err := a.findListeners(set); err != nil {
		return err
	}
	bundle, err := a.writeBundle(ctx, set.bundle)
	if err != nil {
		return err
	}
	listener, err := listenLoopback(ctx, set.listen)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		defer stop()
		done <- serveProxy(ctx, listener, *set)
	}()
	err = do(ctx, surroundings{Proxy: "http://" + listener.Addr().String(), Bundle: bundle, To: set.to})
	stop()
	return errors.Join(err, <-done)
}

// findListeners settles where the proxy leads to.
func (a *app) findListeners(set *proxyFlags) error {
	addr, err := a.addresses()
	if err != nil {
		return err
	}
	if set.to == "" {
		set.to, set.plain = addr.HTTPS, cmp.Or(set.plain, addr.HTTP)
	}
	if set.to == "" {
		return fault.New(fault.Invalid, "no server with a TLS listener runs on the data directory %s: start one with acre serve --dev, or name its listener with --to", a.dataDir())
	}
	for _, at := range []struct{ flag, addr string }{{"to", set.to}, {"to-http", set.plain}} {
		if _, _, err := net.SplitHostPort(at.addr); err != nil && at.addr != "" {
			return fault.New(fault.Invalid, "--%s %q is no address: write host:port", at.flag, at.addr)
		}
	}
	return nil
}

func listenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	if err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fault.New(fault.Invalid, "--listen %q is not on loopback: whoever reaches the proxy would reach the server", addr)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the proxy cannot listen: %w; name another address with --listen", err)
	}
	return l, nil
}

// exitStatus is how a command ended that acre ran: acre ends the same way.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("the command ended with %d", int(e)) }

// runWith runs a command with variables set, until it ends.
func (a *app) runWith(ctx context.Context, env []variable, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // what the user asked to run
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Stdin, a.Stdout, a.Stderr
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 5*time.Second
	cmd.Env = environment(env)
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return exitStatus(ended.ExitCode())
	}
	if err != nil {
		return fault.New(fault.Invalid, "run %s: %w", command[0], err)
	}
	return nil
}

// environment is this program's own with variables set.
func environment(env []variable) (out []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(env, func(o variable) bool { return o.name == name }) {
			out = append(out, v)
		}
	}
	for _, v := range env {
		if v.value != "" {
			out = append(out, v.name+"="+v.value)
		}
	}
	return out
}

// rootFiles are where systems keep the certificates that they trust.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// writeBundle writes the system's certificates and the server's own authority's to a file, and gives its whole path.
func (a *app) writeBundle(ctx context.Context, file string) (string, error) {
	if file == "" {
		file = filepath.Join(a.configDir(), "acre-ca-bundle.pem")
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	for _, roots := range rootFiles {
		if pem, err := os.ReadFile(roots); err == nil {
			text.Write(pem)
			break
		}
	}
	own, err := a.authority(ctx)
	if err != nil {
		return "", err
	}
	if text.Len() > 0 && !bytes.HasSuffix(text.Bytes(), []byte("\n")) {
		text.WriteByte('\n')
	}
	text.Write(own)
	if err := replaceFile(file, text.Bytes()); err != nil {
		return "", fmt.Errorf("write the certificates to trust: %w", err)
	}
	return file, nil
}

// authority is the certificate to trust for the server: --ca, else that of the server on the data directory.
func (a *app) authority(ctx context.Context) ([]byte, error) {
	if file := a.setting(a.ca, "ACRE_CA", ""); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fault.New(fault.Invalid, "certificates to trust: %w; write them with acre admin ca export", err)
		}
		return pem, nil
	}
	op, err := a.operator(ctx)
	if err != nil {
		return nil, fmt.Errorf("which certificates to trust (or give --ca): %w", err)
	}
	defer op.close()
	return op.authority(ctx)
}

// Bounds of the proxy.
const (
	proxyConnections = 512
	proxyHeader      = 64 << 10
	proxyHeaderTime  = 10 * time.Second
	proxyIdle        = 10 * time.Minute
)

// serveProxy serves until ctx ends, and joins what it started.
func serveProxy(ctx context.Context, l net.Listener, set proxyFlags) error {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	plain := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, set.plain)
		},
		ResponseHeaderTimeout: time.Minute, IdleConnTimeout: 30 * time.Second, MaxConnsPerHost: proxyConnections,
	}
	defer plain.CloseIdleConnections()
	p := &mapping{
		set: set, dialer: dialer, open: make(chan struct{}, proxyConnections), ctx: ctx,
		forward: &httputil.ReverseProxy{
			Transport: plain,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme = "http"
				r.Out.Host = r.In.URL.Host
			},
			ErrorLog: log.New(io.Discard, "", 0),
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, "acre dev proxy: "+set.plain+" does not answer: "+err.Error(), http.StatusBadGateway)
			},
		},
	}
	server := &http.Server{
		Handler: p, ReadHeaderTimeout: proxyHeaderTime, IdleTimeout: time.Minute, MaxHeaderBytes: proxyHeader,
		ErrorLog: log.New(io.Discard, "", 0), BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	go func() {
		<-ctx.Done()
		server.Close()
		close(ended)
	}()
	err := server.Serve(l)
	if ctx.Err() == nil {
		return fault.New(fault.Unavailable, "the proxy stopped: %w", err)
	}
	<-ended
	for range cap(p.open) { // until nothing is under way
		p.open <- struct{}{}
	}
	return nil
}

// mapping is a proxy that leads every host to one server.
type mapping struct {
	set     proxyFlags
	dialer  *net.Dialer
	forward http.Handler
	open    chan struct{} // what is under way
	ctx     context.Context
}

func (p *mapping) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.open <- struct{}{}:
		defer func() { <-p.open }()
	default:
		http.Error(w, "acre dev proxy: too many connections at once", http.StatusServiceUnavailable)
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.Scheme != "http" || r.URL.Host == "":
		http.Error(w, "acre dev proxy: this is a proxy, to be named by HTTPS_PROXY and HTTP_PROXY", http.StatusBadRequest)
	case p.set.plain == "":
		http.Error(w, "acre dev proxy: the server has no HTTP listener; name it with --to-http", http.StatusBadGateway)
	default:
		p.forward.ServeHTTP(w, r)
	}
}

// tunnel connects a client to the server's TLS listener, whatever host it asked for.
func (p *mapping) tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := p.dialer.DialContext(r.Context(), "tcp", p.set.to)
	if err != nil {
		http.Error(w, "acre dev proxy: "+p.set.to+" does not answer: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "acre dev proxy: CONNECT needs HTTP/1.1", http.StatusBadRequest)
		return
	}
	defer near.Close()
	defer context.AfterFunc(p.ctx, func() { near.Close(); far.Close() })()
	if _, err := near.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return
	}
	t := &tunnel{}
	t.moved()
	back := make(chan struct{})
	go func() {
		defer close(back)
		t.carry(near, far, far)
	}()
	t.carry(far, near, buffered.Reader)
	<-back
}

// tunnel is a connection through the proxy, in both directions.
type tunnel struct{ last atomic.Int64 } // when bytes went through, in either

func (t *tunnel) moved() { t.last.Store(time.Now().UnixNano()) }

// carry copies what sender sends, read through from, until it ends or nothing went either way for long, and lets the
// receiver know.
func (t *tunnel) carry(to, sender net.Conn, from io.Reader) {
	defer finish(to)
	buf := make([]byte, 64<<10)
	for {
		last := time.Unix(0, t.last.Load())
		if err := sender.SetReadDeadline(last.Add(proxyIdle)); err != nil {
			return
		}
		n, err := from.Read(buf)
		if n > 0 {
			t.moved()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		idle := errors.Is(err, os.ErrDeadlineExceeded) && time.Unix(0, t.last.Load()).After(last)
		if err != nil && !idle {
			return
		}
	}
}

// finish tells a receiver that no more comes; it may still answer.
func finish(to net.Conn) {
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite() // one that is closed already is told
		return
	}
	to.Close()
}
