// Goes through the life of a registry and of what lies in one, with Microsoft's client of the management API.
import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const { EnvironmentCredential } = require("@azure/identity");
const { ContainerRegistryManagementClient } = require("@azure/arm-containerregistry");

const client = new ContainerRegistryManagementClient(new EnvironmentCredential(), process.env.AZURE_SUBSCRIPTION_ID);
const of = ["acre", "javascript1"];
const fast = { updateIntervalInMs: 100 };

function check(condition, ...what) {
  if (!condition) throw new Error(what.map((w) => (typeof w === "string" ? w : JSON.stringify(w))).join(" "));
}

async function all(pages) {
  const out = [];
  for await (const one of pages) out.push(one);
  return out;
}

async function refused(words, call) {
  try {
    await call();
  } catch (e) {
    check(String(e.message + e.code).includes(words), String(e), "want", words);
    return;
  }
  throw new Error("want a refusal with " + words);
}

const { registries, scopeMaps, tokens, webhooks, replications, credentialSets, cacheRules } = client;
const free = await registries.checkNameAvailability({ name: of[1], type: "Microsoft.ContainerRegistry/registries" });
check(free.nameAvailable, free);
let registry = await registries.create(...of, { location: "eastus", sku: { name: "Premium" }, adminUserEnabled: true }, fast);
check(registry.loginServer === of[1] + ".azurecr.io" && registry.provisioningState === "Succeeded", registry);
registry = await registries.update(...of, { tags: { a: "b" } }, fast);
check(registry.tags.a === "b" && registry.adminUserEnabled, registry);
check((await all(registries.list())).some((r) => r.name === of[1]), "list");
check((await registries.listCredentials(...of)).passwords.length === 2, "credentials");
check((await registries.listUsages(...of)).value.length > 0, "usages");

await scopeMaps.create(...of, "pullers", { actions: ["repositories/app/content/read"] }, fast);
const token = await tokens.create(...of, "puller", { scopeMapId: registry.id + "/scopeMaps/pullers" }, fast);
const login = await registries.generateCredentials(...of, { tokenId: token.id }, fast);
check(login.username === "puller" && login.passwords.length === 2, login);
check((await all(tokens.list(...of))).length === 1, "tokens");
check((await all(scopeMaps.list(...of))).length === 6, "scope maps");
await refused("ResourceInUse", () => scopeMaps.delete(...of, "pullers", fast));
await tokens.delete(...of, "puller", fast);
await scopeMaps.delete(...of, "pullers", fast);

await replications.create(...of, "westeurope", { location: "westeurope" }, fast);
check((await all(replications.list(...of))).length === 2, "replications");
await replications.delete(...of, "westeurope", fast);
await webhooks.create(...of, "builds", { location: "eastus", serviceUri: "https://ci.example.com/hook", actions: ["push"] }, fast);
check((await webhooks.getCallbackConfig(...of, "builds")).serviceUri === "https://ci.example.com/hook", "callback");
check((await all(webhooks.listEvents(...of, "builds"))).length === 0, "events");
check((await webhooks.ping(...of, "builds")).id.length === 36, "ping");
await webhooks.delete(...of, "builds", fast);

const secret = "https://v.vault.azure.net/secrets/";
const hub = await credentialSets.create(...of, "hubset", {
  identity: { type: "SystemAssigned" },
  loginServer: "docker.io",
  authCredentials: [{ name: "Credential1", usernameSecretIdentifier: secret + "user", passwordSecretIdentifier: secret + "pass" }],
}, fast);
await cacheRules.create(...of, "ubuntu", {
  sourceRepository: "docker.io/library/ubuntu",
  targetRepository: "ubuntu",
  credentialSetResourceId: hub.id,
}, fast);
await cacheRules.delete(...of, "ubuntu", fast);
await credentialSets.delete(...of, "hubset", fast);

await registries.delete(...of, fast);
await refused("ResourceNotFound", () => registries.get(...of));
console.log("done");
