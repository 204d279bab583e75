package controlplane

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/web"
)

// statuses is this wire's column of the error table: the status, and the code where the fault has none.
var statuses = map[fault.Kind]struct {
	status int
	code   string
}{
	fault.Internal:        {http.StatusInternalServerError, "InternalServerError"},
	fault.Invalid:         {http.StatusBadRequest, "BadRequest"},
	fault.Unauthenticated: {http.StatusUnauthorized, "InvalidAuthenticationToken"},
	fault.Denied:          {http.StatusForbidden, "AuthorizationFailed"},
	fault.Blocked:         {http.StatusForbidden, "RequestDisallowedByNetworkRules"},
	fault.NotFound:        {http.StatusNotFound, "ResourceNotFound"},
	fault.Exists:          {http.StatusConflict, "Conflict"},
	fault.Conflict:        {http.StatusConflict, "Conflict"},
	fault.Precondition:    {http.StatusPreconditionFailed, "PreconditionFailed"},
	fault.OutOfRange:      {http.StatusBadRequest, "BadRequest"},
	fault.TooLarge:        {http.StatusRequestEntityTooLarge, "RequestEntityTooLarge"},
	fault.Disallowed:      {http.StatusConflict, "OperationNotAllowed"},
	fault.Unsupported:     {http.StatusConflict, "NotSupported"},
	fault.TooMany:         {http.StatusTooManyRequests, "TooManyRequests"},
	fault.Unavailable:     {http.StatusServiceUnavailable, "ServiceUnavailable"},
	fault.Full:            {http.StatusInsufficientStorage, "InsufficientStorage"},
	fault.Upstream:        {http.StatusBadGateway, "BadGateway"},
}

// Codes whose status is not their kind's.
var codeStatuses = map[string]int{
	"UnAuthorizedForCredentialOperations": http.StatusBadRequest,
	methodCode:                            http.StatusMethodNotAllowed,
}

const methodCode = "HttpMethodNotAllowed"

// The face's own faults.
var (
	missingToken     = fault.Code{Kind: fault.Unauthenticated, Name: "AuthenticationFailed"}
	invalidContent   = fault.Code{Kind: fault.Invalid, Name: "InvalidRequestContent"}
	locationRequired = fault.Code{Kind: fault.Invalid, Name: "LocationRequired"}
	unknownNamespace = fault.Code{Kind: fault.NotFound, Name: "InvalidResourceNamespace"}
	unknownKind      = fault.Code{Kind: fault.NotFound, Name: "InvalidResourceType"}
	wrongMethod      = fault.Code{Kind: fault.Unsupported, Name: methodCode}
	notAvailable     = fault.Code{Kind: fault.Unsupported, Name: "FeatureNotAvailable"}
	badFilter        = fault.Code{Kind: fault.Invalid, Name: "InvalidFilterInQueryString"}
)

func notAllowed(method, path string) error {
	return fault.New(wrongMethod, "The http method '%s' is not supported for '%.200s'.", method, path)
}

func unknownType(p arm.Path, v arm.Version) error {
	switch {
	case strings.EqualFold(p.Provider, arm.Provider), strings.EqualFold(p.Provider, arm.Resources), strings.EqualFold(p.Provider, arm.Authorization),
		strings.EqualFold(p.Provider, arm.Identity), strings.EqualFold(p.Provider, arm.KeyVault), strings.EqualFold(p.Provider, own):
		return fault.New(unknownKind, "The resource type '%.200s' could not be found in the namespace '%s' for api version '%s'.",
			strings.Join(p.Types, "/"), p.Provider, v)
	}
	return fault.New(unknownNamespace, "The resource namespace '%.200s' is invalid.", p.Provider)
}

// statusOf is how a fault is answered.
func statusOf(e *fault.Error) (status int, code string) {
	to := statuses[e.Kind]
	if e.Code != strings.ToUpper(e.Code) { // codes in capitals are the data plane's
		to.code = e.Code
	}
	if status, ok := codeStatuses[to.code]; ok {
		to.status = status
	}
	return to.status, to.code
}

// render writes an error in the envelope of the management API.
func (f *Face) render(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.Of(err)
	status, code := statusOf(e)
	switch {
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer authorization_uri="`+f.opt.Cloud(r).Login+"/"+f.opt.Resources.Installation().Tenant+
			`", error="invalid_token", error_description="`+quotable(e.Message)+`"`)
	case e.After > 0:
		w.Header().Set("Retry-After", strconv.Itoa(max(int(e.After.Seconds()), 1)))
	}
	body := arm.ErrorBody{Error: arm.ErrorDetail{Code: code, Message: e.Message}}
	if p, err := arm.ParsePath(r.URL.Path); err == nil && strings.EqualFold(p.Provider, arm.Provider) && status != http.StatusUnauthorized && status != http.StatusForbidden {
		body.Status = "Failed"
	}
	_ = web.WriteJSON(w, status, body) // strings always marshal
}

// quotable is a text as it stands between the quotes of a challenge.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r > '~' {
			return ' '
		}
		return r
	}, s)
}
