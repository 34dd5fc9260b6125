CREATE TABLE unmask_audit (
    seq BIGSERIAL NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    address TEXT,
    PRIMARY KEY (seq)
);

CREATE TABLE unmask_batches (
    id VARCHAR(32) NOT NULL,
    owner TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE unmask_gate (
    id SERIAL NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE unmask_tokens (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) NOT NULL,
    secret_sha256 VARCHAR(64) NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BOOLEAN NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE (id),
    UNIQUE (secret_sha256)
);

CREATE TABLE unmask_workers (
    id TEXT NOT NULL,
    started BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    model TEXT,
    weights_sha256 VARCHAR(64),
    PRIMARY KEY (id)
);

CREATE TABLE unmask_jobs (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) NOT NULL,
    owner TEXT NOT NULL,
    batch VARCHAR(32),
    key VARCHAR(64),
    state VARCHAR(16) NOT NULL,
    stage VARCHAR(16) NOT NULL,
    progress FLOAT NOT NULL,
    name TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    format VARCHAR(16) NOT NULL,
    max_frames INTEGER,
    created BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT,
    expires BIGINT,
    reason VARCHAR(32),
    message TEXT,
    result TEXT,
    evidence VARCHAR(16) NOT NULL,
    evidence_dir TEXT,
    evidence_message TEXT,
    work VARCHAR(16),
    attempts INTEGER NOT NULL,
    evidence_attempts INTEGER NOT NULL,
    worker TEXT,
    lease VARCHAR(32),
    lease_until BIGINT,
    PRIMARY KEY (seq),
    UNIQUE (owner, key),
    CONSTRAINT unmask_done_has_result CHECK ((state = 'done') = (result IS NOT NULL)),
    CONSTRAINT unmask_lease_ends CHECK ((lease IS NULL) = (lease_until IS NULL)),
    CONSTRAINT unmask_lease_is_for_work CHECK (work IS NOT NULL OR lease IS NULL),
    CONSTRAINT unmask_unfinished_is_work CHECK ((state IN ('queued', 'running')) = (work IS NOT NULL AND work = 'analysis')),
    UNIQUE (id),
    FOREIGN KEY(batch) REFERENCES unmask_batches (id)
);

CREATE INDEX unmask_jobs_batch ON unmask_jobs (batch, seq);

CREATE INDEX unmask_jobs_expires ON unmask_jobs (expires);

CREATE INDEX unmask_jobs_finished ON unmask_jobs (finished);

CREATE INDEX unmask_jobs_lease ON unmask_jobs (lease);

CREATE INDEX unmask_jobs_owner ON unmask_jobs (owner, seq);

CREATE INDEX unmask_jobs_state ON unmask_jobs (state);

CREATE INDEX unmask_jobs_work ON unmask_jobs (work, seq) WHERE work IS NOT NULL;

CREATE TABLE unmask_sessions (
    secret_sha256 VARCHAR(64) NOT NULL,
    token VARCHAR(32) NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (secret_sha256),
    FOREIGN KEY(token) REFERENCES unmask_tokens (id)
);

CREATE INDEX ix_unmask_sessions_token ON unmask_sessions (token);
