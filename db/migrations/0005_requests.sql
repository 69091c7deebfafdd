-- What the gateway was asked for, noted before it is published: so it knows a repeated request for longer than the engine.

CREATE TABLE requests (
    tenant text NOT NULL,
    request_id text NOT NULL,
    user_id uuid NOT NULL,
    sha256 text NOT NULL,
    execution_id uuid NOT NULL,
    pattern_id text NOT NULL,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, request_id)
);
COMMENT ON COLUMN requests.sha256 IS 'Of the request without the time it was submitted at; another one under the same id is a conflict.';
CREATE INDEX requests_by_execution ON requests (execution_id);
CREATE INDEX requests_by_age ON requests (submitted_at);

ALTER TABLE requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE requests FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON requests
    USING (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()))
    WITH CHECK (tenant = (SELECT app_tenant()) AND user_id = (SELECT app_user_id()));
CREATE POLICY collector_sees ON requests FOR SELECT
    USING ((SELECT current_setting('app.task', true)) = 'collect-requests');
CREATE POLICY collector_removes ON requests FOR DELETE
    USING ((SELECT current_setting('app.task', true)) = 'collect-requests');

-- One round trip on the way of every named request. `made` is false when the id is taken; then `known_sha256` says by
-- what, and is null when it is another user's.
CREATE FUNCTION claim_request(
    for_tenant text, for_user uuid, request text, body text, execution uuid, pattern text,
    OUT made boolean, OUT known_sha256 text, OUT known_at timestamptz
)
LANGUAGE plpgsql
SET search_path TO 'public', 'pg_temp'
AS $$
BEGIN
    PERFORM set_config('app.tenant', for_tenant, true), set_config('app.user_id', for_user::text, true);
    INSERT INTO requests (tenant, request_id, user_id, sha256, execution_id, pattern_id)
        VALUES (for_tenant, request, for_user, body, execution, pattern)
        ON CONFLICT (tenant, request_id) DO NOTHING
        RETURNING submitted_at INTO known_at;
    made := FOUND;
    IF made THEN
        known_sha256 := body;
    ELSE
        SELECT sha256, submitted_at INTO known_sha256, known_at FROM requests
            WHERE tenant = for_tenant AND request_id = request;
    END IF;
END
$$;

CREATE INDEX executions_by_start ON executions (tenant, user_id, started_at DESC, execution_id DESC);
