package controlplane

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/fault"
	"github.com/acre-registry/acre/internal/resource"
)

// runRow has no PUT and no DELETE: runs are made by scheduling, and stay.
func (f *Face) runRow() *row {
	d := document[acr.Run]{kind: f.opt.Resources.Runs, row: row{provider: arm.Provider, types: "registries/runs"}, encode: encodeRun, decode: decodeRun}
	r := rowOf(d)
	delete(r.verbs, http.MethodPut)
	delete(r.verbs, http.MethodDelete)
	r.verbs[list] = listRuns
	r.verbs["POST cancel"] = cancelRun
	r.verbs["POST listlogsasurl"] = runLog
	return r
}

type runWire struct {
	Type       string        `json:"type"`
	Properties runProperties `json:"properties"`
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	SystemData *systemData   `json:"systemData,omitempty"`
}

type runProperties struct {
	RunID             string         `json:"runId"`
	Status            string         `json:"status"`
	LastUpdatedTime   string         `json:"lastUpdatedTime"`
	RunType           string         `json:"runType,omitempty"`
	AgentPoolName     string         `json:"agentPoolName,omitempty"`
	CreateTime        string         `json:"createTime"`
	StartTime         string         `json:"startTime,omitempty"`
	FinishTime        string         `json:"finishTime,omitempty"`
	OutputImages      []acr.RunImage `json:"outputImages,omitempty"`
	Task              string         `json:"task,omitempty"`
	Platform          *acr.Platform  `json:"platform,omitempty"`
	RunErrorMessage   string         `json:"runErrorMessage,omitempty"`
	ProvisioningState string         `json:"provisioningState"`
	IsArchiveEnabled  bool           `json:"isArchiveEnabled"`
}

func encodeRun(_ *call, kept resource.Kept[acr.Run]) any {
	r := kept.Doc
	return runWire{
		Type: arm.Provider + "/registries/runs", ID: kept.ID.String(), Name: r.ID, SystemData: wireSystem(r.System),
		Properties: runProperties{
			RunID: r.ID, Status: string(r.Status), LastUpdatedTime: wireTime(r.UpdatedAt), RunType: r.Type, AgentPoolName: r.AgentPool,
			CreateTime: wireTime(r.CreatedAt), StartTime: timeOrNone(r.StartedAt), FinishTime: timeOrNone(r.FinishedAt), OutputImages: r.Images,
			Task: r.Task, Platform: r.Platform, RunErrorMessage: r.Error, ProvisioningState: succeeded, IsArchiveEnabled: r.ArchiveEnabled,
		},
	}
}

func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return wireTime(t)
}

// decodeRun takes the one member that may be changed; it does not stand among the properties.
func decodeRun(c *call, r *acr.Run, _ bool) error {
	var in struct {
		ArchiveEnabled member[bool] `json:"isArchiveEnabled"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	in.ArchiveEnabled.onto(&r.ArchiveEnabled)
	return nil
}

func listRuns(c *call) error {
	found, err := runTerms(c.query.Get("$filter"))
	if err != nil {
		return err
	}
	q := resource.Runs{Terms: found}
	if text := c.query.Get("$top"); text != "" {
		if q.Top, err = strconv.Atoi(text); err != nil || q.Top < 1 {
			return fault.New(fault.Invalid, "$top '%.60s' is not a number of 1 or more.", text)
		}
	}
	kept, err := c.opt.Resources.FindRuns(c.ctx, c.path.ID(), q)
	if err != nil {
		return err
	}
	out := make([]any, len(kept))
	for i, k := range kept {
		out[i] = encodeRun(c, k)
	}
	return listed(c, out, "")
}

// runTerms reads a filter of runs: comparisons and contains(Property, 'text'), joined by and. Errors: badFilter.
func runTerms(filter string) ([]acr.RunTerm, error) {
	bad := fault.New(badFilter, "Invalid $filter '%.200s' specified in the query string: it looks like TaskName eq 'build' and contains(OutputImageManifests, 'app@sha256:…').", filter)
	if len(filter) > maxFilter {
		return nil, bad
	}
	var out []acr.RunTerm
	for rest := strings.TrimSpace(filter); rest != ""; {
		t, after, ok := cutRunTerm(rest)
		if !ok {
			return nil, bad
		}
		if err := acr.CheckRunTerm(t); err != nil {
			return nil, fault.New(badFilter, "Invalid $filter '%.200s' specified in the query string: %w", filter, err)
		}
		out = append(out, t)
		if rest = strings.TrimSpace(after); rest == "" {
			break
		}
		word, after, _ := strings.Cut(rest, " ")
		if rest = strings.TrimSpace(after); !strings.EqualFold(word, "and") || rest == "" {
			return nil, bad
		}
	}
	return out, nil
}

func cutRunTerm(s string) (t acr.RunTerm, rest string, ok bool) {
	if call, after, is := strings.Cut(s, "("); is && strings.EqualFold(strings.TrimSpace(call), "contains") {
		name, after, is := strings.Cut(after, ",")
		if !is {
			return t, "", false
		}
		t = acr.RunTerm{Property: strings.ToLower(strings.TrimSpace(name)), Operator: "contains"}
		if t.Value, after, is = cutQuoted(strings.TrimSpace(after)); !is {
			return t, "", false
		}
		rest, ok = strings.CutPrefix(strings.TrimSpace(after), ")")
		return t, rest, ok
	}
	name, after, _ := strings.Cut(s, " ")
	operator, after, _ := strings.Cut(strings.TrimSpace(after), " ")
	t = acr.RunTerm{Property: strings.ToLower(name), Operator: strings.ToLower(operator)}
	if after = strings.TrimSpace(after); strings.HasPrefix(after, "'") {
		t.Value, rest, ok = cutQuoted(after)
		return t, rest, ok
	}
	t.Value, rest, _ = strings.Cut(after, " ") // times and truths may stand without quotes
	return t, rest, t.Value != ""
}

func cancelRun(c *call) error {
	if err := c.opt.Resources.CancelRun(c.ctx, c.path.ID()); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func runLog(c *call) error { return c.opt.Resources.RunLog(c.ctx, c.path.ID()) }

func scheduleRun(c *call) error {
	var body jsonObject
	if err := c.decode(&body); err != nil {
		return err
	}
	if name, _ := body["taskName"].(string); name != "" && body["taskId"] == nil { // as 2019-04-01 names a task
		body["taskId"] = c.path.ID().Child("tasks", name).String()
	}
	var in acr.RunRequest
	request, _ := merge(nil, body).(jsonObject) // null is what is left out
	if err := fromObject(request, &in); err != nil {
		return err
	}
	return c.opt.Resources.ScheduleRun(c.ctx, c.path.ID(), in)
}

func uploadSource(c *call) error { return c.opt.Resources.UploadSource(c.ctx, c.path.ID()) }
