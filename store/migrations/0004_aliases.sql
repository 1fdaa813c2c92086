-- Aliases: names for versions that can be moved from one to another.

CREATE TABLE function_aliases (
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    name        TEXT NOT NULL, -- of the function
    alias       TEXT NOT NULL,
    version     TEXT NOT NULL, -- '$LATEST' or a number
    description TEXT NOT NULL,
    weights     TEXT NOT NULL, -- JSON object: share of the invocations by version, for those that go elsewhere
    revision_id TEXT NOT NULL,
    PRIMARY KEY (account, region, name, alias),
    FOREIGN KEY (account, region, name) REFERENCES functions (account, region, name) ON DELETE CASCADE
);
