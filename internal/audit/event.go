package audit

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/auth"
	"github.com/acre-registry/acre/internal/oci"
)

// Request is what a face knows of each request.
type Request struct {
	Registry    string // the registry's key; "" for what belongs to the installation, such as a login to the directory
	LoginServer string // the host that was asked
	Address     netip.Addr
	UserAgent   string
	ID          string // correlates with the access log; "" is taken from the context
	Began       time.Time
	Status      int    // the HTTP status it was answered with
	Reason      string // of a refusal: the error's code or the network rule
}

// LoginEvent is a login, good or bad: a token that was given out or refused, and a password on a request.
type LoginEvent struct {
	Request
	Identity  string // who it was, or said to be; "" is taken from the context
	Tenant    string // of the directory
	AppID     string // the client by which a user signed in, or that it is
	JwtID     string // of the token that was given out
	Throttled bool   // it was refused unseen, because too many came before it
}

// RepositoryEvent is something done to a repository's contents, or refused.
type RepositoryEvent struct {
	Request
	Operation    acr.AuditOperation
	Identity     string // "" is taken from the context
	Tenant       string
	JwtID        string // of the token it was done with
	Repository   string
	Tag          string
	Digest       oci.Digest
	MediaType    string
	ArtifactType string
	Size         int64
}

// Login records a login. It returns at once, unless rows come in faster than they can be written for long: see Repository.
// Those that were throttled have one row a second for each account at an address, with their number.
func (s *Service) Login(ctx context.Context, e LoginEvent) {
	row := s.row(ctx, e.Request, e.Identity)
	row.Category, row.OperationName = acr.LoginEvents, acr.LoginOperation
	row.UserTenantID, row.AppID, row.JwtID = e.Tenant, clip(e.AppID), e.JwtID
	if e.Throttled {
		s.held.add(e.Registry, row)
		return
	}
	s.put(entry{e.Registry, row})
}

// Repository records a pull, a push, an untagging or a deletion. It returns at once, unless rows come in faster than they
// can be written for long: then it waits, for a second at most, after which the row is lost and counted.
func (s *Service) Repository(ctx context.Context, e RepositoryEvent) {
	row := s.row(ctx, e.Request, e.Identity)
	row.Category, row.OperationName = acr.RepositoryEvents, e.Operation
	row.UserTenantID, row.JwtID = e.Tenant, e.JwtID
	row.Repository, row.Tag, row.Digest = clip(e.Repository), clip(e.Tag), oci.Digest(clip(string(e.Digest)))
	row.MediaType, row.ArtifactType, row.Size = clip(e.MediaType), clip(e.ArtifactType), e.Size
	s.put(entry{e.Registry, row})
}

// Skip counts an event that gets no row, because more of its kind come than are worth one each. The count gets a row,
// among those that belong to no registry.
func (s *Service) Skip() { s.skipped.Add(1) }

func (s *Service) row(ctx context.Context, r Request, identity string) *acr.AuditRow {
	actor, request := auth.Actor(ctx)
	if identity == "" {
		identity = actor
	}
	if r.ID == "" {
		r.ID = request
	}
	now := s.opt.Now()
	row := &acr.AuditRow{
		TimeGenerated: now.UTC(), LoginServer: clip(r.LoginServer), Region: s.opt.Region, Identity: clip(identity),
		UserAgent: clip(r.UserAgent), CorrelationID: clip(r.ID), Reason: clip(r.Reason),
		ResultType: "HttpStatusCode", ResultDescription: strconv.Itoa(r.Status),
	}
	if r.Address.IsValid() {
		row.CallerIPAddress = r.Address.Unmap().String()
	}
	if !r.Began.IsZero() {
		row.DurationMs = strconv.FormatInt(max(0, now.Sub(r.Began).Milliseconds()), 10)
	}
	return row
}

// maxField bounds what a caller can make a row hold.
const maxField = 512

func clip(s string) string {
	if len(s) > maxField {
		s = strings.ToValidUTF8(s[:maxField], "")
	}
	return s
}
