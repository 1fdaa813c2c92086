-- Functions, their versions and their URLs. Times are microseconds since 1970.

CREATE TABLE functions (
    account      TEXT    NOT NULL,
    region       TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    next_version BIGINT  NOT NULL, -- the number that the next published version gets; never reused
    tags         TEXT    NOT NULL, -- JSON object
    PRIMARY KEY (account, region, name)
);

CREATE TABLE function_versions (
    account            TEXT   NOT NULL,
    region             TEXT   NOT NULL,
    name               TEXT   NOT NULL,
    version            TEXT   NOT NULL, -- '$LATEST' or a number
    revision_id        TEXT   NOT NULL,
    state              TEXT   NOT NULL,
    last_update_status TEXT   NOT NULL,
    code_digest        TEXT   NOT NULL, -- name of the package in the blob store
    code_size          BIGINT NOT NULL, -- bytes of the zip
    last_modified      BIGINT NOT NULL,
    config             TEXT   NOT NULL, -- JSON: everything else
    PRIMARY KEY (account, region, name, version),
    FOREIGN KEY (account, region, name) REFERENCES functions (account, region, name) ON DELETE CASCADE
);

CREATE TABLE function_urls (
    id          TEXT   NOT NULL PRIMARY KEY, -- the host label
    account     TEXT   NOT NULL,
    region      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    qualifier   TEXT   NOT NULL, -- alias name, '' for the function itself
    auth_type   TEXT   NOT NULL,
    invoke_mode TEXT   NOT NULL,
    cors        TEXT   NOT NULL, -- JSON object, '' for none
    created_at  BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    UNIQUE (account, region, name, qualifier),
    FOREIGN KEY (account, region, name) REFERENCES functions (account, region, name) ON DELETE CASCADE
);
