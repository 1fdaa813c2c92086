-- Roles and policies (package identity). IAM has no regions. name_key is the lower-case name: IAM names differ in more
-- than case. Times are Unix seconds; tags are a JSON object.

CREATE TABLE iam_roles (
    account     TEXT    NOT NULL,
    name_key    TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    description TEXT    NOT NULL,
    trust       TEXT    NOT NULL,
    max_session BIGINT  NOT NULL,
    boundary    TEXT    NOT NULL,
    tags        TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    PRIMARY KEY (account, name_key)
);

CREATE TABLE iam_role_policies (
    account   TEXT NOT NULL,
    role_key  TEXT NOT NULL,
    name      TEXT NOT NULL,
    document  TEXT NOT NULL,
    PRIMARY KEY (account, role_key, name)
);

CREATE TABLE iam_role_attachments (
    account     TEXT NOT NULL,
    role_key    TEXT NOT NULL,
    policy_arn  TEXT NOT NULL,
    PRIMARY KEY (account, role_key, policy_arn)
);

CREATE INDEX iam_role_attachments_policy ON iam_role_attachments (account, policy_arn);

CREATE TABLE iam_policies (
    account         TEXT   NOT NULL,
    name_key        TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    arn             TEXT   NOT NULL,
    path            TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    description     TEXT   NOT NULL,
    default_version BIGINT NOT NULL,
    last_version    BIGINT NOT NULL,
    tags            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (account, name_key),
    UNIQUE (account, arn)
);

CREATE TABLE iam_policy_versions (
    account    TEXT   NOT NULL,
    policy_arn TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    document   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, policy_arn, version)
);
