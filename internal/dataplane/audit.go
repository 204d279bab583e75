package dataplane

import (
	"errors"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// record hands what a request did, or was refused, to the audit. failed is nil where it was done. Who is asked for
// credentials has done nothing yet.
func (f *Face) record(q *request, op operation, r *http.Request, id *auth.Identity, failed error) {
	if f.opt.Audit == nil || op.event == "" || id == nil {
		return
	}
	if failed == nil && op.event == acr.PullOperation {
		if !f.recent.first(seen{q.reg.ID, q.repo, q.ref, q.info.Actor, r.RemoteAddr}, q.began) {
			return
		}
		if !f.pulls.room(q.began) {
			f.opt.Audit.Skip()
			return
		}
	}
	e := audit.RepositoryEvent{
		Request: q.audited(r, failed), Operation: op.event, Repository: q.repo,
		Digest: q.desc.Digest, MediaType: q.desc.MediaType, ArtifactType: q.desc.ArtifactType, Size: q.desc.Size,
	}
	e.Identity, e.Tenant, e.JwtID = who(id)
	if q.kind == tag {
		e.Tag = q.ref
	} else if ref, err := oci.ParseRef(q.ref); err == nil {
		e.Tag = ref.Tag
		if e.Digest == "" {
			e.Digest = ref.Digest
		}
	}
	if op.event == acr.DeleteOperation && e.Tag != "" {
		e.Operation = acr.UntagOperation
	}
	f.opt.Audit.Repository(r.Context(), e)
}

// recordLogin hands a login, good or bad, to the audit; so it does who is kept out by network rules, once a second for each
// address.
func (f *Face) recordLogin(q *request, r *http.Request, failed error) {
	if f.opt.Audit == nil {
		return
	}
	if errors.Is(failed, fault.Blocked) && !f.recent.first(seen{registry: q.reg.ID, client: address(q)}, q.began) {
		return
	}
	e := audit.LoginEvent{Request: q.audited(r, failed), Throttled: errors.Is(failed, fault.TooMany)}
	e.Identity, e.Tenant, e.JwtID = who(q.login.id)
	if q.login.id != nil {
		p, _ := q.login.id.Principal()
		e.AppID = p.AppID
	}
	if e.Identity == "" {
		e.Identity = q.login.name
	}
	if q.login.token != "" {
		e.JwtID = q.login.token
	}
	f.opt.Audit.Login(r.Context(), e)
}

// login is what a request for a token turned out to be.
type login struct {
	id    *auth.Identity
	name  string // who it was said to be
	token string // the ID of the token that was given out
}

// audited is what every row says of a request. What fails is answered after this, by Render.
func (q *request) audited(r *http.Request, failed error) audit.Request {
	out := audit.Request{
		Registry: q.reg.Key, LoginServer: r.Host, Address: q.info.Address, UserAgent: r.UserAgent(), ID: q.info.ID, Began: q.began, Status: q.info.Status,
	}
	if failed == nil {
		return out
	}
	e := fault.Of(failed)
	out.Status, out.Reason = column[e.Kind].status, e.Code
	if out.Reason == "" {
		out.Reason = column[e.Kind].code
	}
	if rule := auth.BlockedBy(failed); rule != "" {
		out.Reason = rule
	}
	return out
}

func who(id *auth.Identity) (name, tenant, tokenID string) {
	if id == nil {
		return "", "", ""
	}
	if p, ok := id.Principal(); ok {
		tenant = p.Tenant
	}
	return id.Name, tenant, id.TokenID()
}

// recent tells the first of equal events from those that follow within a second: one row stands for them all. It keeps
// hashes only, each in the one place it can be in, so that asking costs next to nothing; where two events have the same
// place, one of them is taken for a first one again.
type recent struct {
	seed maphash.Seed

	mu   sync.Mutex
	last [4096]struct {
		sum uint64
		at  time.Time
	}
}

type seen struct {
	registry               int64
	repo, ref, who, client string
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

func (c *recent) first(event seen, now time.Time) bool {
	sum := maphash.Comparable(c.seed, event)
	c.mu.Lock()
	defer c.mu.Unlock()
	place := &c.last[sum%uint64(len(c.last))]
	if place.sum == sum && now.Sub(place.at) < time.Second && !now.Before(place.at) {
		return false
	}
	place.sum, place.at = sum, now
	return true
}

// perSecond bounds how many events there are of a kind in each second.
type perSecond struct {
	most int64

	mu    sync.Mutex
	at, n int64
}

func (p *perSecond) room(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := now.Unix(); at != p.at {
		p.at, p.n = at, 0
	}
	p.n++
	return p.n <= p.most
}
