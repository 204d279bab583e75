-- Where each registry's chain of audit rows stands; registry 0 is what belongs to none. Rows up to base went after their
-- time; sums are those of the last row and of the base.
CREATE TABLE audit_head (
    registry BIGINT NOT NULL PRIMARY KEY,
    seq      BIGINT NOT NULL,
    sum      {{.Bytes}} NOT NULL,
    base     BIGINT NOT NULL DEFAULT 0,
    base_sum {{.Bytes}} NOT NULL,
    filed    BIGINT NOT NULL DEFAULT 0 -- the last row that the file sink has
);

-- Rows that were written together; seq is the first's number, last the last's, at and until their times.
CREATE TABLE audit (
    registry BIGINT NOT NULL,
    seq      BIGINT NOT NULL,
    last     BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    body     {{.Bytes}} NOT NULL, -- acr.PackAudit
    PRIMARY KEY (registry, seq)
) {{.Clustered}};
CREATE INDEX audit_at ON audit (registry, at);
