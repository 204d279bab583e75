// Package ceiling is a bound to hold registries against: it answers the load harness with the least
// work that net/http allows. Manifests, tags and lists come out of memory, blobs are files sent by the
// kernel, uploads are hashed while they are written. Unless told otherwise a blob is flushed, renamed
// and its directory flushed before 201, because that is what an honest registry pays for.
//
// It is no registry: it checks nobody, validates nothing but the digest of an upload and forgets every
// manifest when it stops. Main therefore listens on loopback only.
package ceiling

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Server is the stand-in; New makes one.
type Server struct {
	dir     string
	durable bool
	shards  [256]*os.File // directories of blobs, kept open to be flushed

	mu    sync.RWMutex
	repos map[string]*repository
	names names

	uploads sync.Map // id → *upload
	serial  counter
}

// New serves blobs out of dir, which must exist. Close gives its handles back.
func New(dir string, durable bool) (*Server, error) {
	s := &Server{dir: dir, durable: durable, repos: map[string]*repository{}}
	for i := range s.shards {
		p := filepath.Join(dir, fmt.Sprintf("%02x", i))
		if err := os.MkdirAll(p, 0o755); err != nil {
			return nil, fmt.Errorf("ceiling: data directory: %w", err)
		}
		f, err := os.Open(p)
		if err != nil {
			return nil, fmt.Errorf("ceiling: data directory: %w", err)
		}
		s.shards[i] = f
	}
	return s, nil
}

// Close releases the directories; requests must have ended.
func (s *Server) Close() {
	for _, f := range s.shards {
		f.Close()
	}
}

// Main runs the server until the process is told to stop. Its first line on out is the address in use.
func Main(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("ceiling", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "where to listen; loopback only")
	dir := flags.String("dir", "", "directory of the blobs")
	noSync := flags.Bool("no-sync", false, "do not flush blobs to the disk before answering")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("ceiling: no data directory: give one with --dir")
	}
	host, _, err := net.SplitHostPort(*addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("ceiling: %q is not a loopback address, and this server checks nobody: use 127.0.0.1:PORT", *addr)
	}
	s, err := New(*dir, !*noSync)
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("ceiling: %w; use another --addr", err)
	}
	fmt.Fprintln(out, l.Addr())
	return (&http.Server{Handler: s, ReadHeaderTimeout: time.Minute}).Serve(l)
}

// ServeHTTP finds the handler by the last known segment, as repository names may hold slashes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	switch {
	case !ok:
		http.NotFound(w, r)
	case p == "":
		_, _ = io.WriteString(w, "{}")
	case p == "_catalog":
		s.catalog(w, r)
	default:
		s.within(w, r, p)
	}
}

func (s *Server) within(w http.ResponseWriter, r *http.Request, p string) {
	if name, ok := strings.CutSuffix(p, "/tags/list"); ok {
		s.tags(w, r, name)
		return
	}
	if name, ref, ok := cutLast(p, "/manifests/"); ok {
		s.manifest(w, r, name, ref)
		return
	}
	if name, id, ok := cutLast(p, "/blobs/uploads/"); ok {
		s.upload(w, r, name, id)
		return
	}
	if _, digest, ok := cutLast(p, "/blobs/"); ok {
		s.blob(w, r, digest)
		return
	}
	if name, digest, ok := cutLast(p, "/referrers/"); ok {
		s.referrers(w, name, digest)
		return
	}
	http.NotFound(w, r)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
