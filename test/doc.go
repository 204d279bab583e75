// Package test drives the acre binary from outside, as its users do: through Docker Engine, skopeo,
// podman, buildah, containerd, crane, helm and oras, each the real program, and through faults that
// no client reports politely: killed processes, full disks, connections that stall.
//
// A journey runs against servers started for this run, on SQLite over HTTP and HTTPS and on
// PostgreSQL over HTTP. What a client holds and what the registry holds are compared byte for byte.
//
// Environment, all of it optional:
//
//	ACRE_TEST_POSTGRES    a superuser's URL; scripts/with-postgres.sh sets it
//	ACRE_TEST_ROUNDS      how often TestKill and TestPowerLoss repeat their fault; 3 if absent
//	ACRE_TEST_SEED        repeats the random choices of a run that failed
//	ACRE_TEST_BINARY      the binary, an absolute path; built for the run if absent
//	ACRE_TEST_BUILDFLAGS  flags for building the server, for example -race
//	ACRE_TEST_REGISTRY    comma-separated URLs of registries to drive instead of acre
//	ACRE_TEST_USER        user there
//	ACRE_TEST_PASSWORD    password there
//	ACRE_TEST_CA          file with the authority of those that speak HTTPS
//	CI                    a component that is missing fails instead of being skipped
package test
