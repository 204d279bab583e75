-- How many bytes a registry's blobs have, each counted once: its row here and those of what changed since. Changes are rows of
-- their own, so that pushes to one registry do not wait for one another.
CREATE TABLE size (
    registry BIGINT NOT NULL PRIMARY KEY,
    bytes    BIGINT NOT NULL
);
CREATE TABLE size_change (
    registry BIGINT NOT NULL,
    id       BIGINT NOT NULL, -- random
    bytes    BIGINT NOT NULL,
    PRIMARY KEY (registry, id)
) {{.Clustered}};
ALTER TABLE blob ADD COLUMN again BIGINT NOT NULL DEFAULT 0; -- 1 once it was pushed again
INSERT INTO size (registry, bytes) SELECT registry, CAST(SUM(size) AS BIGINT) FROM blob GROUP BY registry;
