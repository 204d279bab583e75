-- By what else than its ID a resource is found: a user by name, a role assignment by its principal.
CREATE TABLE resource_key (
    type {{.Name}} NOT NULL,
    name {{.Name}} NOT NULL,
    id   {{.Name}} NOT NULL REFERENCES resource (id),
    PRIMARY KEY (type, name, id)
) {{.Clustered}};
CREATE INDEX resource_key_id ON resource_key (id);

-- Counts changes of resources, so that what nodes keep in memory is read again only where something changed.
CREATE TABLE generation (
    name  {{.Name}} NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO generation (name, value) VALUES ('resource', 1);

-- When something was last used, to the minute; a row outlives what it speaks of until the next sweep.
CREATE TABLE used (
    id {{.Name}} NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
