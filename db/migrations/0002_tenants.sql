-- Data that belongs to a user of a tenant. Row-level security is enabled and forced on every table, so that not even
-- the owner sees rows without saying for whom: `set_config('app.tenant', …, true)` and `app.user_id`, which last for
-- one transaction. Without them there are no rows.

CREATE FUNCTION app_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant', true), '');

CREATE FUNCTION app_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.user_id', true), '')::uuid;

CREATE TABLE portfolios (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    base_ccy text NOT NULL CHECK (base_ccy ~ '^[A-Z]{3}$'),
    benchmark_id text,
    booking text NOT NULL,
    ledger_path text NOT NULL,
    policy text NOT NULL REFERENCES pack_policy,
    UNIQUE (id, tenant, user_id)
);
CREATE INDEX portfolios_by_user ON portfolios (tenant, user_id, name);

CREATE TABLE ledger_snapshot (
    portfolio_id uuid NOT NULL,
    commit_hash text NOT NULL CHECK (commit_hash ~ '^[0-9a-f]{40}$'),
    tenant text NOT NULL,
    user_id uuid NOT NULL,
    content_hash text NOT NULL CHECK (content_hash ~ '^[0-9a-f]{64}$'),
    row_count integer NOT NULL CHECK (row_count >= 0),
    PRIMARY KEY (portfolio_id, commit_hash),
    UNIQUE (portfolio_id, commit_hash, tenant, user_id),
    -- The tenant and user of a snapshot are those of its portfolio; no policy has to look them up.
    FOREIGN KEY (portfolio_id, tenant, user_id) REFERENCES portfolios (id, tenant, user_id) ON DELETE CASCADE
);

CREATE TABLE bookings (
    portfolio_id uuid NOT NULL,
    commit_hash text NOT NULL,
    seq integer NOT NULL,
    tenant text NOT NULL,
    user_id uuid NOT NULL,
    "on" date NOT NULL,
    kind text NOT NULL,
    account text NOT NULL,
    symbol text NOT NULL,
    currency text NOT NULL,
    qty numeric NOT NULL,
    amount numeric NOT NULL,
    price numeric,
    ratio numeric,
    lot text NOT NULL,
    acquired date,
    lot_qty numeric,
    lot_cost numeric,
    gain numeric,
    pay_date date,
    source text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (portfolio_id, commit_hash, seq),
    FOREIGN KEY (portfolio_id, commit_hash, tenant, user_id)
        REFERENCES ledger_snapshot (portfolio_id, commit_hash, tenant, user_id) ON DELETE CASCADE
);
COMMENT ON TABLE bookings IS
    'The booked ledger of a portfolio at a commit: lots, cash and flows by day, in ledger order. Positions as of a day '
    'are the last state of each lot up to it.';

CREATE TABLE executions (
    execution_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    user_id uuid NOT NULL,
    request_id text NOT NULL,
    pattern_id text NOT NULL,
    pattern_digest text,
    portfolio_id uuid,
    asof date,
    pack_id uuid,
    ledger_commit text,
    status text NOT NULL,
    error_code text,
    digest text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    result bytea,
    result_sha256 text NOT NULL CHECK (result_sha256 ~ '^[0-9a-f]{64}$')
);
COMMENT ON COLUMN executions.result IS 'The ExecutionResult as it travelled; null when it is so large that it is an artifact.';
CREATE INDEX executions_by_user ON executions (tenant, user_id, finished_at DESC, execution_id);

CREATE TABLE effects (
    tenant text NOT NULL,
    idempotency_key text NOT NULL,
    user_id uuid NOT NULL,
    output bytea NOT NULL,
    PRIMARY KEY (tenant, idempotency_key)
);
COMMENT ON TABLE effects IS 'What a capability with effects answered, written in the transaction of its effect.';

CREATE TABLE artifacts (
    tenant text NOT NULL,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    bytes bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, sha256)
);
CREATE INDEX artifacts_by_expiry ON artifacts (expires_at);
COMMENT ON TABLE artifacts IS
    'Large values by content. They belong to a tenant, not to a user: who knows the digest was given it with a result. '
    'expires_at is a lease, infinity once a kept result refers to the value.';

ALTER TABLE portfolios ENABLE ROW LEVEL SECURITY;
ALTER TABLE portfolios FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger_snapshot ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_snapshot FORCE ROW LEVEL SECURITY;
ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;
ALTER TABLE bookings FORCE ROW LEVEL SECURITY;
ALTER TABLE executions ENABLE ROW LEVEL SECURITY;
ALTER TABLE executions FORCE ROW LEVEL SECURITY;
ALTER TABLE effects ENABLE ROW LEVEL SECURITY;
ALTER TABLE effects FORCE ROW LEVEL SECURITY;
ALTER TABLE artifacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE artifacts FORCE ROW LEVEL SECURITY;

-- Sub-selects, so that the settings are read once per statement and not once per row.
CREATE POLICY own_rows ON portfolios
    USING (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()))
    WITH CHECK (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()));
CREATE POLICY own_rows ON ledger_snapshot
    USING (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()))
    WITH CHECK (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()));
CREATE POLICY own_rows ON bookings
    USING (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()))
    WITH CHECK (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()));
CREATE POLICY own_rows ON executions
    USING (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()))
    WITH CHECK (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()));
CREATE POLICY own_rows ON effects
    USING (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()))
    WITH CHECK (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()));
CREATE POLICY own_tenant ON artifacts
    USING (tenant = (SELECT app_tenant()))
    WITH CHECK (tenant = (SELECT app_tenant()));

-- The collector works for all tenants. It sees and removes only what has expired.
CREATE POLICY collector_sees_expired ON artifacts FOR SELECT
    USING ((SELECT current_setting('app.task', true)) = 'collect-artifacts' AND expires_at < now());
CREATE POLICY collector_removes_expired ON artifacts FOR DELETE
    USING ((SELECT current_setting('app.task', true)) = 'collect-artifacts' AND expires_at < now());
