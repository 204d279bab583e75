-- Times are microseconds since 1970 UTC. Digests are one byte for the algorithm (1 sha256, 2 sha512) and the raw sum.

CREATE TABLE resource (
    id      {{.Name}} NOT NULL PRIMARY KEY, -- arm.ID.Key
    type    {{.Name}} NOT NULL,
    doc     {{.Bytes}} NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX resource_type ON resource (type, id);

CREATE TABLE secret (
    name    {{.Name}} NOT NULL PRIMARY KEY,
    sealed  {{.Bytes}} NOT NULL,
    created BIGINT NOT NULL
);

-- A registry's contents hang on this row; seq is the head of its log.
CREATE TABLE registry (
    id   {{.Serial}},
    name {{.Name}} NOT NULL UNIQUE, -- lower case
    seq  BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE log (
    registry BIGINT NOT NULL REFERENCES registry (id),
    seq      BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    doc      {{.Bytes}} NOT NULL,
    PRIMARY KEY (registry, seq)
) {{.Clustered}};

-- A row exists from the first blob on; it is listed once it has a manifest.
CREATE TABLE repository (
    id        {{.Serial}},
    registry  BIGINT NOT NULL REFERENCES registry (id),
    name      {{.Name}} NOT NULL,
    created   BIGINT NOT NULL,
    updated   BIGINT NOT NULL,
    manifests BIGINT NOT NULL DEFAULT 0,
    tags      BIGINT NOT NULL DEFAULT 0,
    UNIQUE (registry, name)
);

CREATE TABLE manifest (
    id            {{.Serial}},
    repository    BIGINT NOT NULL REFERENCES repository (id),
    digest        {{.Bytes}} NOT NULL,
    media_type    {{.Name}} NOT NULL,
    artifact_type {{.Name}} NOT NULL,
    subject       {{.Bytes}}, -- NULL without one
    created       BIGINT NOT NULL,
    body          {{.Bytes}} NOT NULL,
    UNIQUE (repository, digest)
);
CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;

-- What a manifest names: blobs and child manifests.
CREATE TABLE reference (
    repository BIGINT NOT NULL,
    digest     {{.Bytes}} NOT NULL,
    manifest   BIGINT NOT NULL REFERENCES manifest (id),
    PRIMARY KEY (repository, digest, manifest)
) {{.Clustered}};
CREATE INDEX reference_manifest ON reference (manifest);

CREATE TABLE tag (
    repository BIGINT NOT NULL REFERENCES repository (id),
    name       {{.Name}} NOT NULL,
    manifest   BIGINT NOT NULL REFERENCES manifest (id),
    created    BIGINT NOT NULL,
    updated    BIGINT NOT NULL,
    PRIMARY KEY (repository, name)
) {{.Clustered}};
CREATE INDEX tag_manifest ON tag (manifest);

-- A blob is stored once a registry: as an object, the bucket's key, or, where it is small, in its row.
CREATE TABLE blob (
    registry BIGINT NOT NULL REFERENCES registry (id),
    digest   {{.Bytes}} NOT NULL,
    size     BIGINT NOT NULL,
    object   {{.Name}},
    created  BIGINT NOT NULL,
    body     {{.Bytes}},
    PRIMARY KEY (registry, digest),
    CHECK ((object IS NULL) <> (body IS NULL))
);
CREATE INDEX blob_object ON blob (object) WHERE object IS NOT NULL;

-- Which repositories have it. idle is 0 while a manifest names it there, else since when none does.
CREATE TABLE membership (
    repository BIGINT NOT NULL REFERENCES repository (id),
    digest     {{.Bytes}} NOT NULL,
    registry   BIGINT NOT NULL,
    idle       BIGINT NOT NULL,
    PRIMARY KEY (repository, digest),
    FOREIGN KEY (registry, digest) REFERENCES blob (registry, digest)
) {{.Clustered}};
CREATE INDEX membership_blob ON membership (registry, digest);
CREATE INDEX membership_idle ON membership (idle) WHERE idle > 0;

-- An upload has a row once it was paused, held by a node, or cancelled: one just begun is known by its signed ID alone.
CREATE TABLE upload (
    id         {{.Name}} NOT NULL PRIMARY KEY,
    registry   BIGINT NOT NULL,
    repository {{.Name}} NOT NULL, -- by name: its row may not exist yet
    object     {{.Name}} NOT NULL, -- the bucket's key; '' while it is small
    size       BIGINT NOT NULL,    -- -1: cancelled
    state      {{.Bytes}}, -- blob.State of the object
    body       {{.Bytes}}, -- what came so far, while it is small
    touched    BIGINT NOT NULL,
    held       BIGINT NOT NULL DEFAULT 0 -- until when a node holds it, where nodes share the database
);
CREATE INDEX upload_touched ON upload (touched);
CREATE INDEX upload_object ON upload (object);

-- Objects that nothing names any more and that are still to be removed.
CREATE TABLE litter (
    object {{.Name}} NOT NULL PRIMARY KEY,
    size   BIGINT NOT NULL,
    since  BIGINT NOT NULL
);

CREATE TABLE job (
    id       {{.Serial}},
    kind     {{.Name}} NOT NULL,
    args     {{.Bytes}} NOT NULL,
    due      BIGINT NOT NULL,     -- not before
    claimed  BIGINT NOT NULL DEFAULT 0, -- until when a worker holds it
    attempts BIGINT NOT NULL DEFAULT 0,
    failure  {{.Name}} NOT NULL DEFAULT '', -- what the last attempt ended with
    dead     BIGINT NOT NULL DEFAULT 0, -- since when it is given up
    created  BIGINT NOT NULL
);
CREATE INDEX job_due ON job (due) WHERE dead = 0;

-- Where a follower of the logs stands.
CREATE TABLE cursor (
    follower {{.Name}} NOT NULL,
    registry BIGINT NOT NULL REFERENCES registry (id),
    seq      BIGINT NOT NULL,
    PRIMARY KEY (follower, registry)
);

-- Who may do what only one node does at a time; due is when it is to be done next.
CREATE TABLE lease (
    name   {{.Name}} NOT NULL PRIMARY KEY,
    holder {{.Name}} NOT NULL,
    until  BIGINT NOT NULL,
    due    BIGINT NOT NULL DEFAULT 0
);
