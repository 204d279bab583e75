"""Signs in as the first argument says and lists the repositories of clouds.azurecr.io, one a line."""

import sys

from azure.containerregistry import ContainerRegistryClient
from azure.identity import DefaultAzureCredential, EnvironmentCredential, ManagedIdentityCredential

credential = {
    "secret": EnvironmentCredential,
    "default": DefaultAzureCredential,
    "managed": ManagedIdentityCredential,
}[sys.argv[1]]()
with ContainerRegistryClient("https://clouds.azurecr.io", credential) as client:
    for name in client.list_repository_names():
        print(name)
