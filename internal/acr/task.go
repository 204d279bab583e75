package acr

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/fault"
)

// Task is the resource registries/tasks: what is to be run, and what starts it.
type Task struct {
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Identity   AssignedIdentity  `json:"identity,omitzero"`
	CreatedAt  time.Time         `json:"createdAt"`
	Properties TaskProperties    `json:"properties"`
	System     SystemData        `json:"systemData,omitzero"`
}

func (Task) ResourceType() string { return "registries/tasks" }

// TaskProperties are a task's, spelled as the management API spells them.
type TaskProperties struct {
	Status       string              `json:"status,omitempty"` // SwitchedOn or SwitchedOff
	Platform     *Platform           `json:"platform,omitempty"`
	Agent        *AgentConfiguration `json:"agentConfiguration,omitempty"`
	AgentPool    string              `json:"agentPoolName,omitempty"`
	Timeout      Integer             `json:"timeout,omitempty"` // seconds
	Step         *TaskStep           `json:"step,omitempty"`    // nil: of the system task alone
	Trigger      *TaskTriggers       `json:"trigger,omitempty"`
	Credentials  *TaskCredentials    `json:"credentials,omitempty"`
	LogTemplate  string              `json:"logTemplate,omitempty"`
	IsSystemTask bool                `json:"isSystemTask"`
}

// Statuses of tasks and triggers.
const (
	SwitchedOn  = "Enabled"
	SwitchedOff = "Disabled"
)

// SystemTask is the name of the one task without a step: it says what quick runs get that say nothing themselves.
const SystemTask = "quicktask"

// Integer is a number that some clients send as a string.
type Integer int

// UnmarshalJSON reads a number of 32 bits, or a string that holds one; null is none.
func (n *Integer) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	i, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 32)
	if err != nil {
		return fault.New(fault.Invalid, "%.40s is not a whole number of 32 bits", text)
	}
	*n = Integer(i)
	return nil
}

// Platform is what a run needs its machine to be.
type Platform struct {
	OS           string `json:"os,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Variant      string `json:"variant,omitempty"`
}

// Operating systems of runs.
const (
	Linux   = "Linux"
	Windows = "Windows"
)

// AgentConfiguration is what a run needs of a machine that it shares.
type AgentConfiguration struct {
	CPU Integer `json:"cpu,omitempty"`
}

// TaskStep is what a task does: one of the three types, with the members of that type.
type TaskStep struct {
	Type               string                `json:"type"`
	ContextPath        string                `json:"contextPath,omitempty"`
	ContextAccessToken Sealed                `json:"contextAccessToken,omitzero"`
	BaseImages         []BaseImageDependency `json:"baseImageDependencies,omitempty"` // found by runs

	ImageNames     []string    `json:"imageNames,omitempty"`
	IsPushEnabled  *bool       `json:"isPushEnabled,omitempty"`
	NoCache        *bool       `json:"noCache,omitempty"`
	DockerFilePath string      `json:"dockerFilePath,omitempty"`
	Target         string      `json:"target,omitempty"`
	Arguments      []TaskValue `json:"arguments,omitempty"`

	TaskFilePath   string      `json:"taskFilePath,omitempty"`
	ValuesFilePath string      `json:"valuesFilePath,omitempty"`
	Values         []TaskValue `json:"values,omitempty"` // of encoded tasks too

	EncodedTaskContent   string `json:"encodedTaskContent,omitempty"`
	EncodedValuesContent string `json:"encodedValuesContent,omitempty"`
}

// Types of steps.
const (
	DockerStep  = "Docker"
	FileStep    = "FileTask"
	EncodedStep = "EncodedTask"
)

// BaseImageDependency is an image that a step's build began from.
type BaseImageDependency struct {
	Type       string `json:"type"` // BuildTime or RunTime
	Registry   string `json:"registry,omitempty"`
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
}

// TaskValue is a build argument, or a value that a task's template is rendered with.
type TaskValue struct {
	Name     string `json:"name"`
	Value    Sealed `json:"value"`
	IsSecret bool   `json:"isSecret"`
}

// Bounds of tasks and runs.
const (
	minTimeout     = 300
	maxTimeout     = 28_800
	defaultTimeout = 3600
	maxCPU         = 64
	maxValues      = 256
	maxImages      = 100
	maxContent     = 1 << 20 // of what is sent in base64, as it is sent
)

// Complete settles what is left open and how words are spelled, and drops what other types of steps have.
func (t *Task) Complete() {
	p := &t.Properties
	settle(&p.Status, SwitchedOn, SwitchedOff)
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	p.Platform.complete()
	if p.Step != nil {
		p.Step.complete()
	}
	if p.Trigger != nil {
		p.Trigger.complete()
	}
	if p.Credentials != nil {
		p.Credentials.complete()
	}
}

// settle spells a word as one of those that there are, whatever its letters were; none is the first. What is not among them
// stays, and is refused.
func settle(word *string, among ...string) {
	if *word == "" {
		*word = among[0]
	}
	for _, a := range among {
		if strings.EqualFold(a, *word) {
			*word = a
		}
	}
}

// settleOptional is settle where none stays none.
func settleOptional(word *string, among ...string) {
	if *word != "" {
		settle(word, among...)
	}
}

func (p *Platform) complete() {
	if p == nil {
		return
	}
	settleOptional(&p.OS, Linux, Windows)
	settle(&p.Architecture, architectures...)
	settleOptional(&p.Variant, variants...)
}

func (s *TaskStep) complete() {
	settleOptional(&s.Type, DockerStep, FileStep, EncodedStep)
	if s.Type != DockerStep {
		s.ImageNames, s.IsPushEnabled, s.NoCache, s.DockerFilePath, s.Target, s.Arguments = nil, nil, nil, "", "", nil
	} else {
		push, cache := true, false
		if s.IsPushEnabled == nil {
			s.IsPushEnabled = &push
		}
		if s.NoCache == nil {
			s.NoCache = &cache
		}
		s.Values = nil
	}
	if s.Type != FileStep {
		s.TaskFilePath, s.ValuesFilePath = "", ""
	}
	if s.Type != EncodedStep {
		s.EncodedTaskContent, s.EncodedValuesContent = "", ""
	}
}

// Secrets points to every secret of the task.
func (t *Task) Secrets() []*Sealed {
	var out []*Sealed
	if s := t.Properties.Step; s != nil {
		out = append(out, &s.ContextAccessToken)
		out = secretValues(out, s.Arguments)
		out = secretValues(out, s.Values)
	}
	if g := t.Properties.Trigger; g != nil {
		out = append(out, g.secrets()...)
	}
	return append(out, t.Properties.Credentials.secrets()...)
}

func secretValues(out []*Sealed, list []TaskValue) []*Sealed {
	for i := range list {
		if list[i].IsSecret {
			out = append(out, &list[i].Value)
		}
	}
	return out
}

// KeepSecrets takes secrets over from what the task was, where it is sent without them, as it is read: those of a context,
// a repository or a registry that is the same, and those of values of the same name.
func (t *Task) KeepSecrets(was Task) {
	if now, old := t.Properties.Step, was.Properties.Step; now != nil && old != nil {
		if now.ContextAccessToken.IsZero() && now.ContextPath == old.ContextPath {
			now.ContextAccessToken = old.ContextAccessToken
		}
		keepValues(now.Arguments, old.Arguments)
		keepValues(now.Values, old.Values)
	}
	if now, old := t.Properties.Trigger, was.Properties.Trigger; now != nil && old != nil {
		now.keepSecrets(*old)
	}
	if now, old := t.Properties.Credentials, was.Properties.Credentials; now != nil && old != nil {
		now.keepSecrets(*old)
	}
}

func keepValues(now, old []TaskValue) {
	for i := range now {
		for _, o := range old {
			if now[i].IsSecret && now[i].Value.IsZero() && o.IsSecret && o.Name == now[i].Name {
				now[i].Value = o.Value
			}
		}
	}
}

// Validate checks all that the task says.
func (t Task) Validate() error {
	if err := taskNames.check(t.Name); err != nil {
		return err
	}
	what := "task " + t.Name
	p := t.Properties
	if err := first(checkTags(what, t.Tags), t.Identity.Check(what), checkWord(what+": status", p.Status, SwitchedOn, SwitchedOff),
		checkTimeout(what, p.Timeout), checkText(what+": logTemplate", p.LogTemplate)); err != nil {
		return err
	}
	if p.IsSystemTask != (t.Name == SystemTask) {
		return fault.New(fault.Invalid, "%s: the system task, isSystemTask, is named %s, and no other is", what, SystemTask)
	}
	if p.IsSystemTask {
		if p.Step != nil || p.Trigger != nil || p.Credentials != nil {
			return fault.New(fault.Invalid, "%s: the system task has no step, no trigger and no credentials, only a status, a timeout and a logTemplate", what)
		}
		return nil
	}
	if p.Step == nil {
		return fault.New(fault.Invalid, "%s: give it a step: its type is %s, %s or %s", what, DockerStep, FileStep, EncodedStep)
	}
	return first(p.Platform.validate(what), p.Agent.validate(what), checkPool(what, p.AgentPool), p.Step.validate(what),
		p.Trigger.validate(what), p.Credentials.validate(what, t.Identity))
}

func checkWord(what, word string, among ...string) error {
	for _, a := range among {
		if a == word {
			return nil
		}
	}
	return fault.New(fault.Invalid, "%s %.40q is not %s", what, word, oneOf(among))
}

// oneOf lists words: a, b or c.
func oneOf(list []string) string {
	n := len(list) - 1
	if n == 0 {
		return list[0]
	}
	return strings.Join(list[:n], ", ") + " or " + list[n]
}

func checkTimeout(what string, n Integer) error {
	if n < minTimeout || n > maxTimeout {
		return fault.New(fault.Invalid, "%s: timeout %d is not between %d and %d seconds", what, n, minTimeout, maxTimeout)
	}
	return nil
}

var (
	architectures = []string{"amd64", "x86", "386", "arm", "arm64"}
	variants      = []string{"v6", "v7", "v8"}
	// of an architecture; those that are not here have none
	variantsOf = map[string][]string{"arm": {"v6", "v7"}, "arm64": {"v8"}}
)

func (p *Platform) validate(what string) error {
	if p == nil || p.OS == "" {
		return fault.New(fault.Invalid, "%s: give it a platform: its os is %s or %s", what, Linux, Windows)
	}
	if err := first(checkWord(what+": platform.os", p.OS, Linux, Windows), checkWord(what+": platform.architecture", p.Architecture, architectures...)); err != nil {
		return err
	}
	if p.OS == Windows && p.Architecture != "amd64" {
		return fault.New(fault.Invalid, "%s: there is no platform %s/%s: Windows runs on amd64", what, p.OS, p.Architecture)
	}
	if p.Variant == "" {
		return nil
	}
	if of := variantsOf[p.Architecture]; len(of) > 0 {
		return checkWord(what+": platform.variant of "+p.Architecture, p.Variant, of...)
	}
	return fault.New(fault.Invalid, "%s: the architecture %s has no variant %.40q: leave it out", what, p.Architecture, p.Variant)
}

func (a *AgentConfiguration) validate(what string) error {
	if a == nil || a.CPU >= 0 && a.CPU <= maxCPU {
		return nil
	}
	return fault.New(fault.Invalid, "%s: agentConfiguration.cpu %d is not between 1 and %d", what, a.CPU, maxCPU)
}

func checkPool(what, name string) error {
	if name == "" {
		return nil
	}
	if err := agentPoolNames.check(name); err != nil {
		return fault.New(fault.Invalid, "%s: %w", what, err)
	}
	return nil
}

func (s *TaskStep) validate(what string) error {
	if err := first(checkWord(what+": step.type", s.Type, DockerStep, FileStep, EncodedStep), checkPath(what+": step.contextPath", s.ContextPath),
		checkSecret(what+": step.contextAccessToken", &s.ContextAccessToken), checkValues(what+": step.arguments", s.Arguments),
		checkValues(what+": step.values", s.Values)); err != nil {
		return err
	}
	switch s.Type {
	case DockerStep:
		return first(checkRequired(what, "step.dockerFilePath", s.DockerFilePath), checkText(what+": step.target", s.Target),
			checkImages(what+": step.imageNames", s.ImageNames))
	case FileStep:
		return first(checkRequired(what, "step.taskFilePath", s.TaskFilePath), checkPath(what+": step.valuesFilePath", s.ValuesFilePath))
	}
	return first(checkContent(what, "step.encodedTaskContent", s.EncodedTaskContent, true),
		checkContent(what, "step.encodedValuesContent", s.EncodedValuesContent, false))
}

func checkRequired(what, member, value string) error {
	if value == "" {
		return fault.New(fault.Invalid, "%s: %s is required", what, member)
	}
	return checkPath(what+": "+member, value)
}

// checkPath holds a path or URL against what one line can hold.
func checkPath(what, s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return fault.New(fault.Invalid, "%s is not one line", what)
	}
	return checkText(what, s)
}

// checkContent holds a file in base64 against its bounds. What it says is looked at when it runs: it is a template until then.
func checkContent(what, member, s string, required bool) error {
	switch {
	case s == "" && required:
		return fault.New(fault.Invalid, "%s: %s is required: a file in base64", what, member)
	case len(s) > maxContent:
		return fault.New(fault.Invalid, "%s: %s has %d bytes in base64: %d are allowed", what, member, len(s), maxContent)
	}
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return fault.New(fault.Invalid, "%s: %s is not base64: %w", what, member, err)
	}
	return nil
}

func checkImages(what string, names []string) error {
	for _, n := range names {
		if n == "" || len(n) > maxText || strings.ContainsAny(n, "\r\n\x00") {
			return fault.New(fault.Invalid, "%s: %.100q names no image: write it like app:{{.Run.ID}}", what, n)
		}
	}
	return checkCount(what, len(names), maxImages)
}

func checkValues(what string, list []TaskValue) error {
	for i := range list {
		v := &list[i]
		if v.Name == "" || strings.ContainsAny(v.Name, "=\r\n\x00") {
			return fault.New(fault.Invalid, "%s: %.60q is no name", what, v.Name)
		}
		if err := first(checkText(what+": a name", v.Name), checkSecret(what+" "+v.Name, &v.Value)); err != nil {
			return err
		}
		if !v.IsSecret {
			if err := checkShown(what+" "+v.Name, v.Value); err != nil {
				return err
			}
		}
	}
	return checkCount(what, len(list), maxValues)
}

var taskNames = nameRule{"task", 5, 50, "-_", "5 to 50 letters, digits, dashes and underscores"}
