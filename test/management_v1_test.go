package test

import (
	"context"
	"encoding/base64"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerregistry/armcontainerregistry"
)

// The old Go client, which has tasks: a registry from its making to its end, and tasks, agent pools and task runs in it.
func TestGoManagementOld(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	cred, opt := c.manager(t)
	f := must(armcontainerregistry.NewClientFactory(devSubscription, cred, opt))(t)
	registries := f.NewRegistriesClient()
	ctx, g := context.Background(), "acre"
	const name = "gosdk2"
	reg := finished[armcontainerregistry.RegistriesClientCreateResponse](t)(registries.BeginCreate(ctx, g, name, armcontainerregistry.Registry{
		Location: to.Ptr("eastus"), SKU: &armcontainerregistry.SKU{Name: to.Ptr(armcontainerregistry.SKUNamePremium)},
	}, nil))
	c.content(t, *reg.Properties.LoginServer)
	finished[armcontainerregistry.TokensClientCreateResponse](t)(f.NewTokensClient().BeginCreate(ctx, g, name, "reader", armcontainerregistry.Token{
		Properties: &armcontainerregistry.TokenProperties{ScopeMapID: to.Ptr(*reg.ID + "/scopeMaps/_repositories_pull")},
	}, nil))
	if all := pages(t, registries.NewListByResourceGroupPager(g, nil)); len(all) == 0 || len(all[0].Value) < 2 {
		t.Errorf("registries: %+v", all)
	}

	pools, tasks, runs := f.NewAgentPoolsClient(), f.NewTasksClient(), f.NewTaskRunsClient()
	finished[armcontainerregistry.AgentPoolsClientCreateResponse](t)(pools.BeginCreate(ctx, g, name, "pool1", armcontainerregistry.AgentPool{
		Location: to.Ptr("eastus"), Properties: &armcontainerregistry.AgentPoolProperties{Tier: to.Ptr("S1"), Count: to.Ptr[int32](1)},
	}, nil))
	if queue := must(pools.GetQueueStatus(ctx, g, name, "pool1", nil))(t); *queue.Count != 0 {
		t.Errorf("%+v", queue)
	}
	linux := &armcontainerregistry.PlatformProperties{OS: to.Ptr(armcontainerregistry.OSLinux)}
	step := base64.StdEncoding.EncodeToString([]byte("version: v1.1.0\nsteps:\n- cmd: bash\n"))
	finished[armcontainerregistry.TasksClientCreateResponse](t)(tasks.BeginCreate(ctx, g, name, "hello", armcontainerregistry.Task{
		Location: to.Ptr("eastus"), Properties: &armcontainerregistry.TaskProperties{Platform: linux, Step: &armcontainerregistry.EncodedTaskStep{
			Type: to.Ptr(armcontainerregistry.StepTypeEncodedTask), EncodedTaskContent: to.Ptr(step),
			Values: []*armcontainerregistry.SetValue{{Name: to.Ptr("key"), Value: to.Ptr("secret"), IsSecret: to.Ptr(true)}},
		}},
	}, nil))
	details := must(tasks.GetDetails(ctx, g, name, "hello", nil))(t)
	if s, ok := details.Properties.Step.(*armcontainerregistry.EncodedTaskStep); !ok || *s.Values[0].Value != "secret" {
		t.Errorf("%+v", details.Properties.Step)
	}
	finished[armcontainerregistry.TasksClientUpdateResponse](t)(tasks.BeginUpdate(ctx, g, name, "hello", armcontainerregistry.TaskUpdateParameters{
		Properties: &armcontainerregistry.TaskPropertiesUpdateParameters{Timeout: to.Ptr[int32](900)},
	}, nil))
	if all := pages(t, tasks.NewListPager(g, name, nil)); len(all) != 1 || len(all[0].Value) != 1 || *all[0].Value[0].Properties.Timeout != 900 {
		t.Errorf("tasks: %+v", all)
	}
	_, err := registries.BeginScheduleRun(ctx, g, name, &armcontainerregistry.TaskRunRequest{Type: to.Ptr("TaskRunRequest"), TaskID: details.ID}, nil)
	says(t, notInThisVersion, err)

	// A task run is an operation that the poller follows to its end, which is a failure that says why.
	poll, err := runs.BeginCreate(ctx, g, name, "release", armcontainerregistry.TaskRun{Properties: &armcontainerregistry.TaskRunProperties{
		RunRequest: &armcontainerregistry.EncodedTaskRunRequest{Type: to.Ptr("EncodedTaskRunRequest"), EncodedTaskContent: to.Ptr(step), Platform: linux},
	}}, nil)
	if err == nil {
		_, err = poll.PollUntilDone(ctx, nil)
	}
	says(t, notInThisVersion, err)
	finished[armcontainerregistry.TaskRunsClientDeleteResponse](t)(runs.BeginDelete(ctx, g, name, "release", nil))
	finished[armcontainerregistry.TasksClientDeleteResponse](t)(tasks.BeginDelete(ctx, g, name, "hello", nil))
	finished[armcontainerregistry.AgentPoolsClientDeleteResponse](t)(pools.BeginDelete(ctx, g, name, "pool1", nil))
	finished[armcontainerregistry.RegistriesClientDeleteResponse](t)(registries.BeginDelete(ctx, g, name, nil))
	_, err = registries.Get(ctx, g, name, nil)
	says(t, "ResourceNotFound", err)
}
