// Package client lets a program reach a container registry with what it was configured with: a connection, as Apache
// Airflow keeps them, or a connector, as ZenML does. It works the same against acre and against Azure Container Registry.
//
// A Connection says which registry is meant and how to authenticate: by a login of its own, as a managed or workload
// identity, or by the default chain of the Azure SDKs. Credential takes these ways in that order and tells which one it
// was. A Connector holds one identity of the cloud, and gives access to every registry that identity can see.
//
// Both end in a Credential: the user name and password that docker, helm, oras or any other client logs in with. Access
// tells what may be done with it.
package client
