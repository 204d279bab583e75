package serve

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Addresses is what the address file says: where the server can be reached, "" for what is off.
type Addresses struct {
	HTTP    string `json:"http"`
	HTTPS   string `json:"https"`
	Ops     string `json:"ops"`
	Private string `json:"private"`
	Suffix  string `json:"suffix"` // NAME.SUFFIX is the host of the registry NAME; "" = there is no suffix
	Dev     bool   `json:"dev"`    // the credentials are those that everybody knows
	PID     int    `json:"pid"`
}

// Listeners are the doors of the server. They are open from Listen on: clients that connect before Run wait.
type Listeners struct {
	config  Config
	tls     *tls.Config
	log     *slog.Logger
	http    net.Listener // nil where off, as the others
	https   net.Listener
	ops     net.Listener
	private net.Listener
	socket  net.Listener
}

// Listen opens the listeners of the configuration, and the socket DIR/acre.sock for the owner of the data directory,
// which must exist.
func Listen(c Config, secure *tls.Config, log *slog.Logger) (*Listeners, error) {
	l := &Listeners{config: c, tls: secure, log: log}
	if err := l.open(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Listeners) open() (err error) {
	c := l.config
	for _, door := range []struct {
		path, address string
		to            *net.Listener
	}{{"http", c.HTTP, &l.http}, {"https", c.HTTPS, &l.https}, {"ops", c.Ops, &l.ops}, {"private", c.Private, &l.private}} {
		if door.address == "" {
			continue
		}
		if *door.to, err = net.Listen("tcp", door.address); err != nil {
			return c.wrong(door.path, "%w; free the address or give another, port 0 for any", err)
		}
	}
	path := filepath.Join(c.Data, "acre.sock")
	l.socket, err = listenSocket(path)
	if errors.Is(err, syscall.EINVAL) { // what net says of a path over about 100 characters
		l.log.Warn("no unix socket: the data directory's path is too long for one", "path", path)
		return nil
	}
	return err
}

// listenSocket takes the place of a socket that nobody answers at any more.
func listenSocket(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("another acre answers at %s; stop it, or give this one its own data directory", path)
	} else if i, statErr := os.Lstat(path); errors.Is(err, syscall.ECONNREFUSED) && statErr == nil && i.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove the socket that a server before left: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen at the socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Addresses is where the listeners are, with the ports that were picked.
func (l *Listeners) Addresses() Addresses {
	at := func(l net.Listener) string {
		if l == nil {
			return ""
		}
		return l.Addr().String()
	}
	a := Addresses{HTTP: at(l.http), HTTPS: at(l.https), Ops: at(l.ops), Private: at(l.private), Dev: l.config.Dev, PID: os.Getpid()}
	if len(l.config.Suffixes) > 0 {
		a.Suffix = l.config.Suffixes[0]
	}
	return a
}

// Close closes the listeners of a server that never ran.
func (l *Listeners) Close() {
	for _, door := range []net.Listener{l.http, l.https, l.ops, l.private, l.socket} {
		if door != nil {
			_ = door.Close()
		}
	}
}

// Doors are what is served behind the listeners.
type Doors struct {
	Main    http.Handler // HTTP and HTTPS
	Private http.Handler // the private listener
	Ops     http.Handler // the operators' own listener
	Socket  http.Handler // the unix socket, which only the data directory's owner can reach
}

// Run serves until ctx ends; then it waits for requests under way, as long as limits.stop allows. From ready to the
// end the address file is in the data directory. ctx's end is no error; that requests were broken off is.
func (l *Listeners) Run(ctx context.Context, doors Doors) error {
	var (
		servers []*http.Server
		wg      sync.WaitGroup
		failed  = make(chan error, 5)
	)
	for _, door := range []struct {
		listener net.Listener
		handler  http.Handler
		secure   bool
	}{
		{l.http, doors.Main, false}, {l.https, doors.Main, true}, {l.private, doors.Private, true},
		{l.ops, doors.Ops, false}, {l.socket, doors.Socket, false},
	} {
		if door.listener == nil {
			continue
		}
		srv, bounded := l.server(door.handler, door.listener)
		servers = append(servers, srv)
		if door.secure {
			srv.TLSConfig = l.tls.Clone() // net/http adds to it
		}
		wg.Go(func() {
			err := error(nil)
			if door.secure {
				err = srv.ServeTLS(bounded, "", "")
			} else {
				err = srv.Serve(bounded)
			}
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("listener %s: %w", door.listener.Addr(), err)
			}
		})
	}
	file := filepath.Join(l.config.Data, "acre.addr")
	err := l.announce(file)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	_ = os.Remove(file)
	err = errors.Join(err, l.stop(ctx, servers))
	wg.Wait()
	return err
}

func (l *Listeners) announce(file string) error {
	text, err := json.Marshal(l.Addresses())
	if err != nil {
		return err
	}
	if err := writeDurably(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the address file: %w", err)
	}
	return nil
}

// stop shuts all servers down at once, and breaks off what is not done in time.
func (l *Listeners) stop(ctx context.Context, servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.config.Limits.Stop)
	defer cancel()
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, srv := range servers {
		wg.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				errs[i] = fmt.Errorf("requests under way were broken off after %v: %w", l.config.Limits.Stop, errors.Join(err, srv.Close()))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// server has the bounds that keep slow clients and too many of them off; those on bodies are package web's.
func (l *Listeners) server(h http.Handler, listener net.Listener) (*http.Server, net.Listener) {
	limits := l.config.Limits
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    int(limits.Headers),
		ErrorLog:          slog.NewLogLogger(l.log.Handler(), slog.LevelWarn),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          250,
			MaxReceiveBufferPerConnection: 4 << 20,
			MaxReceiveBufferPerStream:     1 << 20,
			SendPingTimeout:               limits.Idle,
			WriteByteTimeout:              limits.Stall,
		},
	}
	if limits.Connections == 0 {
		return srv, listener
	}
	b := &boundedListener{Listener: listener, slots: make(chan struct{}, limits.Connections), closed: make(chan struct{})}
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed || s == http.StateHijacked {
			<-b.slots
		}
	}
	return srv, b
}

// boundedListener accepts while there are slots; whoever comes then waits in the kernel's queue. The connections
// stay what they are, since a wrapped one would cost blobs their sendfile; so the server gives the slots back.
type boundedListener struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *boundedListener) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
	}
	return c, err
}

func (b *boundedListener) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}
