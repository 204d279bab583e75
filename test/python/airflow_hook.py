"""Prints the credential that Airflow's hook gives the container-instances operator: server, username and password, as JSON on
the last line. The argument is the connection's ID; the connection is in the environment."""

import json
import sys

from airflow.providers.microsoft.azure.hooks.container_registry import AzureContainerRegistryHook

credential = AzureContainerRegistryHook(sys.argv[1]).connection
print(type(credential).__name__)
print(json.dumps([credential.server, credential.username, credential.password]))
