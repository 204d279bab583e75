package controlplane

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
)

// pollSeconds is when clients shall ask how an operation ended: the real service says 10, here most have ended long before.
const pollSeconds = 1

// Last types of the two forms of URLs at which operations are asked for (control plane, section 2.5): one answers with a
// status, the other as the operation itself would have.
const (
	statusesType = "operationstatuses"
	resultsType  = "operationresults"
)

// operationOf tells which operation a path asks for, and in which form; "" where it asks for none.
func operationOf(p arm.Path) (name, form string) {
	n := len(p.Types)
	if n == 0 {
		return "", ""
	}
	if last := strings.ToLower(p.Types[n-1]); !p.Collection() && (last == statusesType || last == resultsType) {
		return p.Names[n-1], last
	}
	// …/locations/{region}/operationResults/operationStatuses/{name}
	if n > 1 && p.Collection() && strings.EqualFold(p.Types[n-2], resultsType) && strings.EqualFold(p.Names[n-2], statusesType) {
		return p.Types[n-1], statusesType
	}
	return "", ""
}

// operation answers who polls.
func operation(c *call) error {
	name, form := operationOf(c.path)
	o, err := c.opt.Resources.Operation(c.ctx, strings.ToLower(name))
	if err != nil {
		return err
	}
	switch {
	case form == statusesType:
		if !o.Status.Ended() {
			c.retryAfter()
		}
		return c.write(http.StatusOK, wireOperation(c, o))
	case !o.Status.Ended():
		c.w.Header().Set("Location", c.here())
		c.retryAfter()
		return c.null(http.StatusAccepted)
	case o.Failure != nil:
		return o.Failure.Err()
	}
	return c.write(http.StatusOK, wireOperation(c, o))
}

type operationStatusWire struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	ResourceID string           `json:"resourceId"`
	Status     string           `json:"status"`
	StartTime  string           `json:"startTime"`
	EndTime    string           `json:"endTime,omitempty"`
	Error      *arm.ErrorDetail `json:"error,omitempty"`

	Properties *operationWireProperties `json:"properties,omitempty"`
}

// operationWireProperties are acre's own: the real service says nothing of how far it is.
type operationWireProperties struct {
	Progress wireProgress `json:"progress"`
}

func wireOperation(c *call, o acr.Operation) operationStatusWire {
	out := operationStatusWire{ID: c.r.URL.Path, Name: o.Name, ResourceID: o.On, Status: string(o.Status), StartTime: wireTime(o.StartedAt), Properties: progressOf(o)}
	if o.Status.Ended() {
		out.EndTime = wireTime(o.EndedAt)
	}
	if o.Failure != nil {
		out.Error = wireFailure(o.Failure)
	}
	return out
}

// wireFailure is a failure that was kept, as it would have been answered.
func wireFailure(f *acr.Failure) *arm.ErrorDetail {
	_, code := statusOf(fault.Of(f.Err()))
	return &arm.ErrorDetail{Code: code, Message: f.Message}
}

// poll tells who made or changed a resource where to ask whether it is done.
func (c *call) poll(o *acr.Operation) {
	c.w.Header()["Azure-Asyncoperation"] = []string{c.opt.Cloud(c.r).Management + strings.TrimSuffix(c.r.URL.EscapedPath(), "/") + "/operationStatuses/" + o.Name + c.versioned()}
	c.retryAfter()
}

// accepted answers what goes on after its answer, with where to ask for the result.
func (c *call) accepted(o *acr.Operation) error {
	at := c.opt.Resources.Scope() + "/providers/" + c.path.Provider + "/locations/" + acr.DefaultLocation + "/operationResults/"
	switch {
	case c.path.Provider == arm.Resources:
		at = c.opt.Resources.Scope() + "/operationresults/"
	case c.path.Subscription == "":
		at = "/providers/" + c.path.Provider + "/locations/" + acr.DefaultLocation + "/operationResults/"
	}
	c.w.Header().Set("Location", c.opt.Cloud(c.r).Management+at+o.Name+c.versioned())
	c.retryAfter()
	return c.null(http.StatusAccepted)
}

// here is the URL of the request.
func (c *call) here() string {
	return c.opt.Cloud(c.r).Management + c.r.URL.EscapedPath() + c.versioned()
}

func (c *call) versioned() string { return "?api-version=" + string(c.version) }

// retryAfter says when to ask, and takes back that nobody need wait.
func (c *call) retryAfter() {
	c.w.Header().Set("Retry-After", strconv.Itoa(pollSeconds))
	delete(c.w.Header(), "X-Go-Azure-Sdk-Skip-Polling-Delay")
}

// null answers with the body that says nothing: these four bytes.
func (c *call) null(status int) error {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.Header().Set("Content-Length", "4")
	c.w.WriteHeader(status)
	_, err := c.w.Write([]byte("null"))
	return err
}
