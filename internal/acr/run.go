package acr

import (
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Run is the resource registries/runs: one execution of a task, or of a request without one.
type Run struct {
	ID             string     `json:"runId"` // short, unique in its registry
	Status         RunStatus  `json:"status"`
	Type           string     `json:"runType"` // QuickBuild, QuickRun, AutoBuild or AutoRun
	Task           string     `json:"task,omitempty"`
	AgentPool      string     `json:"agentPoolName,omitempty"`
	Platform       *Platform  `json:"platform,omitempty"`
	CreatedAt      time.Time  `json:"createTime"`
	StartedAt      time.Time  `json:"startTime,omitzero"`
	FinishedAt     time.Time  `json:"finishTime,omitzero"`
	UpdatedAt      time.Time  `json:"lastUpdatedTime"`
	Images         []RunImage `json:"outputImages,omitempty"`
	Error          string     `json:"runErrorMessage,omitempty"`
	ArchiveEnabled bool       `json:"isArchiveEnabled,omitempty"`

	System SystemData `json:"systemData,omitzero"`
}

func (Run) ResourceType() string { return "registries/runs" }

// RunImage is an image that a run pushed.
type RunImage struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest"`
}

// RunStatus is how far a run is.
type RunStatus string

// Statuses of runs; from RunSucceeded on they are final.
const (
	RunQueued    RunStatus = "Queued"
	RunStarted   RunStatus = "Started"
	RunRunning   RunStatus = "Running"
	RunSucceeded RunStatus = "Succeeded"
	RunFailed    RunStatus = "Failed"
	RunCanceled  RunStatus = "Canceled"
	RunError     RunStatus = "Error"
	RunTimeout   RunStatus = "Timeout"
)

// Ended tells whether the status is final.
func (s RunStatus) Ended() bool { return s != RunQueued && s != RunStarted && s != RunRunning }

// Validate checks what runs are found by.
func (r Run) Validate() error {
	if r.ID == "" || len(r.ID) > 60 || strings.ContainsFunc(r.ID, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }) {
		return fault.New(fault.Invalid, "run %.60q: an ID has lower-case letters and digits", r.ID)
	}
	return checkWord("run "+r.ID+": status", string(r.Status), string(RunQueued), string(RunStarted), string(RunRunning), string(RunSucceeded), string(RunFailed),
		string(RunCanceled), string(RunError), string(RunTimeout))
}

// RunTerm is a comparison by which runs are looked for: all of a list must hold.
type RunTerm struct {
	Property string // in lower case
	Operator string // eq, ne, gt, ge, lt, le, or contains
	Value    string
}

// RunProperties are what runs are looked for by.
var RunProperties = []string{"RunId", "RunType", "Status", "CreateTime", "FinishTime", "OutputImageManifests", "IsArchiveEnabled", "TaskName", "AgentPoolName"}

// CheckRunTerm refuses what runs cannot be looked for by. Errors: Invalid.
func CheckRunTerm(t RunTerm) error {
	known := false
	for _, p := range RunProperties {
		known = known || strings.EqualFold(p, t.Property)
	}
	switch {
	case !known:
		return fault.New(fault.Invalid, "runs have no %.60q: filter by %s", t.Property, oneOf(RunProperties))
	case t.isTime():
		if _, err := time.Parse(time.RFC3339, t.Value); err != nil {
			return fault.New(fault.Invalid, "%s '%.60s' is not a time such as 2026-01-31T08:00:00Z", t.Property, t.Value)
		}
	case t.Operator == "contains" && t.Property == "outputimagemanifests", t.Operator == "eq":
	default:
		return fault.New(fault.Invalid, "%s is compared by eq, and OutputImageManifests by contains, not by %s", t.Property, t.Operator)
	}
	return nil
}

func (t RunTerm) isTime() bool { return t.Property == "createtime" || t.Property == "finishtime" }

// Holds tells whether a run is one that is looked for.
func (t RunTerm) Holds(r Run) bool {
	switch t.Property {
	case "runid":
		return strings.EqualFold(r.ID, t.Value)
	case "runtype":
		return strings.EqualFold(r.Type, t.Value)
	case "status":
		return strings.EqualFold(string(r.Status), t.Value)
	case "taskname":
		return strings.EqualFold(r.Task, t.Value)
	case "agentpoolname":
		return strings.EqualFold(r.AgentPool, t.Value)
	case "isarchiveenabled":
		return strings.EqualFold(t.Value, "true") == r.ArchiveEnabled
	case "createtime":
		return t.compares(r.CreatedAt)
	case "finishtime":
		return t.compares(r.FinishedAt)
	}
	for _, i := range r.Images {
		name := i.Repository + "@" + i.Digest
		if name == t.Value || t.Operator == "contains" && strings.Contains(name, t.Value) {
			return true
		}
	}
	return false
}

func (t RunTerm) compares(at time.Time) bool {
	want, err := time.Parse(time.RFC3339, t.Value)
	if err != nil || at.IsZero() {
		return false
	}
	c := at.Compare(want)
	switch t.Operator {
	case "eq":
		return c == 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	return false
}

// RunRequest asks for a run: one of the four types, with the members of that type.
type RunRequest struct {
	Type           string `json:"type"`
	AgentPool      string `json:"agentPoolName,omitempty"`
	ArchiveEnabled bool   `json:"isArchiveEnabled"`
	LogTemplate    string `json:"logTemplate,omitempty"`

	Timeout        Integer             `json:"timeout,omitempty"` // seconds
	Platform       *Platform           `json:"platform,omitempty"`
	Agent          *AgentConfiguration `json:"agentConfiguration,omitempty"`
	SourceLocation string              `json:"sourceLocation,omitempty"`
	Credentials    *TaskCredentials    `json:"credentials,omitempty"`

	ImageNames     []string    `json:"imageNames,omitempty"`
	IsPushEnabled  *bool       `json:"isPushEnabled,omitempty"`
	NoCache        *bool       `json:"noCache,omitempty"`
	DockerFilePath string      `json:"dockerFilePath,omitempty"`
	Target         string      `json:"target,omitempty"`
	Arguments      []TaskValue `json:"arguments,omitempty"`

	TaskFilePath   string      `json:"taskFilePath,omitempty"`
	ValuesFilePath string      `json:"valuesFilePath,omitempty"`
	Values         []TaskValue `json:"values,omitempty"`

	EncodedTaskContent   string `json:"encodedTaskContent,omitempty"`
	EncodedValuesContent string `json:"encodedValuesContent,omitempty"`

	TaskID   string         `json:"taskId,omitempty"`
	Override *StepOverrides `json:"overrideTaskStepProperties,omitempty"`
}

// Types of run requests.
const (
	DockerBuildRequest    = "DockerBuildRequest"
	FileTaskRunRequest    = "FileTaskRunRequest"
	EncodedTaskRunRequest = "EncodedTaskRunRequest"
	TaskRunRequest        = "TaskRunRequest"
)

// StepOverrides stand in the place of what a task's step says.
type StepOverrides struct {
	ContextPath        string      `json:"contextPath,omitempty"`
	File               string      `json:"file,omitempty"`
	Arguments          []TaskValue `json:"arguments,omitempty"`
	Target             string      `json:"target,omitempty"`
	Values             []TaskValue `json:"values,omitempty"`
	UpdateTriggerToken Sealed      `json:"updateTriggerToken,omitzero"` // base64
}

// step is what the request has in common with a task's step.
func (r *RunRequest) step() TaskStep {
	s := TaskStep{
		Type: stepTypes[r.Type], ContextPath: r.SourceLocation, ImageNames: r.ImageNames, IsPushEnabled: r.IsPushEnabled, NoCache: r.NoCache,
		DockerFilePath: r.DockerFilePath, Target: r.Target, Arguments: r.Arguments, TaskFilePath: r.TaskFilePath, ValuesFilePath: r.ValuesFilePath,
		Values: r.Values, EncodedTaskContent: r.EncodedTaskContent, EncodedValuesContent: r.EncodedValuesContent,
	}
	return s
}

var stepTypes = map[string]string{DockerBuildRequest: DockerStep, FileTaskRunRequest: FileStep, EncodedTaskRunRequest: EncodedStep}

// Complete settles what is left open and how words are spelled, and drops what other types of requests have.
func (r *RunRequest) Complete() {
	settleOptional(&r.Type, DockerBuildRequest, FileTaskRunRequest, EncodedTaskRunRequest, TaskRunRequest)
	if r.Type == TaskRunRequest {
		*r = RunRequest{Type: r.Type, AgentPool: r.AgentPool, ArchiveEnabled: r.ArchiveEnabled, LogTemplate: r.LogTemplate, TaskID: r.TaskID, Override: r.Override}
		return
	}
	r.TaskID, r.Override = "", nil
	if r.Timeout == 0 {
		r.Timeout = defaultTimeout
	}
	r.Platform.complete()
	if r.Credentials != nil {
		r.Credentials.complete()
	}
	s := r.step()
	s.complete()
	r.ImageNames, r.IsPushEnabled, r.NoCache, r.DockerFilePath, r.Target, r.Arguments = s.ImageNames, s.IsPushEnabled, s.NoCache, s.DockerFilePath, s.Target, s.Arguments
	r.TaskFilePath, r.ValuesFilePath, r.Values = s.TaskFilePath, s.ValuesFilePath, s.Values
	r.EncodedTaskContent, r.EncodedValuesContent = s.EncodedTaskContent, s.EncodedValuesContent
}

// Secrets points to every secret of the request.
func (r *RunRequest) Secrets() []*Sealed {
	out := secretValues(nil, r.Arguments)
	out = secretValues(out, r.Values)
	if r.Override != nil {
		out = secretValues(out, r.Override.Arguments)
		out = append(secretValues(out, r.Override.Values), &r.Override.UpdateTriggerToken)
	}
	return append(out, r.Credentials.secrets()...)
}

// Validate checks all that the request says; has are the identities of what asks, of which credentials may name one.
func (r RunRequest) Validate(what string, has AssignedIdentity) error {
	if r.Type == "" {
		return fault.New(fault.Invalid, "%s: give the request a type: %s", what, oneOf([]string{DockerBuildRequest, FileTaskRunRequest, EncodedTaskRunRequest, TaskRunRequest}))
	}
	if err := first(checkWord(what+": type", r.Type, DockerBuildRequest, FileTaskRunRequest, EncodedTaskRunRequest, TaskRunRequest),
		checkPool(what, r.AgentPool), checkText(what+": logTemplate", r.LogTemplate)); err != nil {
		return err
	}
	if r.Type == TaskRunRequest {
		if r.TaskID == "" {
			return fault.New(fault.Invalid, "%s: taskId is required: the resource ID of the task", what)
		}
		return r.Override.validate(what)
	}
	s := r.step()
	if s.Type != EncodedStep && s.ContextPath == "" {
		return fault.New(fault.Invalid, "%s: sourceLocation is required: a Git repository, a tar on the web, an oci:// artifact, or what was uploaded", what)
	}
	return first(checkTimeout(what, r.Timeout), r.Platform.validate(what), r.Agent.validate(what), s.validate(what), r.Credentials.requested(what, has))
}

// requested checks the credentials of a request. Whose identity a quick run may use is its caller's alone.
func (c *TaskCredentials) requested(what string, has AssignedIdentity) error {
	if c == nil {
		return nil
	}
	if c.Source != nil && c.Source.Identity == callerIdentity {
		source := *c.Source
		source.Identity = ""
		c = &TaskCredentials{&source, c.Custom}
	}
	return c.validate(what, has)
}

func (o *StepOverrides) validate(what string) error {
	if o == nil {
		return nil
	}
	what += ": overrideTaskStepProperties"
	return first(checkPath(what+".contextPath", o.ContextPath), checkPath(what+".file", o.File), checkText(what+".target", o.Target),
		checkValues(what+".arguments", o.Arguments), checkValues(what+".values", o.Values), checkContent(what, "updateTriggerToken", o.UpdateTriggerToken.Text, false), checkSecret(what+".updateTriggerToken", &o.UpdateTriggerToken))
}
