-- How many initialised instances a version, or the version of an alias, has at all times. Times are microseconds since 1970.

CREATE TABLE function_provisioned (
    account     TEXT   NOT NULL,
    region      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    qualifier   TEXT   NOT NULL, -- a version's number or an alias
    executions  BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    PRIMARY KEY (account, region, name, qualifier),
    FOREIGN KEY (account, region, name) REFERENCES functions (account, region, name) ON DELETE CASCADE
);
