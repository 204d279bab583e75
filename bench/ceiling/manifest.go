package ceiling

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const digestPrefix = "sha256:"

// manifest holds its answer ready: the header values are what http.Header stores.
type manifest struct {
	body                 []byte
	kind, digest, length []string
}

type repository struct {
	mu        sync.RWMutex
	refs      map[string]*manifest // by tag and by digest
	tags      names
	referrers map[string][]byte // subject → descriptors, joined by commas
}

// names is a set of strings kept in order when somebody asks for the order.
type names struct {
	list   []string
	sorted bool
}

func (n *names) add(s string) { n.list, n.sorted = append(n.list, s), false }

func (n *names) drop(s string) {
	if i := slices.Index(n.list, s); i >= 0 {
		n.list = slices.Delete(n.list, i, i+1)
	}
}

// after is up to limit names that follow last, and whether there are more; limit 0 means all.
func (n *names) after(last string, limit int) ([]string, bool) {
	if !n.sorted {
		slices.Sort(n.list)
		n.sorted = true
	}
	l := n.list
	if last != "" {
		i, found := slices.BinarySearch(l, last)
		if found {
			i++
		}
		l = l[i:]
	}
	if limit > 0 && limit < len(l) {
		return slices.Clone(l[:limit]), true
	}
	return slices.Clone(l), false
}

func (s *Server) repository(name string) *repository {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.repos[name]
}

func (s *Server) ensureRepository(name string) *repository {
	if rp := s.repository(name); rp != nil {
		return rp
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rp := s.repos[name]
	if rp == nil {
		rp = &repository{refs: map[string]*manifest{}, referrers: map[string][]byte{}}
		s.repos[name] = rp
		s.names.add(name)
	}
	return rp
}

func (s *Server) manifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	if r.Method == http.MethodPut {
		s.putManifest(w, r, name, ref)
		return
	}
	rp := s.repository(name)
	if rp == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodDelete {
		rp.remove(ref)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	rp.mu.RLock()
	m := rp.refs[ref]
	rp.mu.RUnlock()
	if m == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h["Content-Type"], h["Docker-Content-Digest"], h["Content-Length"] = m.kind, m.digest, m.length
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.body)
	}
}

func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(body)
	digest := digestPrefix + hex.EncodeToString(sum[:])
	m := &manifest{
		body: body, kind: []string{r.Header.Get("Content-Type")},
		digest: []string{digest}, length: []string{strconv.Itoa(len(body))},
	}
	rp := s.ensureRepository(name)
	if subject := rp.put(ref, m); subject != "" {
		w.Header().Set("OCI-Subject", subject)
	}
	w.Header()["Docker-Content-Digest"] = m.digest
	w.Header().Set("Location", "/v2/"+name+"/manifests/"+digest)
	w.WriteHeader(http.StatusCreated)
}

// put files m under its digest and, unless ref is that, its tag; it returns the digest of the subject.
func (rp *repository) put(ref string, m *manifest) (subject string) {
	var doc struct {
		ArtifactType string `json:"artifactType"`
		Subject      struct {
			Digest string `json:"digest"`
		} `json:"subject"`
	}
	if bytes.Contains(m.body, []byte(`"subject"`)) {
		_ = json.Unmarshal(m.body, &doc) // what does not parse has no subject
	}
	rp.mu.Lock()
	defer rp.mu.Unlock()
	_, known := rp.refs[m.digest[0]]
	rp.refs[m.digest[0]] = m
	if !strings.HasPrefix(ref, digestPrefix) {
		if rp.refs[ref] == nil {
			rp.tags.add(ref)
		}
		rp.refs[ref] = m
	}
	if doc.Subject.Digest != "" && !known {
		l := rp.referrers[doc.Subject.Digest]
		if len(l) > 0 {
			l = append(l, ',')
		}
		rp.referrers[doc.Subject.Digest] = fmt.Appendf(l, `{"mediaType":%q,"digest":%q,"size":%d,"artifactType":%q}`,
			m.kind[0], m.digest[0], len(m.body), doc.ArtifactType)
	}
	return doc.Subject.Digest
}

// remove drops a tag, or a digest with all its tags.
func (rp *repository) remove(ref string) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	for k, m := range rp.refs {
		if k == ref || m.digest[0] == ref {
			delete(rp.refs, k)
			rp.tags.drop(k)
		}
	}
}

func (s *Server) referrers(w http.ResponseWriter, name, digest string) {
	var l []byte
	if rp := s.repository(name); rp != nil {
		rp.mu.RLock()
		l = rp.referrers[digest] // only ever appended to, beyond this length
		rp.mu.RUnlock()
	}
	const head, tail = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`, `]}`
	h := w.Header()
	h["Content-Type"] = []string{"application/vnd.oci.image.index.v1+json"}
	h["Content-Length"] = []string{strconv.Itoa(len(head) + len(l) + len(tail))}
	_, _ = io.WriteString(w, head)
	_, _ = w.Write(l)
	_, _ = io.WriteString(w, tail)
}

func (s *Server) catalog(w http.ResponseWriter, r *http.Request) {
	page(w, r, "repositories", &s.mu, &s.names)
}

func (s *Server) tags(w http.ResponseWriter, r *http.Request, name string) {
	rp := s.repository(name)
	if rp == nil {
		http.NotFound(w, r)
		return
	}
	page(w, r, "tags", &rp.mu, &rp.tags)
}

func page(w http.ResponseWriter, r *http.Request, field string, mu *sync.RWMutex, n *names) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("n")) // absent or odd: all
	mu.Lock()
	l, more := n.after(q.Get("last"), limit)
	mu.Unlock()
	if more {
		w.Header().Set("Link", fmt.Sprintf(`<%s?n=%d&last=%s>; rel="next"`, r.URL.Path, limit, l[len(l)-1]))
	}
	b := make([]byte, 0, 64+64*len(l))
	b = append(append(append(b, `{"`...), field...), `":[`...)
	for i, s := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, s)
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = w.Write(append(b, ']', '}'))
}
