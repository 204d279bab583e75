// Signs in as the first argument says and lists the repositories of clouds.azurecr.io, one a line.
import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const { DefaultAzureCredential, EnvironmentCredential, ManagedIdentityCredential } = require("@azure/identity");
const { ContainerRegistryClient, KnownContainerRegistryAudience } = require("@azure/container-registry");

const credential = {
  secret: () => new EnvironmentCredential(),
  default: () => new DefaultAzureCredential(),
  managed: () => new ManagedIdentityCredential(),
}[process.argv[2]]();
const client = new ContainerRegistryClient("https://clouds.azurecr.io", credential, {
  audience: KnownContainerRegistryAudience.AzureResourceManagerPublicCloud,
});
for await (const name of client.listRepositoryNames()) {
  console.log(name);
}
