package controlplane

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/audit"
	"github.com/acre-registry/acre/internal/fault"
)

// insights is the provider of the activity log.
const insights = "Microsoft.Insights"

// activityRow is the activity log: who changed which resource.
func (f *Face) activityRow() *row {
	return &row{provider: insights, types: "eventtypes/values", verbs: map[string]handler{list: listActivity}}
}

type localized struct {
	Value          string `json:"value"`
	LocalizedValue string `json:"localizedValue"`
}

func text(s string) localized { return localized{s, s} }

type eventWire struct {
	Authorization        eventAuthorization `json:"authorization"`
	Caller               string             `json:"caller"`
	Channels             string             `json:"channels"`
	Claims               map[string]string  `json:"claims"`
	CorrelationID        string             `json:"correlationId"`
	Description          string             `json:"description"`
	EventDataID          string             `json:"eventDataId"`
	EventName            localized          `json:"eventName"`
	Category             localized          `json:"category"`
	EventTimestamp       string             `json:"eventTimestamp"`
	ID                   string             `json:"id"`
	Level                string             `json:"level"`
	OperationID          string             `json:"operationId"`
	OperationName        localized          `json:"operationName"`
	ResourceGroupName    string             `json:"resourceGroupName"`
	ResourceProviderName localized          `json:"resourceProviderName"`
	ResourceType         localized          `json:"resourceType"`
	ResourceID           string             `json:"resourceId"`
	Status               localized          `json:"status"`
	SubStatus            localized          `json:"subStatus"`
	SubmissionTimestamp  string             `json:"submissionTimestamp"`
	SubscriptionID       string             `json:"subscriptionId"`
	TenantID             string             `json:"tenantId"`
	Properties           map[string]string  `json:"properties"`
}

type eventAuthorization struct {
	Action string `json:"action"`
	Scope  string `json:"scope"`
}

// changed is what a row of the audit tells of, as the management API names it.
type changed struct{ id, kind, operation, group string }

// changeOf reads a row; ok is false for what is no resource of the management API.
func changeOf(r *acr.AuditRow) (ch changed, ok bool) {
	verb := string(r.OperationName[strings.LastIndexByte(string(r.OperationName), '/')+1:])
	p, err := arm.ParsePath(r.Resource)
	if err != nil || strings.HasSuffix(r.Resource, "/*") || verb != "write" && verb != "delete" {
		return ch, false
	}
	ch.id, ch.kind, ch.group = r.Resource, p.Provider+"/"+strings.Join(p.Types, "/"), p.Group
	switch {
	case strings.EqualFold(p.Provider, arm.Resources) && len(p.Types) == 1 && strings.EqualFold(p.Types[0], "resourceGroups"):
		ch.group, ch.kind = p.Names[0], arm.Resources+"/subscriptions/resourceGroups"
		ch.id = "/subscriptions/" + p.Subscription + "/resourceGroups/" + ch.group
	case p.Collection(), strings.EqualFold(p.Types[0], "operationStatuses"):
		return ch, false
	case strings.EqualFold(p.Provider, arm.Authorization):
	case p.Subscription == "":
		return ch, false // the directory's, or acre's own
	}
	ch.operation = ch.kind + "/" + verb
	return ch, true
}

func wireEvent(c *call, r acr.AuditRow) eventWire {
	ch, _ := changeOf(&r)
	at := wireTime(r.TimeGenerated)
	data := uuid.NewSHA1(uuid.NameSpaceURL, []byte(ch.id+at+strconv.FormatInt(r.Seq, 10))).String()
	provider, _, _ := strings.Cut(ch.kind, "/")
	in := c.opt.Resources.Installation()
	out := eventWire{
		Authorization: eventAuthorization{ch.operation, ch.id}, Caller: r.Identity, Channels: "Operation", Claims: map[string]string{},
		CorrelationID: r.CorrelationID, EventDataID: data, EventName: localized{"EndRequest", "End request"}, Category: text("Administrative"),
		EventTimestamp: at, SubmissionTimestamp: at, ID: ch.id + "/events/" + data + "/ticks/" + strconv.FormatInt(r.TimeGenerated.UnixMicro(), 10),
		Level: "Informational", OperationID: r.CorrelationID, OperationName: text(ch.operation), ResourceGroupName: ch.group,
		ResourceProviderName: text(provider), ResourceType: text(ch.kind), ResourceID: ch.id, Status: text(succeeded),
		SubscriptionID: in.Subscription, TenantID: in.Tenant, Properties: map[string]string{"entity": ch.id, "message": ch.operation},
	}
	if r.Change != "" {
		out.Properties["documentSha256"] = r.Change
	}
	return out
}

// listActivity takes filters for times, and for what az offers flags for.
func listActivity(c *call) error {
	if !strings.EqualFold(c.path.Names[0], "management") {
		return fault.New(fault.NotFound, "The event type '%.60s' is not found: events are of the type management.", c.path.Names[0])
	}
	if err := c.opt.Resources.Sees(c.ctx, c.opt.Resources.Scope()); err != nil {
		return err
	}
	q := audit.Activity{Limit: pageSize, ScopeOf: func(r *acr.AuditRow) string {
		ch, ok := changeOf(r)
		switch {
		case !ok:
			return ""
		case !strings.HasPrefix(ch.id, "/subscriptions/"):
			return c.opt.Resources.Scope()
		}
		return ch.id
	}}
	if err := activityFilter(c.query.Get("$filter"), &q); err != nil {
		return err
	}
	if err := activityPlace(c.query.Get("$skipToken"), &q); err != nil {
		return err
	}
	page, err := c.opt.Audit.Activity(c.ctx, q)
	if err != nil {
		return err
	}
	out := make([]eventWire, len(page.Rows))
	for i, r := range page.Rows {
		out[i] = wireEvent(c, r)
	}
	more := ""
	if !page.To.IsZero() {
		more = strconv.FormatInt(page.To.UnixNano(), 10) + "." + strconv.Itoa(page.Skip)
	}
	return listed(c, out, more)
}

// activityPlace reads where an earlier page ended.
func activityPlace(token string, q *audit.Activity) error {
	if token == "" {
		return nil
	}
	at, skip, _ := strings.Cut(token, ".")
	nano, err := strconv.ParseInt(at, 10, 64)
	if n, failed := strconv.Atoi(skip); err == nil && failed == nil && n >= 0 && n <= maxSkip {
		q.To, q.Skip = time.Unix(0, nano).UTC(), n
		return nil
	}
	return fault.New(fault.Invalid, "$skipToken '%.60s' is none of this list: follow nextLink.", token)
}

// maxSkip bounds how many events of one instant are told apart.
const maxSkip = 100_000

// activityFilter reads comparisons joined by and: of eventTimestamp with ge and le, of the rest with eq.
func activityFilter(filter string, q *audit.Activity) error {
	var keep []func(ch changed, r *acr.AuditRow) bool
	bad := fault.New(badFilter, "Invalid $filter '%.200s': it looks like eventTimestamp ge '2026-01-31T08:00:00Z' and resourceGroupName eq 'name'; "+
		"resourceUri, resourceProvider, correlationId, caller, status and operationName can be compared too.", filter)
	word := strings.Fields(filter)
	if len(filter) > maxFilter || len(word)%4 == 0 && len(word) > 0 {
		return bad
	}
	for i := 0; i+2 < len(word); i += 4 {
		name, op, value := strings.ToLower(word[i]), strings.ToLower(word[i+1]), strings.Trim(word[i+2], "'")
		if i+3 < len(word) && !strings.EqualFold(word[i+3], "and") {
			return bad
		}
		if name == "eventtimestamp" {
			t, err := time.Parse(time.RFC3339Nano, strings.TrimSuffix(value, "Z")+zone(value))
			switch {
			case err != nil:
				return bad
			case op == "ge" || op == "gt":
				q.From = t
			case op == "le" || op == "lt":
				q.To = t
			default:
				return bad
			}
			continue
		}
		of := activityFields[name]
		if of == nil || op != "eq" {
			return bad
		}
		keep = append(keep, func(ch changed, r *acr.AuditRow) bool { return strings.EqualFold(of(ch, r), value) })
	}
	q.Match = func(r *acr.AuditRow) bool {
		ch, _ := changeOf(r)
		for _, k := range keep {
			if !k(ch, r) {
				return false
			}
		}
		return true
	}
	return nil
}

// zone is what a time lacks that names none: az sends times of UTC with an offset and a Z, or with neither.
func zone(t string) string {
	if t = strings.TrimSuffix(t, "Z"); len(t) > len(time.DateOnly) && strings.ContainsAny(t[len(time.DateOnly):], "+-") {
		return ""
	}
	return "Z"
}

// activityFields are what events are picked by.
var activityFields = map[string]func(ch changed, r *acr.AuditRow) string{
	"resourcegroupname": func(ch changed, _ *acr.AuditRow) string { return ch.group },
	"resourceuri":       func(ch changed, _ *acr.AuditRow) string { return ch.id },
	"resourceid":        func(ch changed, _ *acr.AuditRow) string { return ch.id },
	"resourceprovider":  func(ch changed, _ *acr.AuditRow) string { provider, _, _ := strings.Cut(ch.kind, "/"); return provider },
	"resourcetype":      func(ch changed, _ *acr.AuditRow) string { return ch.kind },
	"operationname":     func(ch changed, _ *acr.AuditRow) string { return ch.operation },
	"operations":        func(ch changed, _ *acr.AuditRow) string { return ch.operation },
	"correlationid":     func(_ changed, r *acr.AuditRow) string { return r.CorrelationID },
	"caller":            func(_ changed, r *acr.AuditRow) string { return r.Identity },
	"status":            func(changed, *acr.AuditRow) string { return succeeded },
	"eventchannels":     func(changed, *acr.AuditRow) string { return "Admin, Operation" },
}
