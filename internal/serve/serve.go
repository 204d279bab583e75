package serve

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/blob"
	"github.com/acre-registry/acre/internal/blob/disk"
	"github.com/acre-registry/acre/internal/blob/mem"
	"github.com/acre-registry/acre/internal/content"
	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/domain"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/job"
	"github.com/acre-registry/acre/internal/meta"
	"github.com/acre-registry/acre/internal/notify"
	"github.com/acre-registry/acre/internal/resource"
)

// Server is everything wired.
type Server struct {
	config     Config
	version    string
	log        *Log
	db         *meta.DB
	free       func() (int64, error) // of the blobs' disk; nil where there is none
	registries *auth.Registries
	auth       *auth.Service
	directory  *directory.Service
	audit      *audit.Service
	resources  *resource.Service
	content    *content.Service
	notify     *notify.Service
	queue      *job.Queue
	appended   afterwards // has the queue look at the logs
	metrics    *Metrics
	telemetry  *Telemetry
	authority  *Authority
	hosts      *hosts
	domains    *domain.Service
	domainBook *domainBook
	listeners  *Listeners
	welcome    string         // printed once ready
	owner      string         // who owns the installation: printed after it
	counted    []func() int64 // requests under way, by door
}

// collectorPace and memoryAim trade memory for speed: garbage is collected when the heap has grown fourfold, and
// earlier once the process holds as much as it should at most. GOGC and GOMEMLIMIT override them.
const (
	collectorPace = 400      // percent
	memoryAim     = 56 << 20 // bytes
)

func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPace)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
}

// Open wires a server; nothing is served before Run. version is acre's own.
func Open(ctx context.Context, c Config, version string, stderr io.Writer) (*Server, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory %s: %w", c.Data, err)
	}
	s := &Server{config: c, version: version, metrics: NewMetrics(), hosts: newHosts(&c)}
	if err := s.open(ctx, version, stderr); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, version string, stderr io.Writer) (err error) {
	if s.log, err = OpenLog(s.config.Log, stderr); err != nil {
		return err
	}
	if s.telemetry, err = OpenTelemetry(ctx, s.config.Telemetry, version, s.log.Logger); err != nil {
		return err
	}
	if err := s.openStores(ctx); err != nil {
		return err
	}
	if err := s.bootstrap(auth.As(ctx, auth.System("start"))); err != nil {
		return err
	}
	certificate, err := s.certificates()
	if err != nil {
		return err
	}
	s.listeners, err = Listen(s.config, TLSFor(s.certificateFor(certificate)), s.log.Logger)
	return err
}

// openStores opens metadata and bytes, and introduces the services above them to one another.
func (s *Server) openStores(ctx context.Context) error {
	key, err := s.sealKey()
	if err != nil {
		return err
	}
	store := s.config.Meta
	if store == "" {
		path, err := filepath.Abs(filepath.Join(s.config.Data, "acre.db"))
		if err != nil {
			return err
		}
		store = "sqlite://" + path
	}
	if s.db, err = meta.Open(ctx, store, meta.Options{SealKey: key, Log: s.log.Logger, Actor: auth.Actor, Appended: s.appended.ask}); err != nil {
		return err
	}
	bucket, err := s.bucket()
	if err != nil {
		return err
	}
	return s.openServices(ctx, bucket)
}

// sealKey is the configured one, or one of the data directory's own, made at first start.
func (s *Server) sealKey() ([]byte, error) {
	text, err := s.config.SealKey.Read()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.config.Data, "seal.key")
	if text == "" {
		kept, err := os.ReadFile(path)
		switch {
		case err == nil:
			text = strings.TrimSpace(string(kept))
		case errors.Is(err, os.ErrNotExist):
			text = base64.StdEncoding.EncodeToString(meta.NewSealKey())
			if err := writeDurably(path, []byte(text+"\n"), 0o600); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != 32 {
		return nil, errors.New("the seal key is not the base64 of 32 bytes: make one with `openssl rand -base64 32`")
	}
	return key, nil
}

func (s *Server) bucket() (blob.Bucket, error) {
	at := s.config.Blobs
	scheme, rest, _ := strings.Cut(at, ":")
	switch {
	case at == "":
		rest = filepath.Join(s.config.Data, "blobs")
	case scheme == "mem":
		return mem.New(memoryBytes), nil
	case scheme == "disk":
		rest = strings.TrimPrefix(rest, "//")
	default:
		return nil, fmt.Errorf("blobs: %q is not known: use disk:///path or mem:", at)
	}
	b, err := disk.Open(rest)
	if err != nil {
		return nil, err
	}
	s.free = b.Free
	return b, nil
}

// memoryBytes bounds blobs kept in memory.
const memoryBytes = 8 << 30

// What product and scripts rely on with --dev.
const (
	devTenant       = acr.DevTenant
	devSubscription = acr.DevSubscription
	devGroup        = acr.DevGroup
	devPassword     = acr.DevPassword
	devSecret       = acr.DevSecret
)

func (s *Server) installation() resource.Installation {
	if !s.config.Dev {
		return resource.Installation{}
	}
	return resource.Installation{Tenant: devTenant, Subscription: devSubscription, Group: devGroup}
}

// bootstrap makes the registries that the configuration names and the store does not have.
func (s *Server) bootstrap(ctx context.Context) error {
	name := s.config.DefaultRegistry
	password := ""
	if s.config.Dev {
		if err := s.resources.PutDevRegistry(ctx, name, devPassword); err != nil {
			return err
		}
		password = devPassword
	} else {
		on := true
		_, err := s.resources.CreateRegistry(ctx, name, resource.Settings{AdminUserEnabled: &on})
		if err == nil {
			made, err := s.resources.Credentials(ctx, name)
			if err != nil {
				return err
			}
			password = made.Passwords["password"]
		} else if !errors.Is(err, fault.Exists) {
			return err
		}
	}
	s.welcome = s.greeting(name, password)
	if err := s.greetOwner(ctx); err != nil {
		return err
	}
	for _, b := range s.config.Registries {
		to := resource.Settings{AdminUserEnabled: &b.AdminUser, AnonymousPullEnabled: &b.AnonymousPull}
		if b.SKU != "" {
			to.SKU = &b.SKU
		}
		if _, err := s.resources.CreateRegistry(ctx, b.Name, to); err != nil && !errors.Is(err, fault.Exists) {
			return err
		}
	}
	return nil
}

// certificates is what the TLS listener presents.
func (s *Server) certificates() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if s.config.TLS.Certificate != "" {
		files, err := OpenKeyFiles(s.config.TLS.Certificate, s.config.TLS.Key, s.log.Logger, s.db.Now)
		if err != nil {
			return nil, err
		}
		return files.Certificate, nil
	}
	var err error
	s.authority, err = OpenAuthority(AuthorityOptions{Dir: filepath.Join(s.config.Data, "tls"), Served: s.served, Now: s.db.Now})
	if err != nil {
		return nil, err
	}
	return s.authority.Certificate, nil
}

// Run serves until ctx ends, then stops in reverse order of the start. What it prints to stdout is for people.
func (s *Server) Run(ctx context.Context, stdout io.Writer) error {
	faces := s.handler()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	failed := make(chan error, 4)
	for _, run := range []func(context.Context) error{s.log.Run, s.work, s.notify.Run, s.audit.Run} {
		running.Go(func() {
			if err := run(background); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	running.Go(func() { s.reopenLog(background) })
	fmt.Fprint(stdout, s.welcomeText())
	err := s.listeners.Run(ctx, faces)
	s.listeners = nil // they are closed
	stopBackground()
	running.Wait()
	close(failed)
	for f := range failed {
		err = errors.Join(err, f)
	}
	return err
}

// reopenLog goes on in a new file when SIGHUP says that the old one was moved.
func (s *Server) reopenLog(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			if err := s.log.Reopen(); err != nil {
				s.log.Error("the log file cannot be reopened", "error", err)
			}
		}
	}
}

// Close lets go of everything that Open took.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	if s.listeners != nil {
		s.listeners.Close()
	}
	if s.domains != nil {
		s.domains.Close()
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.telemetry != nil {
		errs = append(errs, s.telemetry.Close(ctx))
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}
