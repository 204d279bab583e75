package ociclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/acre-registry/acre/internal/fault"
)

// statusKinds is the data plane's column of the error table, backwards.
var statusKinds = map[int]fault.Kind{
	http.StatusBadRequest:                   fault.Invalid,
	http.StatusUnauthorized:                 fault.Unauthenticated,
	http.StatusForbidden:                    fault.Blocked,
	http.StatusNotFound:                     fault.NotFound,
	http.StatusMethodNotAllowed:             fault.Unsupported,
	http.StatusRequestTimeout:               fault.Unavailable,
	http.StatusConflict:                     fault.Conflict,
	http.StatusPreconditionFailed:           fault.Precondition,
	http.StatusRequestEntityTooLarge:        fault.TooLarge,
	http.StatusRequestedRangeNotSatisfiable: fault.OutOfRange,
	http.StatusFailedDependency:             fault.Upstream,
	http.StatusTooManyRequests:              fault.TooMany,
	http.StatusInternalServerError:          fault.Internal,
	http.StatusBadGateway:                   fault.Unavailable,
	http.StatusServiceUnavailable:           fault.Unavailable,
	http.StatusGatewayTimeout:               fault.Unavailable,
	http.StatusInsufficientStorage:          fault.Full,
}

// codeKinds are the codes that say more than their status.
var codeKinds = map[string]fault.Kind{
	"REGISTRY_DISALLOWED_OPERATION": fault.Disallowed,
	"TOOMANYREQUESTS":               fault.TooMany,
}

// bareCodes say no more than their kind does; an error of that kind carries none.
var bareCodes = map[string]bool{
	"UNAUTHORIZED": true, "DENIED": true, "UNKNOWN": true, "UNSUPPORTED": true, "TOOMANYREQUESTS": true,
	"UNAVAILABLE": true, "CONFLICT": true, "PRECONDITION_FAILED": true,
}

// envelope is the body of an error answer (distribution-spec "Error Codes").
type envelope struct {
	Errors []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	} `json:"errors"`
}

// statusError makes the fault of an answer. missing is what a 404 means for the call that was made: registries
// differ in which part of an address they call unknown, and HEAD says nothing.
func (c *Client) statusError(resp *http.Response, missing fault.Code) error {
	var env envelope
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &env)
	}
	f := &fault.Error{After: retryAfter(resp.Header)}
	code := ""
	if err == nil && len(env.Errors) > 0 {
		code, f.Message, f.Detail = env.Errors[0].Code, env.Errors[0].Message, env.Errors[0].Detail
	}
	f.Kind, f.Code = reasonOf(resp.StatusCode, code)
	if f.Kind == fault.Unauthenticated && strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		f.Kind = fault.Denied
	}
	if f.Kind == fault.NotFound && missing.Name != "" {
		f.Code = missing.Name
	}
	if f.Message == "" && f.Kind == fault.NotFound {
		f.Message = fmt.Sprintf("%s has no %s", c.base.Host, resp.Request.URL.Path)
	}
	if f.Message == "" {
		f.Message = fmt.Sprintf("%s answered %s to %s %s", c.base.Host, resp.Status, resp.Request.Method, resp.Request.URL.Path)
	}
	return f
}

// reasonOf is the kind and code that a status with a code stands for.
func reasonOf(status int, code string) (fault.Kind, string) {
	kind, ok := codeKinds[code]
	if !ok {
		kind, ok = statusKinds[status]
	}
	switch {
	case !ok && status >= 500:
		kind = fault.Internal
	case !ok && status >= 400:
		kind = fault.Invalid
	case !ok:
		kind = fault.Upstream // a status that does not belong to the call
	}
	if bareCodes[code] {
		code = ""
	}
	return kind, code
}

// sendError makes the fault of a request that got no answer: from the token service, from credentials, from the
// network.
func (c *Client) sendError(err error) error {
	var f *fault.Error
	var answer *errcode.ErrorResponse
	var network *url.Error
	switch {
	case errors.As(err, &f):
		return fmt.Errorf("log in to %s: %w", c.base.Host, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask %s: %w", c.base.Host, err)
	case errors.As(err, &answer):
		f := &fault.Error{Message: fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)), Err: err}
		code := ""
		if len(answer.Errors) > 0 {
			code, f.Message = answer.Errors[0].Code, answer.Errors[0].Message
		}
		f.Kind, f.Code = reasonOf(answer.StatusCode, code)
		return c.refused(f)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fault.New(fault.Unauthenticated, "%s asks for a user name and a password: log in first", c.base.Host)
	case errors.As(err, &network):
		return fault.New(fault.Unavailable, "%s cannot be reached: check its address, that it runs, and the network between: %w", c.base.Host, network.Err)
	}
	return fault.New(fault.Upstream, "log in to %s: %w", c.base.Host, err)
}

// refused makes the fault of a token service's refusal: whatever it says of the request is about the credentials.
func (c *Client) refused(f *fault.Error) error {
	switch f.Kind {
	case fault.Unauthenticated, fault.Denied, fault.Invalid, fault.NotFound:
		f.Kind, f.Code, f.Message = fault.Unauthenticated, "", fmt.Sprintf("%s gives no token: %s", c.base.Host, f.Message)
	default:
		f.Message = fmt.Sprintf("the token service of %s: %s", c.base.Host, f.Message)
	}
	return f
}

// wrong is a far registry that breaks the protocol.
func (c *Client) wrong(format string, args ...any) error {
	return fault.New(fault.Upstream, "%s broke the protocol: %w", c.base.Host, fmt.Errorf(format, args...))
}
