"""Goes through the life of a registry and of what lies in one, with Microsoft's client of the management API."""

import base64
import os

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import EnvironmentCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient

credential, subscription, group, name = EnvironmentCredential(), os.environ["AZURE_SUBSCRIPTION_ID"], "acre", "pythonsdk1"
client = ContainerRegistryManagementClient(credential, subscription, polling_interval=0)
of = (group, name)


def check(condition, *what):
    if not condition:
        raise SystemExit(" ".join(map(str, what)))


def refused(words, call, *args):
    try:
        answer = call(*args)
        answer = answer.result() if hasattr(answer, "result") else answer
    except HttpResponseError as e:
        check(words in str(e), e, "want", words)
    else:
        check(False, answer, "want a refusal with", words)


free = client.registries.check_name_availability({"name": name, "type": "Microsoft.ContainerRegistry/registries"})
check(free.name_available, free)
registry = client.registries.begin_create(
    *of, {"location": "eastus", "sku": {"name": "Premium"}, "properties": {"adminUserEnabled": True, "dataEndpointEnabled": True}}
).result()
check(registry.login_server == name + ".azurecr.io" and registry.provisioning_state == "Succeeded", registry)
registry = client.registries.begin_update(*of, {"tags": {"a": "b"}}).result()
check(registry.tags == {"a": "b"} and registry.admin_user_enabled, registry)
check(name in [r.name for r in client.registries.list()], "list")
check(name in [r.name for r in client.registries.list_by_resource_group(group)], "list of the group")
check(len(client.registries.list_credentials(*of).passwords) == 2, "credentials")
check(any(u.name == "Size" for u in client.registries.list_usages(*of).value), "usages")

maps, tokens = client.scope_maps, client.tokens
maps.begin_create(*of, "pullers", {"properties": {"actions": ["repositories/app/content/read"]}}).result()
token = tokens.begin_create(*of, "puller", {"properties": {"scopeMapId": registry.id + "/scopeMaps/pullers"}}).result()
login = client.registries.begin_generate_credentials(*of, {"tokenId": token.id}).result()
check(login.username == "puller" and len(login.passwords) == 2, login)
check([t.name for t in tokens.list(*of)] == ["puller"], "tokens")
check(len(list(maps.list(*of))) == 6, "scope maps")
refused("ResourceInUse", maps.begin_delete, *of, "pullers")
tokens.begin_delete(*of, "puller").result()
maps.begin_delete(*of, "pullers").result()

client.replications.begin_create(*of, "westeurope", {"location": "westeurope"}).result()
check(len(list(client.replications.list(*of))) == 2, "replications")
client.replications.begin_delete(*of, "westeurope").result()
hooks = client.webhooks
hooks.begin_create(*of, "builds", {"location": "eastus", "properties": {"serviceUri": "https://ci.example.com/hook", "actions": ["push"]}}).result()
check(hooks.get_callback_config(*of, "builds").service_uri == "https://ci.example.com/hook", "callback")
check(list(hooks.list_events(*of, "builds")) == [], "events")
check(len(hooks.ping(*of, "builds").id) == 36, "ping")
hooks.begin_delete(*of, "builds").result()

sets, rules = client.credential_sets, client.cache_rules
secret = "https://v.vault.azure.net/secrets/"
hub = sets.begin_create(*of, "hubset", {
    "identity": {"type": "SystemAssigned"},
    "properties": {"loginServer": "docker.io", "authCredentials": [
        {"name": "Credential1", "usernameSecretIdentifier": secret + "user", "passwordSecretIdentifier": secret + "pass"}]},
}).result()
rules.begin_create(*of, "ubuntu", {"properties": {
    "sourceRepository": "docker.io/library/ubuntu", "targetRepository": "ubuntu", "credentialSetResourceId": hub.id}}).result()
rules.begin_delete(*of, "ubuntu").result()
sets.begin_delete(*of, "hubset").result()
check(list(rules.list(*of)) == [] and list(sets.list(*of)) == [], "left behind")

# Tasks have a client of their own.
work = ContainerRegistryTasksMgmtClient(credential, subscription, polling_interval=0)
step = {"type": "EncodedTask", "encodedTaskContent": base64.b64encode(b"version: v1.1.0\nsteps:\n- cmd: bash\n").decode()}
task = work.tasks.create(*of, "hello", {"location": "eastus", "properties": {"platform": {"os": "Linux"}, "step": step}})
check(task.status == "Enabled", task)
check(work.tasks.update(*of, "hello", {"properties": {"timeout": 900}}).timeout == 900, "timeout")
check([t.name for t in work.tasks.list(*of)] == ["hello"], "tasks")
check(list(work.runs.list(*of)) == [], "runs")
work.tasks.delete(*of, "hello")
work.agent_pools.begin_create(*of, "pool1", {"location": "eastus", "properties": {"tier": "S1", "count": 1}}).result()
work.agent_pools.begin_delete(*of, "pool1").result()

client.registries.begin_delete(*of).result()
try:
    client.registries.get(*of)
    check(False, "the registry is still there")
except ResourceNotFoundError:
    print("done")
