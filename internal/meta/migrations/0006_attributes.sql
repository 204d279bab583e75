-- Locks are acr.Locks. A manifest's size is -1 until it has been described, which those from before this step are by a job.
ALTER TABLE repository ADD COLUMN locks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tag ADD COLUMN locks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE manifest ADD COLUMN locks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE manifest ADD COLUMN updated BIGINT NOT NULL DEFAULT 0;
ALTER TABLE manifest ADD COLUMN size BIGINT NOT NULL DEFAULT -1;
ALTER TABLE manifest ADD COLUMN architecture {{.Name}} NOT NULL DEFAULT '';
ALTER TABLE manifest ADD COLUMN os {{.Name}} NOT NULL DEFAULT '';
ALTER TABLE manifest ADD COLUMN config_type {{.Name}} NOT NULL DEFAULT '';
ALTER TABLE manifest ADD COLUMN children {{.Bytes}}; -- of an index: the JSON of a list of acr.Child
ALTER TABLE manifest ADD COLUMN quarantine_state {{.Name}} NOT NULL DEFAULT '';
ALTER TABLE manifest ADD COLUMN quarantine_details {{.Name}} NOT NULL DEFAULT '';
CREATE INDEX manifest_updated ON manifest (repository, updated, digest);
CREATE INDEX manifest_undescribed ON manifest (id) WHERE size < 0;
CREATE INDEX manifest_locked ON manifest (repository) WHERE locks > 0;
CREATE INDEX tag_updated ON tag (repository, updated, name);
CREATE INDEX tag_locked ON tag (repository) WHERE locks > 0;
CREATE INDEX tag_target ON tag (manifest, name);
DROP INDEX tag_manifest;

-- Values that clients keep with a repository (tag and digest are ''), a tag or a manifest.
CREATE TABLE metadata (
    repository BIGINT NOT NULL,
    tag        {{.Name}} NOT NULL,
    digest     {{.Name}} NOT NULL,
    name       {{.Name}} NOT NULL,
    value      {{.Bytes}} NOT NULL,
    PRIMARY KEY (repository, tag, digest, name)
) {{.Clustered}};
