package acr

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/oci"
)

// AuditCategory is a kind of audit rows: the first two are the real service's tables, the third is acre's own.
type AuditCategory string

// Categories.
const (
	LoginEvents      AuditCategory = "ContainerRegistryLoginEvents"
	RepositoryEvents AuditCategory = "ContainerRegistryRepositoryEvents"
	Changes          AuditCategory = "AcreChanges" // of contents, from the registry's log, and of resources
)

// AuditOperation is what a row of the real service's tables tells of.
type AuditOperation string

// Operations of LoginEvents and RepositoryEvents.
const (
	LoginOperation         AuditOperation = "Login"
	PullOperation          AuditOperation = "Pull"
	PushOperation          AuditOperation = "Push"
	UntagOperation         AuditOperation = "Untag"
	DeleteOperation        AuditOperation = "Delete"
	PurgeTagOperation      AuditOperation = "PurgeTag"
	PurgeManifestOperation AuditOperation = "PurgeManifest"

	// Of the audit itself, in Changes.
	AuditLost    AuditOperation = "audit/lost"    // Count rows that could not be written
	AuditSkipped AuditOperation = "audit/skipped" // Count events of which no row was wanted
	AuditTrimmed AuditOperation = "audit/trimmed" // rows up to Through went after their time
)

// AuditRow says who did what. Its JSON holds the columns of the real service's tables under their names in camel case;
// those that are the same for all rows, as the subscription, are left to who shows them.
type AuditRow struct {
	Seq               int64          `json:"seq"` // counts from 1 in each registry, and in what belongs to none; stays first
	TimeGenerated     time.Time      `json:"timeGenerated"`
	Category          AuditCategory  `json:"category"`
	OperationName     AuditOperation `json:"operationName"`
	LoginServer       string         `json:"loginServer,omitempty"`
	Region            string         `json:"region,omitempty"`
	Identity          string         `json:"identity,omitempty"`
	UserTenantID      string         `json:"userTenantId,omitempty"`
	JwtID             string         `json:"jwtId,omitempty"`
	AppID             string         `json:"appId,omitempty"` // the client by which somebody of a directory came
	Repository        string         `json:"repository,omitempty"`
	Tag               string         `json:"tag,omitempty"`
	Digest            oci.Digest     `json:"digest,omitempty"`
	MediaType         string         `json:"mediaType,omitempty"`
	ArtifactType      string         `json:"artifactType,omitempty"`
	Size              int64          `json:"size,omitempty"`
	CallerIPAddress   string         `json:"callerIpAddress,omitempty"`
	UserAgent         string         `json:"userAgent,omitempty"`
	CorrelationID     string         `json:"correlationId,omitempty"`
	DurationMs        string         `json:"durationMs,omitempty"`
	ResultType        string         `json:"resultType,omitempty"`        // HttpStatusCode
	ResultDescription string         `json:"resultDescription,omitempty"` // the status

	// Beyond the original.
	Reason   string     `json:"reason,omitempty"`   // of a refusal: an error code or a network rule
	Resource string     `json:"resource,omitempty"` // the ID of what was changed
	Change   string     `json:"change,omitempty"`   // sha256 of the resource's document after the change
	Previous oci.Digest `json:"previous,omitempty"` // where a tag moved from
	Log      int64      `json:"log,omitempty"`      // the number in the registry's log
	Count    int        `json:"count,omitempty"`    // how many events the row stands for; 0 is one
	Through  int64      `json:"through,omitempty"`  // of AuditTrimmed: the last row that went
	Sum      string     `json:"sum,omitempty"`      // and its sum
}

// AuditSum chains a row: sha256 of the sum of the row before it and of its own bytes.
type AuditSum [sha256.Size]byte

// FirstAuditSum stands before the first row of a chain; registry is its number, 0 for what belongs to none.
func FirstAuditSum(registry int64) AuditSum {
	return sha256.Sum256([]byte("acre audit, registry " + strconv.FormatInt(registry, 10)))
}

// Next is the sum of the row that follows, by its bytes.
func (s AuditSum) Next(row []byte) AuditSum {
	h := sha256.New()
	h.Write(s[:])
	h.Write(row)
	var out AuditSum
	h.Sum(out[:0])
	return out
}

// AuditEntry is a row as it is kept.
type AuditEntry struct {
	Sum AuditSum
	Row []byte // JSON
}

// AuditSeq reads the row's number without the rest; 0 where there is none.
func (e AuditEntry) AuditSeq() int64 {
	rest, ok := bytes.CutPrefix(e.Row, []byte(`{"seq":`))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 1 {
		return 0
	}
	n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// AppendAudit chains a row onto sum and appends it to a segment, a run of entries: each its length, its sum, its JSON.
func AppendAudit(segment []byte, sum AuditSum, row *AuditRow) ([]byte, AuditSum, error) {
	doc, err := json.Marshal(row)
	if err != nil {
		return nil, sum, err
	}
	sum = sum.Next(doc)
	segment = binary.AppendUvarint(segment, uint64(len(doc)))
	segment = append(segment, sum[:]...)
	return append(segment, doc...), sum, nil
}

// How a segment is kept, by its first byte.
const (
	plainSegment    = 0
	deflatedSegment = 1

	deflateFrom = 1 << 10  // a smaller one gains little
	maxSegment  = 16 << 20 // inflated; the largest that is written has less than a quarter of it
)

// PackAudit makes a segment smaller for keeping.
func PackAudit(segment []byte) ([]byte, error) {
	if len(segment) < deflateFrom {
		return append([]byte{plainSegment}, segment...), nil
	}
	out := bytes.NewBuffer(make([]byte, 0, len(segment)/4))
	out.WriteByte(deflatedSegment)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(out)
	_, err := w.Write(segment)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// deflaters are kept, since each holds a megabyte.
var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is one that there is
	return w
}}

func unpackAudit(packed []byte) ([]byte, error) {
	bad := fault.New(fault.Invalid, "the segment is damaged: it cannot be unpacked")
	if len(packed) == 0 {
		return nil, bad
	}
	switch packed[0] {
	case plainSegment:
		return packed[1:], nil
	case deflatedSegment:
		out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed[1:])), maxSegment))
		if err != nil {
			return out, bad
		}
		return out, nil
	}
	return nil, bad
}

// AuditEntries reads a packed segment; the entries share its bytes. Errors: Invalid, with the entries before the damage.
func AuditEntries(packed []byte) ([]AuditEntry, error) {
	segment, bad := unpackAudit(packed)
	var out []AuditEntry
	for len(segment) > 0 {
		n, size := binary.Uvarint(segment)
		if size <= 0 || n > uint64(len(segment)) || uint64(len(segment)-size) < n+sha256.Size {
			return out, fault.New(fault.Invalid, "the segment is damaged after %d rows", len(out))
		}
		segment = segment[size:]
		e := AuditEntry{Sum: AuditSum(segment[:sha256.Size]), Row: segment[sha256.Size : sha256.Size+n : sha256.Size+n]}
		out, segment = append(out, e), segment[sha256.Size+n:]
	}
	return out, bad
}
