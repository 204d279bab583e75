package controlplane_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
	"github.com/acre-registry/acre/internal/meta"
)

const taskVersion = "?api-version=2025-03-01-preview"

// located is the body of what has a location.
func located(p object) object { return object{"location": "East US", "properties": p} }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// dockerTask is a task with every part.
func dockerTask() object {
	return located(object{
		"status": "enabled", "platform": object{"os": "linux", "architecture": "AMD64"}, "agentConfiguration": object{"cpu": "2"}, "timeout": 600,
		"step": object{
			"type": "docker", "contextPath": "https://github.com/acme/app.git#main", "contextAccessToken": "git-secret", "dockerFilePath": "Dockerfile",
			"imageNames":            []string{"app:{{.Run.ID}}"},
			"arguments":             []object{{"type": "Argument", "name": "VERSION", "value": "1"}, {"name": "KEY", "value": "arg-secret", "isSecret": true}},
			"baseImageDependencies": []object{{"type": "RunTime"}},
		},
		"trigger": object{
			"timerTriggers": []object{{"name": "noon", "schedule": "0 12 * * Mon-Fri"}},
			"sourceTriggers": []object{{
				"name": "source", "sourceTriggerEvents": []string{"commit"},
				"sourceRepository": object{
					"sourceControlType": "Github", "repositoryUrl": "https://github.com/acme/app.git#main", "branch": "main",
					"sourceControlAuthProperties": object{"tokenType": "pat", "token": "source-secret", "scope": "repo"},
				},
			}},
			"baseImageTrigger": object{
				"name": "base", "baseImageTriggerType": "runtime", "updateTriggerEndpoint": "https://user:endpoint-secret@hook.example/run",
				"updateTriggerPayloadType": "token",
			},
		},
		"credentials": object{
			"sourceRegistry": object{"loginMode": "Default"},
			"customRegistries": object{"other.azurecr.io": object{
				"userName": object{"type": "Opaque", "value": "robot"}, "password": object{"type": "Opaque", "value": "custom-secret"},
			}},
		},
	})
}

// The shape of tasks.
func TestWireTask(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		s.want(201, "PUT", scopeR+"MyReg", premium(nil))
		at := scopeR + "myreg/tasks/"
		one := at + "Build_app" + taskVersion
		r.run("GET", one, nil)
		r.run("PUT", one, dockerTask())
		s.advance(time.Minute)
		r.run("PATCH", one, properties(object{
			"status": "Disabled",
			"step":   object{"type": "Docker", "target": "final", "arguments": []object{}},
			"trigger": object{
				"timerTriggers":  []object{{"name": "NOON", "status": "Disabled"}, {"name": "night", "schedule": "0 0 * * *"}},
				"sourceTriggers": []object{{"name": "source", "sourceTriggerEvents": []string{"commit", "pullrequest"}}},
			},
			"credentials": object{"customRegistries": object{"OTHER.azurecr.io": nil}},
		}))
		r.run("POST", at+"build_app/listDetails"+taskVersion, nil)
		r.run("PUT", at+"file-task"+taskVersion, located(object{
			"platform": object{"os": "Linux"}, "step": object{
				"type": "FileTask", "taskFilePath": "acb.yaml", "contextPath": "https://github.com/acme/app.git",
				"values": []object{{"name": "a", "value": "b", "isSecret": false}},
			},
		}))
		r.run("PUT", at+"hello"+taskVersion, object{
			"location": "eastus", "identity": object{"type": "SystemAssigned"}, "tags": object{"team": "a"},
			"properties": object{"platform": object{"os": "Linux"}, "step": object{"type": "EncodedTask", "encodedTaskContent": encoded("steps: []")}},
		})
		r.run("PUT", at+"quicktask"+taskVersion, located(object{"isSystemTask": true, "logTemplate": "logs:{{.Run.ID}}"}))
		r.run("GET", scopeR+"myreg/tasks"+taskVersion, nil)
		r.run("DELETE", one, nil)
		r.run("DELETE", one, nil)
		r.run("DELETE", at+"hello?api-version=2019-06-01-preview", nil)
		r.compare("task")
	})
}

// The shape of runs and of what asks for them.
func TestWireRun(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		reg := scopeR + "MyReg"
		s.want(201, "PUT", reg, premium(nil))
		r.run("GET", reg+"/runs"+taskVersion, nil)
		s.keepRuns()
		r.run("GET", reg+"/runs"+taskVersion+"&$top=2", nil)
		r.run("GET", reg+"/runs/cf1"+taskVersion, nil)
		r.run("PATCH", reg+"/runs/cf1"+taskVersion, object{"isArchiveEnabled": true})
		r.run("POST", reg+"/runs/cf3/cancel"+taskVersion, nil)
		r.run("POST", reg+"/runs/cf3/cancel"+taskVersion, nil)
		r.run("GET", reg+"/runs/cf3"+taskVersion, nil)
		r.run("POST", reg+"/runs/cf1/listLogSasUrl"+taskVersion, nil)
		r.run("GET", reg+"/runs/none"+taskVersion, nil)
		r.run("PUT", reg+"/runs/cf9"+taskVersion, object{})
		r.run("DELETE", reg+"/runs/cf1"+taskVersion, nil)
		r.run("POST", reg+"/listBuildSourceUploadUrl"+taskVersion, nil)
		r.run("POST", reg+"/scheduleRun"+taskVersion, object{
			"type": "DockerBuildRequest", "dockerFilePath": "Dockerfile", "platform": object{"os": "linux"}, "sourceLocation": "https://github.com/acme/app.git",
		})
		r.compare("run")
	})
}

// keepRuns writes runs as what executes them will.
func (s *server) keepRuns() {
	s.Helper()
	id := arm.Registry(subscription, "acre", "myreg")
	began := s.now()
	for _, run := range []acr.Run{
		{
			ID: "cf1", Status: acr.RunSucceeded, Type: "AutoBuild", Task: "build", Platform: &acr.Platform{OS: acr.Linux, Architecture: "amd64"}, AgentPool: "pool1",
			CreatedAt: began, StartedAt: began.Add(time.Second), FinishedAt: began.Add(time.Minute), UpdatedAt: began.Add(time.Minute),
			Images: []acr.RunImage{{Registry: "myreg.acre.localhost", Repository: "app", Tag: "v1", Digest: "sha256:" + strings.Repeat("a", 64)}},
		},
		{ID: "cf2", Status: acr.RunFailed, Type: "QuickBuild", CreatedAt: began.Add(time.Hour), FinishedAt: began.Add(2 * time.Hour), UpdatedAt: began, Error: "it failed", ArchiveEnabled: true},
		{ID: "cf3", Status: acr.RunQueued, Type: "QuickRun", CreatedAt: began.Add(3 * time.Hour), UpdatedAt: began},
	} {
		s.ok(s.db.Update(s.Context(), func(tx *meta.Tx) error { return meta.Put(tx, id.Child("runs", run.ID), run, 0) }))
	}
}

// The shape of task runs: one that is made fails, as nothing runs it, and stays.
func TestWireTaskRun(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		reg := scopeR + "MyReg"
		s.want(201, "PUT", reg, premium(nil))
		one := reg + "/taskRuns/release" + taskVersion
		body := object{"properties": object{"forceUpdateTag": "1", "runRequest": object{
			"type": "FileTaskRunRequest", "taskFilePath": "acb.yaml", "platform": object{"os": "Linux"}, "sourceLocation": "https://github.com/acme/app.git",
			"values": []object{{"name": "key", "value": "run-secret", "isSecret": true}},
		}}}
		r.run("PUT", one, body)
		poll := s.path(s.do("PUT", one, merged(body, "forceUpdateTag", "2")).header.Get("Azure-AsyncOperation"))
		s.work()
		r.run("GET", poll, nil)
		r.run("GET", one, nil)
		r.run("PUT", one, merged(body, "forceUpdateTag", "2")) // the same once more is not another run
		r.run("POST", reg+"/taskRuns/RELEASE/listDetails"+taskVersion, nil)
		r.run("PATCH", one, object{"tags": object{"a": "b"}})
		r.run("GET", reg+"/taskRuns"+taskVersion, nil)
		r.run("DELETE", one, nil)
		r.run("DELETE", one, nil)
		r.compare("taskrun")
	})
}

// merged is a body with another property.
func merged(body object, name string, value any) object {
	out := object{name: value}
	for k, v := range body["properties"].(object) {
		if k != name {
			out[k] = v
		}
	}
	return object{"properties": out}
}

// The shape of agent pools: one that is deleted is still found for a while, as az wants it.
func TestWireAgentPool(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		r := &transcript{server: s}
		reg := scopeR + "MyReg"
		s.want(201, "PUT", reg, premium(nil))
		one := reg + "/agentPools/Builders" + taskVersion
		r.run("PUT", one, located(object{"count": 2, "tier": "s2", "os": "linux"}))
		r.run("PATCH", one, object{"tags": object{"a": "b"}, "properties": object{"count": 0}})
		r.run("POST", reg+"/agentPools/builders/listQueueStatus"+taskVersion, nil)
		r.run("GET", reg+"/agentPools"+taskVersion, nil)
		gone := s.do("DELETE", one, nil)
		if gone.status != http.StatusAccepted {
			t.Fatalf("DELETE: %+v", gone)
		}
		r.run("GET", one, nil)
		r.run("PATCH", one, properties(object{"count": 1}))
		s.refused(409, "ResourceInUse", "is being deleted", "PUT", reg+"/tasks/toolate", encodedTask(object{"agentPoolName": "builders"}))
		s.work()
		r.run("GET", s.path(gone.header.Get("Location")), nil)
		r.run("GET", one, nil)
		r.run("DELETE", one, nil)
		r.compare("agentpool")
	})
}

// What a task must not be is refused, and says what is wrong.
func TestTaskRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"myreg", premium(nil))
		s.want(201, "PUT", scopeR+"other1", premium(nil))
		s.want(201, "PUT", scopeR+"myreg/agentPools/pool1", located(object{"count": 1}))
		s.want(200, "PUT", scopeR+"myreg/tasks/usespool", encodedTask(object{"agentPoolName": "pool1"}))
		s.want(200, "PUT", scopeR+"myreg/tasks/disabled", encodedTask(object{"status": "Disabled"}))
		s.want(200, "PUT", scopeR+"myreg/tasks/quicktask", object{"location": "local", "properties": object{"isSystemTask": true}})
		long := strings.Repeat("A", 2<<20)
		timer := func(list ...object) object { return object{"trigger": object{"timerTriggers": list}} }
		source := func(o object) object {
			body := object{"name": "s", "sourceTriggerEvents": []string{"commit"}, "sourceRepository": object{"sourceControlType": "Github", "repositoryUrl": "https://github.com/acme/app.git"}}
			for k, v := range o {
				body[k] = v
			}
			return object{"trigger": object{"sourceTriggers": []object{body}}}
		}
		login := func(host string, o object) object {
			return object{"credentials": object{"customRegistries": object{host: o}}}
		}
		secret := func(kind, value string) object { return object{"type": kind, "value": value} }
		for _, tt := range []struct {
			name  string
			words string
			body  any
		}{
			{"x", "5 to 50 letters", encodedTask(nil)},
			{"no.dots", "5 to 50 letters", encodedTask(nil)},
			{"task1", "give it a step", located(object{"platform": object{"os": "Linux"}})},
			{"task1", "step.type", encodedTask(object{"step": object{"type": "Helm"}})},
			{"task1", "step.dockerFilePath is required", encodedTask(object{"step": object{"type": "Docker"}})},
			{"task1", "step.taskFilePath is required", encodedTask(object{"step": object{"type": "FileTask"}})},
			{"task1", "step.encodedTaskContent is required", encodedTask(object{"step": object{"type": "EncodedTask"}})},
			{"task1", "is not base64", encodedTask(object{"step": object{"type": "EncodedTask", "encodedTaskContent": "steps: []"}})},
			{"task1", "1048576 are allowed", encodedTask(object{"step": object{"type": "EncodedTask", "encodedTaskContent": long}})},
			{"task1", "32768 are allowed", encodedTask(object{"step": object{"type": "Docker", "dockerFilePath": "x", "contextAccessToken": long}})},
			{"task1", "is no name", encodedTask(object{"step": object{"type": "Docker", "dockerFilePath": "x", "arguments": []object{{"name": "a=b"}}}})},
			{"task1", "names no image", encodedTask(object{"step": object{"type": "Docker", "dockerFilePath": "x", "imageNames": []string{""}}})},
			{"task1", "is sent as a string", encodedTask(object{"step": object{"type": "Docker", "dockerFilePath": "x", "contextAccessToken": object{"ref": "x"}}})},
			{"task1", "an object where a string", encodedTask(object{"step": object{"type": "Docker", "dockerFilePath": "x", "arguments": []object{{"name": "a", "value": object{"ref": "x"}}}}})},
			{"task1", "an object where a string", encodedTask(object{"credentials": object{"customRegistries": object{"a.example": object{
				"userName": object{"value": object{"ref": "x"}}, "password": object{"value": "y"}}}}})},
			{"task1", "give it a platform", encodedTask(object{"platform": nil})},
			{"task1", "platform.os", encodedTask(object{"platform": object{"os": "BSD"}})},
			{"task1", "platform.architecture", encodedTask(object{"platform": object{"os": "Linux", "architecture": "riscv"}})},
			{"task1", "Windows runs on amd64", encodedTask(object{"platform": object{"os": "Windows", "architecture": "arm64"}})},
			{"task1", "has no variant", encodedTask(object{"platform": object{"os": "Linux", "architecture": "amd64", "variant": "v8"}})},
			{"task1", "platform.variant of arm", encodedTask(object{"platform": object{"os": "Linux", "architecture": "arm", "variant": "v8"}})},
			{"task1", "between 300 and 28800", encodedTask(object{"timeout": 299})},
			{"task1", "between 300 and 28800", encodedTask(object{"timeout": 28801})},
			{"task1", "between 1 and 64", encodedTask(object{"agentConfiguration": object{"cpu": 65}})},
			{"task1", "status", encodedTask(object{"status": "Paused"})},
			{"task1", "does not exist in registry", encodedTask(object{"agentPoolName": "nowhere"})},
			{"task1", "is named quicktask", encodedTask(object{"isSystemTask": true})},
			{"quicktask", "is named quicktask", encodedTask(nil)},
			{"quicktask", "has no step", encodedTask(object{"isSystemTask": true})},
			{"task1", "does not have five fields", encodedTask(timer(object{"name": "t", "schedule": "@daily"}))},
			{"task1", "is no day of the week", encodedTask(timer(object{"name": "t", "schedule": "0 0 * * 7"}))},
			{"task1", "two triggers of the name", encodedTask(timer(object{"name": "t", "schedule": "0 0 * * *"}, object{"name": "T", "schedule": "0 1 * * *"}))},
			{"task1", "trigger name", encodedTask(timer(object{"schedule": "0 0 * * *"}))},
			{"task1", "sourceTriggerEvents", encodedTask(source(object{"sourceTriggerEvents": []string{}}))},
			{"task1", "event", encodedTask(source(object{"sourceTriggerEvents": []string{"tag"}}))},
			{"task1", "sourceControlType", encodedTask(source(object{"sourceRepository": object{"sourceControlType": "GitLab", "repositoryUrl": "https://x.example"}}))},
			{"task1", "repositoryUrl", encodedTask(source(object{"sourceRepository": object{"sourceControlType": "Github", "repositoryUrl": "git@github.com:a/b"}}))},
			{"task1", "token is required", encodedTask(source(object{"sourceRepository": object{"sourceControlType": "Github", "repositoryUrl": "https://x.example",
				"sourceControlAuthProperties": object{"tokenType": "PAT"}}}))},
			{"task1", "baseImageTriggerType", encodedTask(object{"trigger": object{"baseImageTrigger": object{"name": "b"}}})},
			{"task1", "updateTriggerEndpoint", encodedTask(object{"trigger": object{"baseImageTrigger": object{"name": "b", "baseImageTriggerType": "All", "updateTriggerEndpoint": "ftp://x"}}})},
			{"task1", "is no login server", encodedTask(login("https://x.example", object{"identity": "system"}))},
			{"task1", "both a userName and a password", encodedTask(login("x.example", object{"userName": secret("Opaque", "u")}))},
			{"task1", "are empty", encodedTask(login("x.example", object{}))},
			{"task1", "which the task does not have", encodedTask(login("x.example", object{"identity": "[system]"}))},
			{"task1", "which the task does not have", encodedTask(object{"credentials": object{"sourceRegistry": object{"identity": "0000ac4e-0000-4000-8000-00000000000a"}}})},
			{"task1", "for runs without a task", encodedTask(object{"credentials": object{"sourceRegistry": object{"identity": "[caller]"}}})},
			{"task1", "loginMode", encodedTask(object{"credentials": object{"sourceRegistry": object{"loginMode": "Basic"}}})},
			{"task1", "secret in a vault", encodedTask(login("x.example", object{"userName": secret("Vaultsecret", "u"), "password": secret("Opaque", "p")}))},
			{"task1", "needs an identity", encodedTask(login("x.example", object{"userName": secret("Vaultsecret", "https://v.vault.azure.net/secrets/u"), "password": secret("Opaque", "p")}))},
		} {
			s.refused(400, "BadRequest", tt.words, "PUT", scopeR+"myreg/tasks/"+tt.name, tt.body)
		}
		for _, tt := range []struct {
			status             int
			code, words        string
			method, path, body string
		}{
			{400, "LocationRequired", "", "PUT", "tasks/task1", `{"properties":{}}`},
			{400, "InvalidRequestContent", "could not be deserialized", "PUT", "tasks/task1", `{"location":"local","properties":{"timeout":"soon"}}`},
			{400, "InvalidRequestContent", "could not be deserialized", "PUT", "tasks/task1", `{"location":"local","properties":[]}`},
			{400, "InvalidRequestContent", "could not be deserialized", "PATCH", "tasks/disabled", `{"properties":{"trigger":{"timerTriggers":"x"}}}`},
			{400, "InvalidRequestContent", "could not be deserialized", "PATCH", "tasks/disabled", `{"properties":{"credentials":{"customRegistries":[]}}}`},
			{400, "BadRequest", "step.type is required", "PATCH", "tasks/disabled", `{"properties":{"step":{"target":"x"}}}`},
			{409, "InvalidResourceLocation", "", "PUT", "tasks/disabled", `{"location":"westus","properties":{}}`},
			{404, "ResourceNotFound", "", "PATCH", "tasks/nowhere", `{}`},
			{404, "ResourceNotFound", "", "POST", "tasks/nowhere/listDetails", ``},
			{400, "BadRequest", "give the request a type", "POST", "scheduleRun", `{}`},
			{400, "BadRequest", "type", "POST", "scheduleRun", `{"type":"HelmRequest"}`},
			{400, "BadRequest", "sourceLocation is required", "POST", "scheduleRun", `{"type":"DockerBuildRequest","dockerFilePath":"x","platform":{"os":"Linux"}}`},
			{400, "BadRequest", "step.dockerFilePath is required", "POST", "scheduleRun", `{"type":"DockerBuildRequest","platform":{"os":"Linux"},"sourceLocation":"x"}`},
			{400, "BadRequest", "step.taskFilePath is required", "POST", "scheduleRun", `{"type":"FileTaskRunRequest","platform":{"os":"Linux"},"sourceLocation":"x"}`},
			{400, "BadRequest", "give it a platform", "POST", "scheduleRun", `{"type":"EncodedTaskRunRequest","encodedTaskContent":"eA=="}`},
			{400, "BadRequest", "between 300 and 28800", "POST", "scheduleRun", `{"type":"EncodedTaskRunRequest","encodedTaskContent":"eA==","platform":{"os":"Linux"},"timeout":1}`},
			{400, "BadRequest", "does not exist in registry", "POST", "scheduleRun", `{"type":"EncodedTaskRunRequest","encodedTaskContent":"eA==","platform":{"os":"Linux"},"agentPoolName":"nowhere"}`},
			{409, "FeatureNotAvailable", "not available in this version", "POST", "scheduleRun",
				`{"type":"encodedtaskrunrequest","encodedTaskContent":"eA==","platform":{"os":"linux"},"agentPoolName":"pool1","credentials":{"sourceRegistry":{"identity":"[caller]"}}}`},
			{400, "BadRequest", "taskId is required", "POST", "scheduleRun", `{"type":"TaskRunRequest"}`},
			{400, "BadRequest", "taskId", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"disabled"}`},
			{400, "BadRequest", "is not the ID of a task of registry", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"` + scopeR + `other1/tasks/disabled"}`},
			{404, "ResourceNotFound", "", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"` + scopeR + `myreg/tasks/nowhere"}`},
			{409, "TaskDisabled", "disabled", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"` + scopeR + `MYREG/tasks/DISABLED"}`},
			{400, "BadRequest", "system task", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"` + scopeR + `myreg/tasks/quicktask"}`},
			{400, "BadRequest", "is not base64", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"` + scopeR + `myreg/tasks/usespool","overrideTaskStepProperties":{"updateTriggerToken":"?"}}`},
			{409, "FeatureNotAvailable", "not available in this version", "POST", "scheduleRun", `{"type":"TaskRunRequest","taskId":"` + scopeR + `myreg/tasks/usespool"}`},
			{400, "BadRequest", "give the request a type", "PUT", "taskRuns/run-1", `{"properties":{}}`},
			{409, "TaskDisabled", "disabled", "PUT", "taskRuns/run-1", `{"properties":{"runRequest":{"type":"TaskRunRequest","taskId":"` + scopeR + `myreg/tasks/disabled"}}}`},
			{400, "BadRequest", "5 to 50", "PUT", "taskRuns/no_underscore", `{"properties":{"runRequest":{"type":"TaskRunRequest","taskId":"` + scopeR + `myreg/tasks/usespool"}}}`},
			{400, "BadRequest", "3 to 20", "PUT", "agentPools/no_underscore", `{"location":"local","properties":{}}`},
			{400, "LocationRequired", "", "PUT", "agentPools/pool2", `{"properties":{}}`},
			{400, "BadRequest", "tier", "PUT", "agentPools/pool2", `{"location":"local","properties":{"tier":"S9"}}`},
			{400, "BadRequest", "none with Windows", "PUT", "agentPools/pool2", `{"location":"local","properties":{"os":"windows"}}`},
			{400, "BadRequest", "not between 0 and", "PUT", "agentPools/pool2", `{"location":"local","properties":{"count":-1}}`},
			{400, "BadRequest", "not the ID of a subnet", "PUT", "agentPools/pool2", `{"location":"local","properties":{"virtualNetworkSubnetResourceId":"subnet"}}`},
			{409, "QuotaExceeded", "16 are allowed", "PUT", "agentPools/pool2", `{"location":"local","properties":{"tier":"S3","count":2}}`},
			{409, "QuotaExceeded", "isolated vCPUs, and 0", "PUT", "agentPools/pool2", `{"location":"local","properties":{"tier":"I6","count":1}}`},
			{409, "QuotaExceeded", "16 are allowed", "PATCH", "agentPools/pool1", `{"properties":{"count":9}}`},
			{400, "PropertyChangeNotAllowed", "cannot change its tier", "PUT", "agentPools/pool1", `{"location":"local","properties":{"tier":"S2"}}`},
			{409, "ResourceInUse", "is used by the task 'usespool'", "DELETE", "agentPools/pool1", ``},
			{404, "ResourceNotFound", "", "POST", "agentPools/nowhere/listQueueStatus", ``},
			{400, "InvalidFilterInQueryString", "it looks like", "GET", "runs?api-version=2025-03-01-preview&$filter=nonsense", ``},
			{400, "InvalidFilterInQueryString", "runs have no", "GET", "runs?api-version=2025-03-01-preview&$filter=Owner%20eq%20'x'", ``},
			{400, "InvalidFilterInQueryString", "is compared by eq", "GET", "runs?api-version=2025-03-01-preview&$filter=Status%20gt%20'x'", ``},
			{400, "InvalidFilterInQueryString", "is not a time", "GET", "runs?api-version=2025-03-01-preview&$filter=CreateTime%20gt%20'x'", ``},
			{400, "BadRequest", "$top", "GET", "runs?api-version=2025-03-01-preview&$top=0", ``},
		} {
			var body any
			if tt.body != "" {
				body = tt.body
			}
			s.refused(tt.status, tt.code, tt.words, tt.method, scopeR+"myreg/"+tt.path, body)
		}
		for _, tier := range []string{"Basic", "Standard"} {
			s.want(201, "PUT", scopeR+"low"+tier, object{"location": "local", "sku": object{"name": tier}})
			s.want(200, "PUT", scopeR+"low"+tier+"/tasks/task1", encodedTask(nil)) // tasks are there in each tier
			s.refused(400, "FeatureNotSupportedForSku", "need Premium", "PUT", scopeR+"low"+tier+"/agentPools/pool1", located(nil))
		}
	})
}

// encodedTask is a task that is valid but for what is changed of it.
func encodedTask(change object) object {
	p := object{"platform": object{"os": "Linux"}, "step": object{"type": "EncodedTask", "encodedTaskContent": encoded("steps: []")}}
	for k, v := range change {
		p[k] = v
	}
	return object{"location": "local", "properties": p}
}

// Secrets stand in no document, in no answer but that of listDetails, and go with what they belong to.
func TestTaskSecrets(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(nil))
		one := reg + "/tasks/build"
		body := dockerTask()
		s.want(200, "PUT", one, body)
		words := []string{"git-secret", "arg-secret", "source-secret", "endpoint-secret", "custom-secret"}
		id := arm.Registry(subscription, "acre", "myreg")
		kept := func() (doc string, sealed int) {
			s.ok(s.db.View(s.Context(), func(tx *meta.Tx) error {
				task, _, err := meta.Get[acr.Task](tx, id.Child("tasks", "build"))
				if err != nil {
					return err
				}
				doc = mustJSON(task)
				list, err := tx.Secrets("sealed/")
				sealed = len(list)
				return err
			}))
			return doc, sealed
		}
		doc, sealed := kept()
		if sealed != len(words) {
			t.Errorf("%d secrets are sealed, want %d", sealed, len(words))
		}
		read := s.want(200, "GET", one, nil)
		for name, text := range map[string]string{"document": doc, "GET": mustJSON(read), "list": s.do("GET", reg+"/tasks", nil).body} {
			for _, w := range words {
				if strings.Contains(text, w) {
					t.Errorf("the %s tells %s", name, w)
				}
			}
		}
		details := s.want(200, "POST", one+"/listDetails", nil)
		full := mustJSON(details)
		for _, w := range words {
			if !strings.Contains(full, w) {
				t.Errorf("listDetails does not tell %s", w)
			}
		}
		// What is read may be sent again, with its secrets or without: nothing is lost.
		for _, again := range []object{details, read} {
			s.want(200, "PUT", one, again)
			if now := s.want(200, "POST", one+"/listDetails", nil); mustJSON(now["properties"]) != mustJSON(details["properties"]) {
				t.Errorf("sent again it is\n%s\nwant\n%s", mustJSON(now["properties"]), mustJSON(details["properties"]))
			}
		}
		if _, n := kept(); n != sealed {
			t.Errorf("%d secrets are sealed, want %d", n, sealed)
		}
		// But they go nowhere else: another repository does not get the token of this one.
		at(read, "properties", "step").(object)["contextPath"] = "https://evil.example/app.git"
		s.want(200, "PUT", one, read)
		if now := s.want(200, "POST", one+"/listDetails", nil); at(now, "properties", "step", "contextAccessToken") != nil {
			t.Errorf("the token follows to another repository: %s", mustJSON(now))
		}
		s.want(200, "PUT", one, body)
		s.want(200, "PATCH", one, properties(object{
			"step":    object{"type": "Docker", "contextPath": "https://evil.example/app.git"},
			"trigger": object{"sourceTriggers": []object{{"name": "SOURCE", "sourceRepository": object{"repositoryUrl": "https://evil.example/app.git"}}}},
		}))
		if now := mustJSON(s.want(200, "POST", one+"/listDetails", nil)); strings.Contains(now, "git-secret") || strings.Contains(now, "source-secret") || !strings.Contains(now, "arg-secret") {
			t.Errorf("the tokens follow to another repository: %s", now)
		}
		s.want(200, "PATCH", one, properties(object{"step": object{"type": "EncodedTask", "encodedTaskContent": encoded("x")}, "trigger": nil, "credentials": nil}))
		if _, n := kept(); n != 0 {
			t.Errorf("%d secrets are left", n)
		}
		// Whoever may read tasks may not read their secrets, nor whoever may write them.
		who, reader := s.principal("reader")
		s.ok(s.assign(who.ID, acr.ReaderRole, reg))
		s.wantAs(reader, 200, "GET", one, nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "tasks/listDetails/action", "POST", one+"/listDetails", nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "tasks/write", "PUT", one, body)
		s.refusedAs(reader, 403, "AuthorizationFailed", "tasks/delete", "DELETE", one, nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "scheduleRun/action", "POST", reg+"/scheduleRun", object{})
		s.refusedAs(reader, 403, "AuthorizationFailed", "listBuildSourceUploadUrl/action", "POST", reg+"/listBuildSourceUploadUrl", nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "runs/cancel/action", "POST", reg+"/runs/cf1/cancel", nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "listLogSasUrl/action", "POST", reg+"/runs/cf1/listLogSasUrl", nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "listQueueStatus/action", "POST", reg+"/agentPools/p/listQueueStatus", nil)
		s.refusedAs(reader, 403, "AuthorizationFailed", "listDetails/action", "POST", reg+"/taskRuns/release/listDetails", nil)
		s.want(200, "PUT", one, body)
		s.do("DELETE", reg, nil)
		s.work()
		var left []meta.Secret
		s.ok(s.db.View(s.Context(), func(tx *meta.Tx) (err error) { left, err = tx.Secrets("sealed/"); return err }))
		if len(left) != 0 {
			t.Errorf("%d secrets outlive their registry", len(left))
		}
	})
}

// A task's identity is a service principal that lives and ends with it.
func TestTaskIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(nil))
		one := reg + "/tasks/build"
		body := encodedTask(object{"credentials": object{"sourceRegistry": object{"identity": "[system]"}}})
		body["identity"] = object{"type": "SystemAssigned"}
		principal, _ := at(s.want(200, "PUT", one, body), "identity", "principalId").(string)
		exists := func() bool {
			_, err := s.directory.ServicePrincipal(s.system, principal)
			return err == nil
		}
		if !exists() {
			t.Fatalf("there is no service principal %q", principal)
		}
		s.ok(s.assign(principal, acr.AcrPushRole, reg))
		s.refused(400, "BadRequest", "which the task does not have", "PATCH", one, object{"identity": object{"type": "None"}})
		s.want(200, "PATCH", one, object{"identity": object{"type": "None"}, "properties": object{"credentials": object{"sourceRegistry": object{"identity": nil}}}})
		if exists() {
			t.Error("the service principal outlives the identity")
		}
		principal, _ = at(s.want(200, "PUT", one, body), "identity", "principalId").(string)
		user := scopeG + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/runner"
		client := at(s.want(201, "PUT", user, object{"location": "local"}), "properties", "clientId")
		got := s.want(200, "PATCH", one, object{"identity": object{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": object{strings.ToUpper(user): object{}}}})
		if at(got, "identity", "userAssignedIdentities", user, "clientId") != client || at(got, "identity", "principalId") != principal {
			t.Errorf("both: %v", got["identity"])
		}
		got = s.want(200, "PATCH", one, object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{user: nil}}})
		if at(got, "identity", "type") != "SystemAssigned" || at(got, "identity", "principalId") != principal {
			t.Errorf("without the managed one: %v", got["identity"])
		}
		who, builder := s.principal("builder")
		s.ok(s.assign(who.ID, acr.ContributorRole, reg))
		s.refusedAs(builder, 403, "LinkedAuthorizationFailed", "assign/action", "PATCH", one,
			object{"identity": object{"type": "UserAssigned", "userAssignedIdentities": object{user: object{}}}})
		s.want(200, "DELETE", one, nil)
		if exists() {
			t.Error("the service principal outlives the task")
		}
	})
}

// Runs are found by what clients filter by, the newest first.
func TestRunFilter(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		reg := scopeR + "myreg"
		s.want(201, "PUT", reg, premium(nil))
		s.keepRuns()
		for filter, want := range map[string]string{
			"":                    "cf3 cf2 cf1",
			"TaskName eq 'BUILD'": "cf1",
			"TaskName eq 'build' and Status eq 'Succeeded'":     "cf1",
			"TaskName eq 'build' and Status eq 'Failed'":        "",
			"contains(OutputImageManifests, 'app@sha256:aaaa')": "cf1",
			"OutputImageManifests eq 'app@sha256:aaaa'":         "",
			"RunId eq 'cf2'":                       "cf2",
			"runtype eq 'quickrun'":                "cf3",
			"IsArchiveEnabled eq true":             "cf2",
			"AgentPoolName eq 'pool1'":             "cf1",
			"CreateTime gt '2026-03-01T12:00:00Z'": "cf3 cf2",
			"CreateTime ge 2026-03-01T12:00:00Z and CreateTime lt 2026-03-01T15:00:00Z": "cf2 cf1",
			"FinishTime le '2026-03-01T12:01:00Z'":                                      "cf1",
			"FinishTime eq '2026-03-01T14:00:00Z'":                                      "cf2",
		} {
			got := s.want(200, "GET", reg+"/runs"+taskVersion+"&$filter="+url.QueryEscape(filter), nil)
			var names []string
			for _, v := range got["value"].([]any) {
				names = append(names, at(v, "name").(string))
			}
			if strings.Join(names, " ") != want {
				t.Errorf("%s finds %v, want %s", filter, names, want)
			}
		}
	})
}

// The token of an update trigger is a secret of its task run, as the passwords are.
func TestTriggerTokenIsSecret(t *testing.T) {
	t.Parallel()
	each(t, func(s *server) {
		s.want(201, "PUT", scopeR+"myreg", premium(nil))
		s.want(200, "PUT", scopeR+"myreg/tasks/build1", encodedTask(nil))
		one, token := scopeR+"myreg/taskRuns/again", encoded("told to nobody")
		s.want(201, "PUT", one, located(object{"runRequest": object{
			"type": "TaskRunRequest", "taskId": scopeR + "myreg/tasks/build1", "overrideTaskStepProperties": object{"updateTriggerToken": token},
		}}))
		if got := s.do("GET", one, nil); got.status != 200 || strings.Contains(got.body, token) {
			t.Errorf("%d %s", got.status, got.body)
		}
		details := s.want(200, "POST", one+"/listDetails", nil)
		if got := at(details, "properties", "runRequest", "overrideTaskStepProperties", "updateTriggerToken"); got != token {
			t.Errorf("%v", got)
		}
	})
}
