package controlplane_test

import (
	"encoding/base64"
	"net/http"
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
		s.work()
		r.run("GET", s.path(gone.header.Get("Location")), nil)
		r.run("GET", one, nil)
		r.run("DELETE", one, nil)
		r.compare("agentpool")
	})
}
