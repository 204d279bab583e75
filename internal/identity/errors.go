package identity

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/directory"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// row is how a kind of failure looks: to clients of the login service, and to those of Graph.
type row struct {
	status int
	oauth  string // for errors that are no directory.Refusal
	number int    // of AADSTS; 0 = the real service has none
	graph  string
}

// column is this face's column of the error table.
var column = map[fault.Kind]row{
	fault.Internal:        {http.StatusInternalServerError, "server_error", 50000, "InternalServerError"},
	fault.Invalid:         {http.StatusBadRequest, "invalid_request", 90014, "Request_BadRequest"},
	fault.Unauthenticated: {http.StatusUnauthorized, "invalid_client", 70002, "InvalidAuthenticationToken"},
	fault.Denied:          {http.StatusForbidden, "access_denied", 50105, "Authorization_RequestDenied"},
	fault.Blocked:         {http.StatusForbidden, "access_denied", 53003, "Authorization_RequestDenied"},
	fault.NotFound:        {http.StatusNotFound, "invalid_request", 0, "Request_ResourceNotFound"},
	fault.Exists:          {http.StatusConflict, "invalid_request", 0, "Request_MultipleObjectsWithSameKeyValue"},
	fault.Conflict:        {http.StatusConflict, "invalid_request", 0, "Conflict"},
	fault.Precondition:    {http.StatusPreconditionFailed, "invalid_request", 0, "PreconditionFailed"},
	fault.OutOfRange:      {http.StatusBadRequest, "invalid_request", 90014, "Request_BadRequest"},
	fault.TooLarge:        {http.StatusRequestEntityTooLarge, "invalid_request", 90015, "RequestEntityTooLarge"},
	fault.Disallowed:      {http.StatusForbidden, "access_denied", 0, "Directory_QuotaExceeded"},
	fault.Unsupported:     {http.StatusMethodNotAllowed, "invalid_request", 900561, "Request_UnsupportedQuery"},
	fault.TooMany:         {http.StatusTooManyRequests, "temporarily_unavailable", 90055, "TooManyRequests"},
	fault.Unavailable:     {http.StatusServiceUnavailable, "temporarily_unavailable", 90033, "ServiceUnavailable"},
	fault.Full:            {http.StatusInsufficientStorage, "temporarily_unavailable", 90033, "ServiceUnavailable"},
	fault.Upstream:        {http.StatusBadGateway, "temporarily_unavailable", 90033, "BadGateway"},
}

// failure is a Refusal that needs no directory to know.
func failure(kind fault.Kind, oauth string, number int, text string) error {
	return &directory.Refusal{OAuth: oauth, Number: number, Err: fault.New(kind, "%s", text)}
}

// refusal is what the protocol says of an error, and the status: RFC 6749, section 5.2, knows 400 and, for clients that do
// not prove who they are, 401.
func refusal(err error) (r directory.Refusal, status int) {
	known, ok := directory.RefusalOf(err)
	if !ok {
		e := fault.Of(err)
		to := column[e.Kind]
		return directory.Refusal{OAuth: to.oauth, Number: to.number, Err: e}, to.status
	}
	switch {
	case known.OAuth == "invalid_client":
		return *known, http.StatusUnauthorized
	case known.Err.Kind == fault.TooMany, known.Err.Kind == fault.Unavailable, known.Err.Kind == fault.Internal:
		return *known, column[known.Err.Kind].status
	}
	return *known, http.StatusBadRequest
}

// renderOAuth writes an error as the login service's clients expect it.
func renderOAuth(w http.ResponseWriter, r *http.Request, err error) {
	why, status := refusal(err)
	comeBack(w, why.Err)
	now := time.Now().UTC().Format("2006-01-02 15:04:05Z")
	trace, correlation := web.RequestID(r.Context()), clientRequest(r)
	if correlation == "" {
		correlation = trace
	}
	codes := []int{}
	if why.Number != 0 {
		codes = append(codes, why.Number)
	}
	// It always marshals.
	_ = web.WriteJSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		Timestamp   string `json:"timestamp"`
		Trace       string `json:"trace_id"`
		Correlation string `json:"correlation_id"`
	}{
		why.OAuth, describe(why) + "\r\nTrace ID: " + trace + "\r\nCorrelation ID: " + correlation + "\r\nTimestamp: " + now,
		codes, now, trace, correlation,
	})
}

// describe is the text of a Refusal with its number.
func describe(r directory.Refusal) string {
	if r.Number == 0 {
		return message(r.Err)
	}
	return "AADSTS" + strconv.Itoa(r.Number) + ": " + message(r.Err)
}

// renderManaged writes an error as clients of the metadata endpoints expect it.
func renderManaged(w http.ResponseWriter, _ *http.Request, err error) {
	why, status := refusal(err)
	comeBack(w, why.Err)
	_ = web.WriteJSON(w, status, struct { // it always marshals
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{why.OAuth, message(why.Err)})
}

// renderGraph writes an error as Graph's clients expect it.
func renderGraph(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.Of(err)
	to := column[e.Kind]
	comeBack(w, e)
	text := message(e)
	switch e.Kind {
	case fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+host(r)+`",authorization_uri="`+loginOrigin(r)+`/common/oauth2/authorize",client_id="00000003-0000-0000-c000-000000000000"`)
	case fault.Denied:
		text = "Insufficient privileges to complete the operation. " + text
	case fault.Exists:
		to.status = http.StatusBadRequest // so it is there
	}
	id := web.RequestID(r.Context())
	client := clientRequest(r)
	if client == "" {
		client = id
	}
	_ = web.WriteJSON(w, to.status, object{"error": object{ // it always marshals
		"code": to.graph, "message": text,
		"innerError": object{"date": time.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": client},
	}})
}

// renderPage shows an error to a person.
func renderPage(w http.ResponseWriter, _ *http.Request, err error) {
	why, status := refusal(err)
	comeBack(w, why.Err)
	_ = show(w, status, "message", view{Title: "That did not work", Text: describe(why)}) // its templates are tested
}

// comeBack says when to try again, where that may help.
func comeBack(w http.ResponseWriter, e *fault.Error) {
	if e.After > 0 || e.Kind == fault.TooMany || e.Kind == fault.Unavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(e.After, time.Second).Seconds()))))
	}
}

// message is what the client reads. Where something of the server's failed, what and where is the operator's to know.
func message(e *fault.Error) string {
	switch {
	case e.Kind == fault.Full:
		return "no space is left on the server; its operator has to free some"
	case e.Kind == fault.Unavailable && e.Err != nil:
		return "the server cannot answer now; try again"
	}
	return strings.ToValidUTF8(e.Message, "?")
}

// loginOrigin is where the clients of Graph, who came by its name, sign in.
func loginOrigin(r *http.Request) string {
	name := host(r)
	if rest, found := strings.CutPrefix(strings.ToLower(name), "graph."); found {
		name = "login." + rest
		if rest == "microsoft.com" {
			name = cloudLogins[0]
		}
	}
	return web.Scheme(r) + "://" + name
}
