-- What is remembered for a while and then forgotten: pending sign-ins, identifiers of assertions that were used.
CREATE TABLE memo (
    kind  {{.Name}} NOT NULL,
    name  {{.Name}} NOT NULL,
    doc   {{.Bytes}} NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
) {{.Clustered}};
CREATE INDEX memo_until ON memo (until);
