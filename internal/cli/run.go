package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// ofRun is how a verb is told which run.
type ofRun struct {
	ofRegistry
	run string
}

func (of *ofRun) flags(cmd *cobra.Command) {
	of.ofRegistry.flags(cmd, "registry", "r")
	cmd.Flags().StringVar(&of.run, "run-id", "", "run")
}

// id is the run's resource ID.
func (of *ofRun) id(ctx context.Context, p *plane) (string, error) {
	if err := childName("run-id", of.run); err != nil {
		return "", err
	}
	reg, err := p.registryID(ctx, of.ofRegistry)
	return reg + "/runs/" + of.run, err
}

// runColumns are those of az's table.
type runColumns struct {
	ID       string `json:"RUN ID"`
	Task     string `json:"TASK"`
	Platform string `json:"PLATFORM"`
	Status   string `json:"STATUS"`
	Trigger  string `json:"TRIGGER"`
	Started  string `json:"STARTED"`
	Duration string `json:"DURATION"`
}

func runRow(o object) any {
	trigger := text(o, "sourceTrigger", "eventType")
	if trigger == "" {
		for _, kind := range []struct{ member, word string }{{"timerTrigger", "Timer"}, {"imageUpdateTrigger", "Image Update"}} {
			if o[kind.member] != nil {
				trigger = cmp.Or(trigger, kind.word)
			}
		}
	}
	return runColumns{text(o, "runId"), text(o, "task"), text(o, "platform", "os"), text(o, "status"), cmp.Or(trigger, "Manual"),
		moment(text(o, "startTime")), lasted(text(o, "startTime"), text(o, "finishTime"))}
}

// lasted is the time between two moments, as hours:minutes:seconds; "" where one of them has not come.
func lasted(from, to string) string {
	began, err := time.Parse(time.RFC3339Nano, from)
	if err != nil {
		return ""
	}
	ended, err := time.Parse(time.RFC3339Nano, to)
	if err != nil {
		return ""
	}
	n := int(ended.Sub(began).Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
}

func (a *app) runList() *cobra.Command {
	var of ofRegistry
	var task, status, image string
	var top int
	cmd := &cobra.Command{
		Use: "list-runs", Short: "List the runs of a registry, the newest first", Args: noArgs, Example: "  acre task list-runs -r mainreg -n build --run-status Failed -o table",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			all, err := p.runs(ctx, of, task, status, image, top)
			if err != nil {
				return err
			}
			return show(a, all, runRow)
		}),
	}
	of.flags(cmd, "registry", "r")
	f := cmd.Flags()
	f.StringVarP(&task, "name", "n", "", "only those of a task")
	f.StringVar(&status, "run-status", "", "only those that are Canceled, Error, Failed, Queued, Running, Started, Succeeded or Timeout")
	f.StringVarP(&image, "image", "t", "", "only those that made an image, as repository@digest or repository:tag")
	f.IntVar(&top, "top", 15, "how many at most")
	return cmd
}

// runs asks for runs; each text is a condition unless it is empty.
func (p *plane) runs(ctx context.Context, of ofRegistry, task, status, image string, top int) ([]object, error) {
	if top < 1 {
		return nil, fault.New(fault.Invalid, "--top is a number of 1 or more, not %d", top)
	}
	reg, err := p.registryID(ctx, of)
	if err != nil {
		return nil, err
	}
	var terms []string
	for _, t := range []struct{ property, value string }{{"TaskName", task}, {"Status", status}} {
		if t.value != "" {
			terms = append(terms, t.property+" eq "+quoted(t.value))
		}
	}
	if image != "" {
		if image, err = p.manifestOf(ctx, reg, image); err != nil {
			return nil, err
		}
		terms = append(terms, "contains(OutputImageManifests, "+quoted(image)+")")
	}
	query := []string{"$top", strconv.Itoa(top)}
	if len(terms) > 0 {
		query = append(query, "$filter", strings.Join(terms, " and "))
	}
	return p.listOf(ctx, reg+"/runs", taskVersion, query...)
}

// quoted is a text as filters spell it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// manifestOf is repository@digest of an image: of one with a tag the digest is looked up in the registry.
func (p *plane) manifestOf(ctx context.Context, reg, name string) (string, error) {
	img, err := parseImage(name)
	if err != nil || img.ref.Digest != "" {
		return img.String(), err
	}
	c, err := p.app.open(ctx, account{name: lastPart(reg)})
	if err != nil {
		return "", err
	}
	found, err := c.Resolve(ctx, img.repo, img.ref)
	if err != nil {
		return "", fmt.Errorf("find %s in %s: %w", img, c.Host(), err)
	}
	return img.repo + "@" + string(found.Digest), nil
}

func (a *app) runShow() *cobra.Command {
	var of ofRun
	cmd := &cobra.Command{
		Use: "show-run", Short: "Show a run", Args: noArgs, Example: "  acre task show-run -r mainreg --run-id cf1",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			got, err := p.get(ctx, id, taskVersion)
			if err != nil {
				return err
			}
			return showOne(a, got, runRow)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) runCancel() *cobra.Command {
	var of ofRun
	cmd := &cobra.Command{
		Use: "cancel-run", Short: "Cancel a run", Args: noArgs, Example: "  acre task cancel-run -r mainreg --run-id cf1",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			return p.call(ctx, forManagement, http.MethodPost, withVersion(id+"/cancel", taskVersion), nil, nil)
		}),
	}
	of.flags(cmd)
	return cmd
}

func (a *app) runUpdate() *cobra.Command {
	var of ofRun
	var noArchive *bool
	cmd := &cobra.Command{
		Use: "update-run", Short: "Change whether a run's log is kept", Args: noArgs, Example: "  acre task update-run -r mainreg --run-id cf1 --no-archive false",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			body := object{}
			if noArchive != nil {
				body["isArchiveEnabled"] = !*noArchive
			}
			got, err := p.ask(ctx, http.MethodPatch, id, taskVersion, body)
			if err != nil {
				return err
			}
			return showOne(a, got, runRow)
		}),
	}
	of.flags(cmd)
	truthFlag(cmd, &noArchive, "no-archive", "do not keep its log longer than others")
	return cmd
}

func (a *app) runLogs() *cobra.Command {
	var of ofRun
	var task, image string
	cmd := &cobra.Command{
		Use: "logs", Short: "Show where the log of a run is read", Args: noArgs, Example: "  acre task logs -r mainreg --run-id cf1",
		Long: "Show where the log of a run is read: of the one that is named, else of the last one, of a task or an image if wanted.",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			if of.run == "" {
				last, err := p.runs(ctx, of.ofRegistry, task, "", image, 1)
				if err != nil {
					return err
				}
				if len(last) == 0 {
					return fault.New(fault.NotFound, "there is no such run in registry %s: this version of acre runs no tasks", of.registry)
				}
				of.run = text(last[0], "runId")
			}
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			return p.printLog(ctx, id)
		}),
	}
	of.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&task, "name", "n", "", "task whose last run is meant")
	f.StringVarP(&image, "image", "t", "", "image whose last run is meant")
	noFormatFlag(cmd)
	return cmd
}

func (p *plane) printLog(ctx context.Context, run string) error {
	got, err := p.ask(ctx, http.MethodPost, run+"/listLogSasUrl", taskVersion, nil)
	if err != nil {
		return err
	}
	return p.app.print(got)
}

// Flags of az that say how a run is followed. This version follows none: what is printed is the run as it was scheduled.
func noFormatFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("no-format", false, "show the log as it is")
}

func followFlags(cmd *cobra.Command) {
	cmd.Flags().Bool("no-wait", false, "do not wait for the run")
	cmd.Flags().Bool("no-logs", false, "do not show its log")
	noFormatFlag(cmd)
}

// schedule asks a registry for a run and shows it.
func (p *plane) schedule(ctx context.Context, reg string, request object) error {
	got, err := p.ask(ctx, http.MethodPost, reg+"/scheduleRun", taskVersion, request)
	if err != nil {
		return err
	}
	return showOne(p.app, got, runRow)
}

// source is where the server finds a source: what is not on this machine stays as it is, a folder is uploaded. "" is none.
func (p *plane) source(ctx context.Context, reg, at string) (string, error) {
	if at == "" || strings.EqualFold(at, noContext) {
		return "", nil
	}
	info, err := os.Stat(at)
	if err != nil {
		return at, nil
	}
	if !info.IsDir() {
		return "", fault.New(fault.Invalid, "the source %s is a file: give a folder, a Git repository, a tar on the web or an oci:// artifact", at)
	}
	slot, err := p.ask(ctx, http.MethodPost, reg+"/listBuildSourceUploadUrl", taskVersion, nil)
	if err != nil {
		return "", err
	}
	return "", fault.New(fault.Unsupported, "this version of acre cannot upload the folder %s to %s: give a Git repository", at, text(slot, "relativePath"))
}

func (a *app) taskRun() *cobra.Command {
	var of ofTask
	var agentPool, logTemplate, file, source, target, token string
	args, set := valueFlags{fromEnv: true}, valueFlags{}
	cmd := &cobra.Command{
		Use: "run", Short: "Run a task", Args: noArgs, Example: "  acre task run -r mainreg -n build --arg VERSION=2",
		RunE: a.withPlane(func(ctx context.Context, p *plane) error {
			id, err := of.id(ctx, p)
			if err != nil {
				return err
			}
			reg := id[:strings.LastIndex(id, "/tasks/")]
			if source, err = p.source(ctx, reg, source); err != nil {
				return err
			}
			override := given(object{"contextPath": source, "file": file, "target": target})
			override["arguments"], override["values"] = args.objects(a), set.objects(a)
			if token != "" {
				override["updateTriggerToken"] = base64.StdEncoding.EncodeToString([]byte(token))
			}
			request := given(object{"agentPoolName": agentPool, "logTemplate": logTemplate})
			request["type"], request["taskId"], request["overrideTaskStepProperties"] = "TaskRunRequest", id, override
			return p.schedule(ctx, reg, request)
		}),
	}
	of.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&source, "context", "c", "", "source in the place of the task's")
	f.StringVarP(&file, "file", "f", "", "Dockerfile or task file in the place of the task's")
	f.StringVar(&target, "target", "", "stage of the Dockerfile in the place of the task's")
	f.StringArrayVar(&args.plain, "arg", nil, "build argument, as name=value; may repeat")
	f.StringArrayVar(&args.secret, "secret-arg", nil, "build argument that is kept secret; may repeat")
	f.StringArrayVar(&set.plain, "set", nil, "value of the task's template, as name=value; may repeat")
	f.StringArrayVar(&set.secret, "set-secret", nil, "value that is kept secret; may repeat")
	f.StringVar(&token, "update-trigger-token", "", "what is told when a base image changes")
	placeFlags(cmd, &agentPool, &logTemplate)
	followFlags(cmd)
	return cmd
}

func placeFlags(cmd *cobra.Command, agentPool, logTemplate *string) {
	cmd.Flags().StringVar(agentPool, "agent-pool", "", "agent pool to run on")
	cmd.Flags().StringVar(logTemplate, "log-template", "", "repository and tag of the run's log, such as logs:{{.Run.ID}}")
}

// quickRun are the flags of runs without a task.
type quickRun struct {
	of                                                     ofRegistry
	platform, authMode, sourceAuth, agentPool, logTemplate string
	timeout                                                int
}

func (q *quickRun) flags(cmd *cobra.Command) {
	q.of.flags(cmd, "registry", "r")
	f := cmd.Flags()
	f.StringVar(&q.platform, "platform", "", "where it runs: linux or windows, /architecture and /variant if wanted (default linux/amd64)")
	f.IntVar(&q.timeout, "timeout", 0, "seconds after which it ends (default 3600)")
	f.StringVar(&q.authMode, "auth-mode", "", "Default or None: whether it is logged in to the registry")
	f.StringVar(&q.sourceAuth, "source-acr-auth-id", "", "identity to log in to the registry as: [caller] or none")
	placeFlags(cmd, &q.agentPool, &q.logTemplate)
	followFlags(cmd)
}

// request is what every type of request has.
func (q *quickRun) request(ctx context.Context, p *plane, kind, source string) (object, error) {
	if q.sourceAuth != "" && !slices.Contains([]string{"[caller]", "none"}, q.sourceAuth) {
		return nil, fault.New(fault.Invalid, "--source-acr-auth-id is [caller] or none, not %q", q.sourceAuth)
	}
	platform, err := platformOf(q.platform)
	if err != nil {
		return nil, err
	}
	out := given(object{"timeout": q.timeout, "agentPoolName": q.agentPool, "logTemplate": q.logTemplate, "sourceLocation": source})
	out["type"], out["platform"] = kind, platform
	login, err := p.sourceLogin(ctx, q.authMode, q.sourceAuth)
	if login != nil {
		out["credentials"] = object{"sourceRegistry": login}
	}
	return out, err
}

// sourceArg wants a source as the one argument.
func sourceArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fault.New(fault.Invalid, "%s takes one source: a folder, a Git repository, a tar on the web or an oci:// artifact; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

func (a *app) runCommand() *cobra.Command {
	var q quickRun
	var file, command, values string
	var set valueFlags
	cmd := &cobra.Command{
		Use: "run SOURCE", Short: "Run commands in a registry", Args: sourceArg,
		Example: "  acre run -r mainreg --cmd 'mainreg.azurecr.io/hello:v1' /dev/null\n  acre run -r mainreg -f acb.yaml https://github.com/acme/app.git",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlane(func(ctx context.Context, p *plane) error {
				if command != "" && file != "" {
					return fault.New(fault.Invalid, "--cmd and --file exclude each other")
				}
				reg, err := p.registryID(ctx, q.of)
				if err != nil {
					return err
				}
				source, err := p.source(ctx, reg, args[0])
				if err != nil {
					return err
				}
				kind := "FileTaskRunRequest"
				if source == "" {
					kind = "EncodedTaskRunRequest"
				}
				request, err := q.request(ctx, p, kind, source)
				if err != nil {
					return err
				}
				if request["values"] = set.objects(a); source == "" {
					request["encodedTaskContent"], err = a.taskContent(command, file, q.timeout)
				} else {
					request["taskFilePath"] = cmp.Or(file, defaultTaskFile)
				}
				if err != nil {
					return err
				}
				if values != "" {
					request["valuesFilePath"] = values
				}
				return p.schedule(ctx, reg, request)
			})(cmd, args)
		},
	}
	q.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "task file in the source; without a source, here, or - for stdin (default "+defaultTaskFile+")")
	f.StringVar(&command, "cmd", "", "command to run, as an image and its arguments, in place of a file")
	f.StringVar(&values, "values", "", "file with values in the source")
	f.StringArrayVar(&set.plain, "set", nil, "value of the task file, as name=value; may repeat")
	f.StringArrayVar(&set.secret, "set-secret", nil, "value that is kept secret; may repeat")
	return cmd
}
