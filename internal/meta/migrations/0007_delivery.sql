-- What webhooks are to be told, and were told lately. webhook is acr.WebhookKey.
CREATE TABLE delivery (
    id         {{.Serial}},
    webhook    {{.Name}} NOT NULL,
    repository {{.Name}} NOT NULL, -- '' for what is of none
    event      {{.Name}} NOT NULL,
    action     {{.Name}} NOT NULL,
    payload    {{.Bytes}} NOT NULL,
    created    BIGINT NOT NULL,    -- since when it is to be told
    state      BIGINT NOT NULL,    -- 0 waits, 1 done, 2 given up
    attempts   BIGINT NOT NULL DEFAULT 0,
    tried      BIGINT NOT NULL DEFAULT 0,
    exchange   {{.Bytes}},         -- the last attempt
    UNIQUE (webhook, event)
);
CREATE INDEX delivery_webhook ON delivery (webhook, id);
CREATE INDEX delivery_waiting ON delivery (webhook, repository, id) WHERE state = 0;
CREATE INDEX delivery_ended ON delivery (created) WHERE state > 0;

-- Deliveries of one webhook and repository, which are made one after the other, by who has claimed the lane.
CREATE TABLE lane (
    webhook    {{.Name}} NOT NULL,
    repository {{.Name}} NOT NULL,
    due        BIGINT NOT NULL,            -- not before
    claimed    BIGINT NOT NULL DEFAULT 0,  -- until when somebody has it
    turn       BIGINT NOT NULL DEFAULT 0,  -- counts claims, so that each has a name
    added      BIGINT NOT NULL DEFAULT 1,  -- counts deliveries, so that none is overlooked
    failures   BIGINT NOT NULL DEFAULT 0,  -- in a row
    PRIMARY KEY (webhook, repository)
);
CREATE INDEX lane_due ON lane (due);
