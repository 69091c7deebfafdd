-- What the steps of an execution wait for most often: each was four round trips (begin, say for whom, the statement,
-- commit). Called outside a transaction, each of these is a transaction of its own, with which what it sets ends. Rights
-- and row-level security are the caller's.

CREATE FUNCTION act_for(for_tenant text, for_user uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.tenant', for_tenant, true), set_config('app.user_id', for_user::text, true);
END
$$;

CREATE FUNCTION put_artifact(for_tenant text, for_user uuid, digest text, content bytea, until timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    INSERT INTO artifacts (tenant, sha256, bytes, expires_at) VALUES (for_tenant, digest, content, until)
    ON CONFLICT (tenant, sha256) DO UPDATE SET expires_at = greatest(artifacts.expires_at, excluded.expires_at);
END
$$;

CREATE FUNCTION get_artifact(for_tenant text, for_user uuid, digest text, at timestamptz)
RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    RETURN (SELECT bytes FROM artifacts WHERE sha256 = digest AND expires_at >= at);
END
$$;

CREATE FUNCTION touch_artifact(for_tenant text, for_user uuid, digest text, until timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    UPDATE artifacts SET expires_at = greatest(expires_at, until) WHERE sha256 = digest;
    RETURN found;
END
$$;

CREATE FUNCTION get_portfolio(for_tenant text, for_user uuid, portfolio_id uuid)
RETURNS SETOF portfolios LANGUAGE plpgsql AS $$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    RETURN QUERY SELECT * FROM portfolios WHERE id = portfolio_id;
END
$$;
