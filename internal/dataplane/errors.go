package dataplane

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// row is how a kind of failure looks on this wire. The code is for errors that bring none.
type row struct {
	status int
	code   string
}

// column is this wire's column of the error table.
var column = map[fault.Kind]row{
	fault.Internal:        {http.StatusInternalServerError, "UNKNOWN"},
	fault.Invalid:         {http.StatusBadRequest, "UNSUPPORTED"},
	fault.Unauthenticated: {http.StatusUnauthorized, "UNAUTHORIZED"},
	fault.Denied:          {http.StatusUnauthorized, "UNAUTHORIZED"},
	fault.Blocked:         {http.StatusForbidden, "DENIED"},
	fault.NotFound:        {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.Exists:          {http.StatusConflict, "CONFLICT"},
	fault.Conflict:        {http.StatusConflict, "CONFLICT"},
	fault.Precondition:    {http.StatusPreconditionFailed, "PRECONDITION_FAILED"},
	fault.OutOfRange:      {http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID"},
	fault.TooLarge:        {http.StatusRequestEntityTooLarge, "SIZE_INVALID"},
	fault.Disallowed:      {http.StatusMethodNotAllowed, "REGISTRY_DISALLOWED_OPERATION"},
	fault.Unsupported:     {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	fault.TooMany:         {http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	fault.Unavailable:     {http.StatusServiceUnavailable, "UNAVAILABLE"},
	fault.Full:            {http.StatusInsufficientStorage, "UNAVAILABLE"},
	fault.Upstream:        {http.StatusFailedDependency, "UNKNOWN"},
}

// wireError is an entry of the envelope (distribution-spec, "Error Codes").
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail"`
}

// action is an entry of the detail that the real service sends with a refusal.
type action struct {
	Type, Name string
	Action     acr.Action
}

// challenged is a refusal whose challenge is not the one its kind and detail call for.
type challenged struct {
	error
	how challenge
}

func (c challenged) Unwrap() error { return c.error }

type challenge int

const (
	bearer challenge = iota
	invalidToken
	basic
)

func withChallenge(err error, how challenge) error {
	if fault.KindOf(err) != fault.Unauthenticated {
		return err
	}
	return challenged{err, how}
}

// Render writes an error as the data plane's clients expect it.
func Render(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.Of(err)
	to := column[e.Kind]
	if e.Code == "" {
		e = &fault.Error{Kind: e.Kind, Code: to.code, Message: e.Message, Detail: e.Detail, After: e.After}
	}
	list := []wireError{{e.Code, message(e), e.Detail}}
	if err == error(errNoRoute) {
		list = []wireError{}
	}
	if grant, ok := e.Detail.(acr.Grant); ok {
		list[0].Detail = actions(grant)
	}
	if to.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", authenticateHeader(r, err, e))
	}
	if e.After > 0 || e.Kind == fault.TooMany || e.Kind == fault.Unavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(e.After, time.Second).Seconds()))))
	}
	// The envelope always marshals: details are strings and grants.
	_ = web.WriteJSON(w, to.status, struct {
		Errors []wireError `json:"errors"`
	}{list})
}

// message is what the client reads. Where something of the server's failed, what and where is the operator's to know.
func message(e *fault.Error) string {
	switch {
	case e.Kind == fault.Full:
		return "no space is left on the registry; its operator has to free some"
	case e.Kind == fault.Unavailable && e.Err != nil:
		return "the registry cannot answer now; try again"
	}
	return e.Message
}

func actions(g acr.Grant) []action {
	out := make([]action, len(g.Actions))
	for i, a := range g.Actions {
		out[i] = action{g.Type, g.Name, a}
	}
	return out
}

// authenticateHeader is the one challenge line, in the form that brittle parsers need: scheme first, every value
// quoted, no blank after a comma.
func authenticateHeader(r *http.Request, err error, e *fault.Error) string {
	how := bearer
	if c, ok := err.(challenged); ok { //nolint:errorlint // made by this package and never wrapped
		how = c.how
	}
	if how == basic {
		return `Basic realm="Azure Container Registry"`
	}
	h := `Bearer realm="` + web.Scheme(r) + "://" + r.Host + `/oauth2/token",service="` + r.Host + `"`
	if grant, ok := e.Detail.(acr.Grant); ok {
		h += `,scope="` + grant.String() + `"`
	}
	switch {
	case how == invalidToken:
		h += `,error="invalid_token"`
	case e.Kind == fault.Denied:
		h += `,error="insufficient_scope"`
	}
	return h
}
