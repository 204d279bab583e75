package test

import (
	"encoding/json"
	"strings"
	"testing"
)

// taskShown is what az shows of a task, as far as it is looked at.
type taskShown struct {
	Name, Status, ProvisioningState string
	Timeout                         int
	Platform                        struct{ OS, Architecture string }
	Identity                        *struct {
		Type, PrincipalID      string
		UserAssignedIdentities map[string]any
	}
	Step struct {
		Type, ContextPath, ContextAccessToken, DockerFilePath, TaskFilePath, EncodedTaskContent, Target string
		IsPushEnabled                                                                                   bool
		ImageNames                                                                                      []string
		Arguments, Values                                                                               []struct {
			Name, Value string
			IsSecret    bool
		}
	}
	Trigger struct {
		TimerTriggers  []struct{ Name, Schedule, Status string }
		SourceTriggers []struct {
			Name, Status        string
			SourceTriggerEvents []string
			SourceRepository    struct {
				RepositoryURL, Branch       string
				SourceControlAuthProperties *struct{ Token string }
			}
		}
		BaseImageTrigger *struct{ Name, Status string }
	}
}

// what az says where a run is asked for.
const notInThisVersion = "not available in this version"

// Every verb of az acr task, with tasks of all three kinds of steps.
func TestAzTask(t *testing.T) {
	eachAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		task := func(verb string, args ...string) []string {
			return append(append([]string{"acr", "task"}, strings.Fields(verb)...), append([]string{"-r", cloudName}, args...)...)
		}
		var got taskShown
		a.json(&got, task("create", "-n", "hello", "--cmd", "$Registry/hello:v1", "-c", "/dev/null", "--schedule", "noon:0 12 * * Mon-Fri", "--schedule", "0 1 * * *",
			"--set", "a=b", "--set-secret", "key=top-secret", "--timeout", "900")...)
		if got.Name != "hello" || got.Status != "Enabled" || got.ProvisioningState != "Succeeded" || got.Timeout != 900 || got.Step.Type != "EncodedTask" ||
			got.Platform.OS != "Linux" || len(got.Trigger.TimerTriggers) != 2 || got.Trigger.TimerTriggers[1].Name != "t2" || got.Step.Values[1].Value != "" ||
			got.Trigger.BaseImageTrigger == nil || got.Trigger.BaseImageTrigger.Status != "Enabled" {
			t.Errorf("created: %+v", got)
		}
		a.json(&got, task("show", "-n", "hello", "--with-secure-properties")...)
		if got.Step.Values[1].Value != "top-secret" {
			t.Errorf("with its secrets: %+v", got.Step.Values)
		}
		a.do(task("create", "-n", "build", "-t", "app:{{.Run.ID}}", "-f", "Dockerfile", "-c", "https://github.com/acme/app.git#main", "--git-access-token", "git-secret",
			"--arg", "VERSION=1", "--secret-arg", "KEY=arg-secret", "--pull-request-trigger-enabled", "true", "--platform", "linux/arm64/v8")...)
		a.do(task("create", "-n", "steps", "-f", "acb.yaml", "-c", "https://github.com/acme/app.git", "--commit-trigger-enabled", "false", "--base-image-trigger-enabled", "false")...)
		a.do(task("create", "-n", "quicktask", "--is-system-task", "--log-template", "logs:{{.Run.ID}}")...)
		if names := a.do(task("list", "--query", "[].name", "-o", "tsv")...); names != "build\nhello\nquicktask\nsteps" {
			t.Errorf("listed: %q", names)
		}
		table := a.do(task("list", "-o", "table")...)
		if !strings.Contains(table, "BASE_IMAGE, SOURCE") || !strings.Contains(table, "https://github.com/acme/app.git#main") || strings.Contains(table, "secret") {
			t.Errorf("the table: %s", table)
		}
		a.taskChanges(task)
		a.taskRefusals(task)
		for _, name := range []string{"build", "hello", "quicktask", "steps"} {
			a.do(task("delete", "-n", name, "--yes")...)
		}
		if out := a.refused(task("show", "-n", "hello")...); !strings.Contains(out, "ResourceNotFound") {
			t.Errorf("shown after it was deleted: %s", out)
		}
	})
}

// taskChanges changes tasks in every way that az has.
func (a az) taskChanges(task func(verb string, args ...string) []string) {
	a.t.Helper()
	read := func(name string) (got taskShown) {
		a.json(&got, task("show", "-n", name, "--with-secure-properties")...)
		return got
	}
	if a.oldest { // the newest cannot update a task with a source trigger: it sends its events as something that JSON does not have
		a.do(task("update", "-n", "build", "--status", "Disabled", "--target", "final", "--commit-trigger-enabled", "false", "--timeout", "1200")...)
	} else {
		a.do("rest", "--method", "patch", "--url", cloudID+"/tasks/build?api-version=2025-03-01-preview", "--body", `{"properties":{"status":"Disabled","timeout":1200,
			"step":{"type":"Docker","target":"final"},"trigger":{"sourceTriggers":[{"name":"defaultSourceTriggerName","sourceTriggerEvents":["pullrequest"]}]}}}`)
	}
	got := read("build")
	if got.Status != "Disabled" || got.Timeout != 1200 || got.Step.Target != "final" || got.Step.ContextAccessToken != "git-secret" || len(got.Step.Arguments) != 2 ||
		got.Step.Arguments[1].Value != "arg-secret" || strings.Join(got.Trigger.SourceTriggers[0].SourceTriggerEvents, " ") != "pullrequest" ||
		got.Trigger.SourceTriggers[0].SourceRepository.SourceControlAuthProperties.Token != "git-secret" || got.Platform.Architecture != "arm64" {
		a.t.Errorf("updated: %+v", got)
	}
	a.do(task("update", "-n", "steps", "--timeout", "1800", "--set", "c=d", "--cpu", "4")...)
	if got := read("steps"); got.Timeout != 1800 || got.Step.TaskFilePath != "acb.yaml" || len(got.Step.Values) != 1 || got.Step.Values[0].Value != "d" {
		a.t.Errorf("updated: %+v", got)
	}

	a.do(task("timer add", "-n", "hello", "--timer-name", "night", "--schedule", "0 0 * * *", "--enabled", "false")...)
	a.do(task("timer update", "-n", "hello", "--timer-name", "noon", "--enabled", "false")...)
	a.do(task("timer remove", "-n", "hello", "--timer-name", "t2")...)
	if timers := a.do(task("timer list", "-n", "hello", "--query", "[].[name,status]", "-o", "tsv")...); timers != "noon\tDisabled\nnight\tDisabled" {
		a.t.Errorf("timers: %q", timers)
	}
	if got := read("hello"); got.Step.Values[1].Value != "top-secret" {
		a.t.Errorf("a timer took a secret along: %+v", got.Step)
	}

	a.do(task("credential add", "-n", "hello", "--login-server", "other.example", "-u", "robot", "-p", "custom-secret")...)
	a.do(task("credential add", "-n", "hello", "--login-server", "third.example", "-u", "robot", "-p", "more")...)
	a.do(task("credential update", "-n", "hello", "--login-server", "third.example", "-u", "other", "-p", "changed")...)
	var logins map[string]struct{ UserName, Password struct{ Value string } }
	a.json(&logins, task("credential list", "-n", "hello")...)
	if len(logins) != 2 || logins["third.example"].UserName.Value != "other" || logins["third.example"].Password.Value != "changed" || logins["other.example"].Password.Value != "custom-secret" {
		a.t.Errorf("logins: %+v", logins)
	}
	if out := a.do(task("credential remove", "-n", "hello", "--login-server", "third.example")...); strings.Contains(out, "third.example") {
		a.t.Errorf("after it was removed: %s", out)
	}

	user := a.do("identity", "create", "-g", "acre", "-n", "builder", "--query", "id", "-o", "tsv")
	a.do(task("identity assign", "-n", "hello", "--identities", "[system]", user)...)
	if got := read("hello"); got.Identity == nil || got.Identity.Type != "SystemAssigned, UserAssigned" || len(got.Identity.UserAssignedIdentities) != 1 ||
		a.do("ad", "sp", "show", "--id", got.Identity.PrincipalID, "--query", "displayName", "-o", "tsv") == "" {
		a.t.Errorf("assigned: %+v", got.Identity)
	}
	a.do(task("credential add", "-n", "hello", "--login-server", "fourth.example", "--use-identity", "[system]")...)
	a.do(task("credential remove", "-n", "hello", "--login-server", "fourth.example")...)
	if a.oldest {
		return // it cannot take an identity away: it asks itself for a model that it does not have
	}
	a.do(task("identity remove", "-n", "hello", "--identities", "[system]")...)
	var identity struct {
		Type                   string
		UserAssignedIdentities map[string]any
	}
	if a.json(&identity, task("identity show", "-n", "hello")...); identity.Type != "UserAssigned" || len(identity.UserAssignedIdentities) != 1 {
		a.t.Errorf("without its own: %+v", identity)
	}
	a.do(task("identity remove", "-n", "hello", "--identities", user)...)
	if out := a.do(task("identity show", "-n", "hello", "-o", "json")...); strings.Contains(out, "builder") {
		a.t.Errorf("without any: %s", out)
	}
}

// taskRefusals asks for what is not right, and for what this version does not do.
func (a az) taskRefusals(task func(verb string, args ...string) []string) {
	a.t.Helper()
	source := a.path("source")
	a.write("source/Dockerfile", "FROM scratch\n")
	a.write("source/acb.yaml", "steps: []\n")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{task("create", "-n", "bad-one", "--cmd", "x", "-c", "/dev/null", "--schedule", "0 12 * * 7"), "is no day of the week"},
		{task("create", "-n", "bad-one", "--cmd", "x", "-c", "/dev/null", "--timeout", "10"), "300"},
		{task("create", "-n", "bad-one", "--cmd", "x", "-c", "/dev/null", "--agent-pool", "nowhere"), "does not exist in registry"},
		{task("update", "-n", "nowhere", "--status", "Disabled"), "ResourceNotFound"},
		{task("run", "-n", "build"), "is disabled"},
		{task("run", "-n", "hello"), notInThisVersion},
		{task("run", "-n", "nowhere"), "not found"},
		{task("logs"), "Could not find the last created run"},
		{task("logs", "--run-id", "cf1"), "cf1"},
		{task("show-run", "--run-id", "cf1"), "not found"},
		{task("cancel-run", "--run-id", "cf1"), "not found"},
		{task("update-run", "--run-id", "cf1", "--no-archive", "false"), "not found"},
		{[]string{"acr", "build", "-r", cloudName, "-t", "app:v1", source}, notInThisVersion},
		{[]string{"acr", "run", "-r", cloudName, "--cmd", "$Registry/hello:v1", "/dev/null"}, notInThisVersion},
		{[]string{"acr", "run", "-r", cloudName, source}, notInThisVersion},
		{[]string{"acr", "pack", "build", "-r", cloudName, "-t", "app:v1", "--builder", "paketobuildpacks/builder:base", source}, notInThisVersion},
	} {
		if out := a.refused(tt.args...); !strings.Contains(out, tt.want) {
			a.t.Errorf("az %s says %s, want %q", strings.Join(tt.args, " "), out, tt.want)
		}
	}
	if runs := a.do(task("list-runs", "-n", "hello", "--run-status", "Succeeded", "-o", "json")...); runs != "[]" {
		a.t.Errorf("runs: %s", runs)
	}
}

// Agent pools and task runs, with az and by what templates send.
func TestAzAgentPool(t *testing.T) {
	newestAz(t, func(t *testing.T, c *cloud, a az) {
		a = a.asOwner()
		pool := func(verb string, args ...string) []string {
			return append([]string{"acr", "agentpool", verb, "-r", cloudName}, args...)
		}
		var got struct {
			Name, Tier, ProvisioningState string
			Count                         int
		}
		if a.json(&got, pool("create", "-n", "builders", "--tier", "s2", "--count", "2")...); got.Name != "builders" || got.Tier != "S2" || got.Count != 2 || got.ProvisioningState != "Succeeded" {
			t.Errorf("created: %+v", got)
		}
		if a.json(&got, pool("update", "-n", "builders", "--count", "3")...); got.Count != 3 {
			t.Errorf("updated: %+v", got)
		}
		if out := a.refused(pool("update", "-n", "builders", "--count", "5")...); !strings.Contains(out, "QuotaExceeded") {
			t.Errorf("five machines of four processors: %s", out)
		}
		if out := a.do(pool("show", "-n", "builders", "--queue-count", "--query", "count", "-o", "tsv")...); out != "0" {
			t.Errorf("the queue: %s", out)
		}
		if out := a.do(pool("list", "-o", "table")...); !strings.Contains(out, "builders") {
			t.Errorf("the table: %s", out)
		}
		a.do(pool("delete", "-n", "builders", "--yes")...) // az waits half a minute before it looks again
		if out := a.refused(pool("show", "-n", "builders")...); !strings.Contains(out, "ResourceNotFound") {
			t.Errorf("shown after it was deleted: %s", out)
		}

		run := cloudID + "/taskRuns/release"
		body, err := json.Marshal(map[string]any{"properties": map[string]any{"forceUpdateTag": "1", "runRequest": map[string]any{
			"type": "DockerBuildRequest", "dockerFilePath": "Dockerfile", "platform": map[string]any{"os": "Linux"}, "sourceLocation": "https://github.com/acme/app.git",
		}}})
		if err != nil {
			t.Fatal(err)
		}
		a.do("rest", "--method", "put", "--url", run+"?api-version=2025-03-01-preview", "--body", string(body))
		runs := func(verb string, args ...string) []string {
			return append([]string{"acr", "taskrun", verb, "-r", cloudName}, args...)
		}
		if state := a.do(runs("show", "-n", "release", "--query", "provisioningState", "-o", "tsv")...); state != "Failed" {
			t.Errorf("a run that nothing executes is %s", state)
		}
		if names := a.do(runs("list", "--query", "[].name", "-o", "tsv")...); names != "release" {
			t.Errorf("listed: %s", names)
		}
		a.do(runs("delete", "-n", "release", "--yes")...)
		a.refused(runs("show", "-n", "release")...)
	})
}

// acre task, agentpool, taskrun, build, run and pack do what az's verbs of these names do.
func TestTaskCommands(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	s := c.cli(t)
	acre := func(want string, args ...string) {
		t.Helper()
		if got := s.run(c.acre, append(args, "-r", cloudName)...); !strings.Contains(got, want) {
			t.Errorf("acre %s: %s, want %q", strings.Join(args, " "), got, want)
		}
	}
	acre("BASE_IMAGE, TIMER", "task", "create", "-n", "hello", "--cmd", "app:v1 echo it's", "-c", "/dev/null", "--schedule", "noon:0 12 * * *", "--schedule", "0 1 * * Mon",
		"--set-secret", "key=top-secret", "--assign-identity", "-o", "table")
	acre("BASE_IMAGE, SOURCE", "task", "create", "-n", "build", "-t", "app:{{.Run.ID}}", "-f", "Dockerfile", "-c", "https://github.com/acme/app.git#main",
		"--git-access-token", "git-secret", "--secret-arg", "KEY=arg-secret", "-o", "table")
	acre(`"top-secret"`, "task", "show", "-n", "hello", "--with-secure-properties", "--query", "step.values[0].value")
	acre(`["Disabled","Disabled",2,true]`, "task", "update", "-n", "build", "--status", "Disabled", "--commit-trigger-enabled", "false", "--cpu", "2", "--no-cache",
		"--secret-arg", "KEY=arg-secret", "--query", `to_string([status,trigger.sourceTriggers[0].status,agentConfiguration.cpu,step.noCache])`, "-o", "tsv")
	acre("night", "task", "timer", "add", "-n", "hello", "--timer-name", "night", "--schedule", "0 0 * * *", "--query", "trigger.timerTriggers[].name", "-o", "tsv")
	acre("Disabled", "task", "timer", "update", "-n", "hello", "--timer-name", "night", "--enabled", "false", "--query", "trigger.timerTriggers[2].status", "-o", "tsv")
	acre("night", "task", "timer", "remove", "-n", "hello", "--timer-name", "t2", "--query", "trigger.timerTriggers[1].name", "-o", "tsv")
	acre("Schedule", "task", "timer", "list", "-n", "hello", "-o", "table")
	acre("robot", "task", "credential", "add", "-n", "hello", "--login-server", "x.example", "-u", "robot", "-p", "custom-secret")
	acre("custom-secret", "task", "credential", "list", "-n", "hello")
	acre("[system]", "task", "credential", "update", "-n", "hello", "--login-server", "x.example", "--use-identity", "[system]")
	acre("{}", "task", "credential", "remove", "-n", "hello", "--login-server", "x.example")
	user := s.run(c.acre, "identity", "create", "-n", "builder", "--query", "id", "-o", "tsv")
	acre("hello", "task", "identity", "assign", "-n", "hello", "--identities", user, "-o", "table")
	acre("SystemAssigned, UserAssigned", "task", "identity", "show", "-n", "hello", "-o", "table")
	acre("hello", "task", "identity", "remove", "-n", "hello", "-o", "table")
	acre("UserAssigned", "task", "identity", "show", "-n", "hello", "--query", "type", "-o", "tsv")
	acre("hello", "task", "identity", "remove", "-n", "hello", "--identities", "[all]", "-o", "table")
	acre("{}", "task", "identity", "show", "-n", "hello")
	acre("[]", "task", "list-runs", "-n", "hello", "--run-status", "Failed")
	acre("S2", "agentpool", "create", "-n", "pool1", "--tier", "s2", "-c", "2", "-o", "table")
	acre("0", "agentpool", "update", "-n", "pool1", "-c", "0", "--query", "count", "-o", "tsv")
	acre("0", "agentpool", "show", "-n", "pool1", "--queue-count", "--query", "count", "-o", "tsv")
	acre("", "agentpool", "delete", "-n", "pool1", "--yes")
	acre("[]", "agentpool", "list")
	acre("[]", "taskrun", "list")
	for want, args := range map[string]string{
		"is disabled":                 "task run -n build",
		"The run is not scheduled":    "task run -n hello",
		"runs no tasks":               "task logs",
		"runs/cf1' was not found":     "task show-run --run-id cf1",
		"runs/cf2' was not found":     "task cancel-run --run-id cf2",
		"runs/cf3' was not found":     "task update-run --run-id cf3 --no-archive false",
		"runs/cf4' was not found":     "task logs --run-id cf4",
		notInThisVersion:              "build -t app:v1 https://github.com/acme/app.git",
		"The source cannot":           "build -t app:v1 .",
		"tasks is not available":      "run --cmd app:v1 /dev/null",
		"running tasks":               "pack build -t app:v1 -b builder https://github.com/acme/app.git",
		"taskRuns/release' was not":   "taskrun logs -n release",
		"exclude each other":          "task create -n other -c /dev/null --cmd x -f y",
		"needs --git-access-token":    "task create -n other -c https://github.com/acme/app.git -f Dockerfile",
		"is no day of the week":       "task create -n other -c /dev/null --cmd x --schedule 0\x000\x00*\x00*\x007",
		"--platform \"linux/\" is no": "task create -n other -c /dev/null --cmd x --platform linux/",
	} {
		words := strings.Fields(args)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "\x00", " ")
		}
		if out := s.fails(c.acre, append(words, "-r", cloudName)...); !strings.Contains(out, want) {
			t.Errorf("acre %s says %s, want %q", args, out, want)
		}
	}
	acre("", "task", "delete", "-n", "hello", "--yes")
	acre("build", "task", "list", "--query", "[].name", "-o", "tsv")
}
