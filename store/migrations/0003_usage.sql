-- One row per invocation, kept for a while so that a single request can be explained.
CREATE TABLE usage_record (
    request_id  TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    region      TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    ended_us    BIGINT  NOT NULL,
    duration_us BIGINT  NOT NULL,
    init_us     BIGINT  NOT NULL,
    billed_ms   BIGINT  NOT NULL,
    memory_mb   INTEGER NOT NULL,
    max_mb      INTEGER NOT NULL,
    cold        INTEGER NOT NULL,
    status      TEXT    NOT NULL,
    error_type  TEXT    NOT NULL,
    queued_us   BIGINT  NOT NULL,
    sandbox_us  BIGINT  NOT NULL,
    handler_us  BIGINT  NOT NULL
);
CREATE INDEX usage_record_request ON usage_record (request_id);
CREATE INDEX usage_record_function ON usage_record (account, region, function, ended_us);
CREATE INDEX usage_record_ended ON usage_record (ended_us);

-- The ledger: what the bill is made of. Sums only grow; nothing here is ever deleted.
CREATE TABLE usage_day (
    day        TEXT    NOT NULL,
    account    TEXT    NOT NULL,
    region     TEXT    NOT NULL,
    function   TEXT    NOT NULL,
    arch       TEXT    NOT NULL,
    memory_mb  INTEGER NOT NULL,
    storage_mb INTEGER NOT NULL,
    requests   BIGINT  NOT NULL,
    billed_ms  BIGINT  NOT NULL,
    cold       BIGINT  NOT NULL,
    errors     BIGINT  NOT NULL,
    PRIMARY KEY (day, account, region, function, arch, memory_mb, storage_mb)
);
