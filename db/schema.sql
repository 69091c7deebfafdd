-- The schema after all migrations. Written by `python -m db.schema`; change it with a new file in db/migrations/.

CREATE SEQUENCE pack_freeze_seq;

CREATE OR REPLACE FUNCTION public.app_tenant()
 RETURNS text
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN NULLIF(current_setting('app.tenant'::text, true), ''::text);

CREATE OR REPLACE FUNCTION public.app_user_id()
 RETURNS uuid
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid;

CREATE OR REPLACE FUNCTION public.is_plain_text(value text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((value <> ''::text) AND (value !~ '[\x01-\x1f\x7f]'::text));

CREATE TABLE artifacts (
    tenant text NOT NULL,
    sha256 text NOT NULL,
    bytes bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE artifacts IS 'Large values by content. They belong to a tenant, not to a user: who knows the digest was given it with a result. expires_at is a lease, infinity once a kept result refers to the value.';
ALTER TABLE artifacts ALTER COLUMN bytes SET STORAGE EXTERNAL;

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
    price_currency text
);
COMMENT ON TABLE bookings IS 'The booked ledger of a portfolio at a commit: lots, cash and flows by day, in ledger order. Positions as of a day are the last state of each lot up to it.';
COMMENT ON COLUMN bookings.price_currency IS 'Of price; for a sale it may be another than currency, the cost''s.';

CREATE TABLE calendar_sessions (
    calendar text NOT NULL,
    session date NOT NULL
);

CREATE TABLE calendars (
    calendar text NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL
);
COMMENT ON TABLE calendars IS 'The days for which calendar_sessions is complete; outside them nothing is known.';

CREATE TABLE dead_letters (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,
    reason text NOT NULL,
    stage text NOT NULL,
    origin_topic text NOT NULL,
    origin_partition integer,
    origin_offset bigint,
    arrived_at timestamp with time zone NOT NULL,
    redriven_at timestamp with time zone,
    tenant text
);
COMMENT ON COLUMN dead_letters.headers IS 'The original headers in order: [name, base64 of the value or null].';
COMMENT ON COLUMN dead_letters.tenant IS 'Whose record it says it is; null where it does not say.';

CREATE TABLE effects (
    tenant text NOT NULL,
    idempotency_key text NOT NULL,
    user_id uuid NOT NULL,
    output bytea NOT NULL
);
COMMENT ON TABLE effects IS 'What a capability with effects answered, written in the transaction of its effect.';

CREATE TABLE executions (
    execution_id uuid NOT NULL,
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
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    result bytea,
    result_sha256 text NOT NULL,
    result_partition integer,
    result_offset bigint
);
COMMENT ON COLUMN executions.result IS 'The ExecutionResult as it travelled; null when it is so large that it is an artifact.';
COMMENT ON COLUMN executions.result_offset IS 'Offset of the first result in execution-results; null for results stored before this was kept.';

CREATE TABLE fx_rates (
    pack_id uuid NOT NULL,
    asof_date date NOT NULL,
    base_ccy text NOT NULL,
    quote_ccy text NOT NULL,
    rate numeric(20,10) NOT NULL,
    source text NOT NULL,
    observed_on date NOT NULL
);
COMMENT ON COLUMN fx_rates.rate IS 'Units of quote_ccy for 1 unit of base_ccy.';

CREATE TABLE ledger_snapshot (
    portfolio_id uuid NOT NULL,
    commit_hash text NOT NULL,
    tenant text NOT NULL,
    user_id uuid NOT NULL,
    content_hash text NOT NULL,
    row_count integer NOT NULL,
    rows_version integer NOT NULL DEFAULT 1
);
COMMENT ON COLUMN ledger_snapshot.rows_version IS 'Of the rules a ledger is booked by (ROWS_VERSION); rows of a former version are replaced.';

CREATE TABLE macro_series (
    series_id text NOT NULL,
    obs_date date NOT NULL,
    vintage date NOT NULL,
    value numeric,
    source text NOT NULL,
    after_freeze bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE macro_series IS 'Macro observations as they were known: value of obs_date as published on vintage, null where it was withdrawn. A revision is a later vintage; rows never change.';
COMMENT ON COLUMN macro_series.after_freeze IS 'freeze_seq of the last pack frozen before the row was added; packs with a higher one see it.';

CREATE TABLE pack_announcements (
    pack_id uuid NOT NULL,
    policy text NOT NULL,
    asof_date date NOT NULL,
    revision integer NOT NULL,
    content_sha256 text NOT NULL,
    announced_at timestamp with time zone NOT NULL,
    record_partition integer NOT NULL,
    record_offset bigint NOT NULL,
    problem text NOT NULL
);
COMMENT ON TABLE pack_announcements IS 'Announcements that came before their rows. The projector tries each again until it fits, or until it is too old and becomes a dead letter; either way it leaves this table.';

CREATE TABLE pack_outbox (
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    pack_id uuid NOT NULL,
    policy text NOT NULL,
    asof_date date NOT NULL,
    revision integer NOT NULL,
    status text NOT NULL,
    content_sha256 text,
    published_at timestamp with time zone
);
COMMENT ON TABLE pack_outbox IS 'One row per status change, in its transaction. seq follows commit order; the relay publishes and then marks rows.';

CREATE TABLE pack_policy (
    policy text NOT NULL,
    calendar text NOT NULL,
    description text NOT NULL DEFAULT ''::text,
    expected_by time without time zone,
    time_zone text NOT NULL DEFAULT 'UTC'::text,
    expected_from date,
    required_symbols text[] NOT NULL DEFAULT '{}'::text[]
);
COMMENT ON TABLE pack_policy IS 'How packs are made: at most one fresh pack per policy and session of its calendar.';
COMMENT ON COLUMN pack_policy.expected_by IS 'Local time in time_zone by which a session''s pack is fresh on the session''s own day; null: never overdue.';
COMMENT ON COLUMN pack_policy.expected_from IS 'First session that can be overdue: when the pipeline began.';
COMMENT ON COLUMN pack_policy.required_symbols IS 'Securities without which a pack is not frozen.';

CREATE TABLE pack_provenance (
    pack_id uuid NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    name text NOT NULL,
    sha256 text
);
COMMENT ON TABLE pack_provenance IS 'Where a pack''s rows were read: a file or an address, and the SHA-256 of the bytes where there were any.';

CREATE TABLE pattern_texts (
    digest text NOT NULL,
    pattern_id text NOT NULL,
    source text NOT NULL,
    capabilities jsonb NOT NULL
);
COMMENT ON COLUMN pattern_texts.capabilities IS 'Versions of the capabilities it was compiled against.';

CREATE TABLE portfolios (
    id uuid NOT NULL,
    tenant text NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    base_ccy text NOT NULL,
    benchmark_id text,
    booking text NOT NULL,
    ledger_path text NOT NULL,
    policy text NOT NULL
);

CREATE TABLE prices (
    pack_id uuid NOT NULL,
    asof_date date NOT NULL,
    security_id uuid NOT NULL,
    close numeric(20,8) NOT NULL,
    currency text NOT NULL,
    basis text NOT NULL,
    source text NOT NULL,
    observed_on date NOT NULL
);
COMMENT ON COLUMN prices.close IS 'As quoted, in price units of the security.';

CREATE TABLE pricing_pack (
    id uuid NOT NULL,
    policy text NOT NULL,
    asof_date date NOT NULL,
    revision integer NOT NULL,
    status text NOT NULL DEFAULT 'warming'::text,
    content_sha256 text,
    supersedes uuid,
    freeze_seq bigint,
    created_at timestamp with time zone NOT NULL,
    known_at timestamp with time zone,
    checks jsonb NOT NULL DEFAULT '[]'::jsonb,
    failure text
);
COMMENT ON COLUMN pricing_pack.freeze_seq IS 'Order in which packs were frozen. A pack sees, per earlier day, the newest revision frozen before itself.';
COMMENT ON COLUMN pricing_pack.known_at IS 'When the data became known, as the builder says.';

CREATE TABLE projector_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL
);

CREATE TABLE requests (
    tenant text NOT NULL,
    request_id text NOT NULL,
    user_id uuid NOT NULL,
    sha256 text NOT NULL,
    execution_id uuid NOT NULL,
    pattern_id text NOT NULL,
    submitted_at timestamp with time zone NOT NULL DEFAULT now()
);
COMMENT ON COLUMN requests.sha256 IS 'Of the request without the time it was submitted at; another one under the same id is a conflict.';

CREATE TABLE schema_migrations (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now()
);

CREATE TABLE securities (
    id uuid NOT NULL,
    symbol text NOT NULL,
    name text NOT NULL DEFAULT ''::text,
    exchange_mic text,
    trading_ccy text NOT NULL,
    price_unit integer NOT NULL DEFAULT 1
);
COMMENT ON COLUMN securities.price_unit IS 'A quoted price divided by this is in trading_ccy: 100 for pence, else 1.';

CREATE TABLE security_identifiers (
    security_id uuid NOT NULL,
    scheme text NOT NULL,
    value text NOT NULL,
    valid_from date NOT NULL DEFAULT '-infinity'::date,
    valid_to date NOT NULL DEFAULT 'infinity'::date,
    source text NOT NULL
);
COMMENT ON TABLE security_identifiers IS 'What a security is called elsewhere (isin, figi, a vendor''s code) from valid_from to valid_to, both included. A code may be given to another security later: at any day it names one.';

CREATE TABLE security_names (
    security_id uuid NOT NULL,
    since_seq bigint NOT NULL,
    name text NOT NULL,
    exchange_mic text
);
COMMENT ON TABLE security_names IS 'What a security was called from a freeze_seq on: packs frozen with that or a later one see it, until the next row.';

ALTER TABLE artifacts ADD CONSTRAINT artifacts_pkey PRIMARY KEY (tenant, sha256);

ALTER TABLE artifacts ADD CONSTRAINT artifacts_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text));

ALTER TABLE bookings ADD CONSTRAINT bookings_pkey PRIMARY KEY (portfolio_id, commit_hash, seq);

ALTER TABLE calendar_sessions ADD CONSTRAINT calendar_sessions_pkey PRIMARY KEY (calendar, session);

ALTER TABLE calendars ADD CONSTRAINT calendars_pkey PRIMARY KEY (calendar);

ALTER TABLE calendars ADD CONSTRAINT calendars_calendar_check CHECK (is_plain_text(calendar));

ALTER TABLE calendars ADD CONSTRAINT calendars_check CHECK ((first_day <= last_day));

ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_topic_partition_offset_key UNIQUE (topic, partition, "offset");

ALTER TABLE effects ADD CONSTRAINT effects_pkey PRIMARY KEY (tenant, idempotency_key);

ALTER TABLE executions ADD CONSTRAINT executions_pkey PRIMARY KEY (execution_id);

ALTER TABLE executions ADD CONSTRAINT executions_result_offset_check CHECK ((result_offset >= 0));

ALTER TABLE executions ADD CONSTRAINT executions_result_partition_check CHECK ((result_partition >= 0));

ALTER TABLE executions ADD CONSTRAINT executions_result_sha256_check CHECK ((result_sha256 ~ '^[0-9a-f]{64}$'::text));

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_pkey PRIMARY KEY (base_ccy, quote_ccy, asof_date, pack_id);

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_base_ccy_check CHECK ((base_ccy ~ '^[A-Z]{3}$'::text));

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_check CHECK ((base_ccy <> quote_ccy));

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_quote_ccy_check CHECK ((quote_ccy ~ '^[A-Z]{3}$'::text));

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_rate_check CHECK ((rate > (0)::numeric));

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_source_check CHECK (is_plain_text(source));

ALTER TABLE ledger_snapshot ADD CONSTRAINT ledger_snapshot_pkey PRIMARY KEY (portfolio_id, commit_hash);

ALTER TABLE ledger_snapshot ADD CONSTRAINT ledger_snapshot_commit_hash_check CHECK ((commit_hash ~ '^[0-9a-f]{40}$'::text));

ALTER TABLE ledger_snapshot ADD CONSTRAINT ledger_snapshot_content_hash_check CHECK ((content_hash ~ '^[0-9a-f]{64}$'::text));

ALTER TABLE ledger_snapshot ADD CONSTRAINT ledger_snapshot_portfolio_id_commit_hash_tenant_user_id_key UNIQUE (portfolio_id, commit_hash, tenant, user_id);

ALTER TABLE ledger_snapshot ADD CONSTRAINT ledger_snapshot_row_count_check CHECK ((row_count >= 0));

ALTER TABLE macro_series ADD CONSTRAINT macro_series_pkey PRIMARY KEY (series_id, obs_date, vintage);

ALTER TABLE macro_series ADD CONSTRAINT macro_series_series_id_check CHECK (is_plain_text(series_id));

ALTER TABLE macro_series ADD CONSTRAINT macro_series_source_check CHECK (is_plain_text(source));

ALTER TABLE pack_announcements ADD CONSTRAINT pack_announcements_pkey PRIMARY KEY (pack_id);

ALTER TABLE pack_outbox ADD CONSTRAINT pack_outbox_pkey PRIMARY KEY (seq);

ALTER TABLE pack_policy ADD CONSTRAINT pack_policy_pkey PRIMARY KEY (policy);

ALTER TABLE pack_policy ADD CONSTRAINT pack_policy_policy_check CHECK (is_plain_text(policy));

ALTER TABLE pack_provenance ADD CONSTRAINT pack_provenance_pkey PRIMARY KEY (pack_id, kind, source, name);

ALTER TABLE pack_provenance ADD CONSTRAINT pack_provenance_kind_check CHECK ((kind = ANY (ARRAY['prices'::text, 'rates'::text, 'macro'::text])));

ALTER TABLE pack_provenance ADD CONSTRAINT pack_provenance_name_check CHECK (is_plain_text(name));

ALTER TABLE pack_provenance ADD CONSTRAINT pack_provenance_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text));

ALTER TABLE pack_provenance ADD CONSTRAINT pack_provenance_source_check CHECK (is_plain_text(source));

ALTER TABLE pattern_texts ADD CONSTRAINT pattern_texts_pkey PRIMARY KEY (digest);

ALTER TABLE pattern_texts ADD CONSTRAINT pattern_texts_digest_check CHECK ((digest ~ '^[0-9a-f]{64}$'::text));

ALTER TABLE portfolios ADD CONSTRAINT portfolios_pkey PRIMARY KEY (id);

ALTER TABLE portfolios ADD CONSTRAINT portfolios_base_ccy_check CHECK ((base_ccy ~ '^[A-Z]{3}$'::text));

ALTER TABLE portfolios ADD CONSTRAINT portfolios_id_tenant_user_id_key UNIQUE (id, tenant, user_id);

ALTER TABLE prices ADD CONSTRAINT prices_pkey PRIMARY KEY (security_id, asof_date, pack_id);

ALTER TABLE prices ADD CONSTRAINT prices_basis_check CHECK ((basis = ANY (ARRAY['raw'::text, 'split'::text, 'total'::text])));

ALTER TABLE prices ADD CONSTRAINT prices_close_check CHECK ((close >= (0)::numeric));

ALTER TABLE prices ADD CONSTRAINT prices_source_check CHECK (is_plain_text(source));

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_pkey PRIMARY KEY (id);

ALTER TABLE pricing_pack ADD CONSTRAINT failed_says_why CHECK (((status = 'failed'::text) = (failure IS NOT NULL)));

ALTER TABLE pricing_pack ADD CONSTRAINT frozen_is_complete CHECK ((((status = ANY (ARRAY['fresh'::text, 'superseded'::text])) = (content_sha256 IS NOT NULL)) AND ((content_sha256 IS NULL) = (freeze_seq IS NULL)) AND ((content_sha256 IS NULL) = (known_at IS NULL))));

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_content_sha256_check CHECK ((content_sha256 ~ '^[0-9a-f]{64}$'::text));

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_freeze_seq_key UNIQUE (freeze_seq);

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_id_asof_date_key UNIQUE (id, asof_date);

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_policy_asof_date_revision_key UNIQUE (policy, asof_date, revision);

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_revision_check CHECK ((revision >= 1));

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_status_check CHECK ((status = ANY (ARRAY['warming'::text, 'fresh'::text, 'superseded'::text, 'failed'::text])));

ALTER TABLE projector_offsets ADD CONSTRAINT projector_offsets_pkey PRIMARY KEY (topic, partition);

ALTER TABLE projector_offsets ADD CONSTRAINT projector_offsets_next_offset_check CHECK ((next_offset >= 0));

ALTER TABLE projector_offsets ADD CONSTRAINT projector_offsets_partition_check CHECK ((partition >= 0));

ALTER TABLE requests ADD CONSTRAINT requests_pkey PRIMARY KEY (tenant, request_id);

ALTER TABLE schema_migrations ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (name);

ALTER TABLE securities ADD CONSTRAINT securities_pkey PRIMARY KEY (id);

ALTER TABLE securities ADD CONSTRAINT securities_id_trading_ccy_key UNIQUE (id, trading_ccy);

ALTER TABLE securities ADD CONSTRAINT securities_price_unit_check CHECK ((price_unit > 0));

ALTER TABLE securities ADD CONSTRAINT securities_symbol_check CHECK (is_plain_text(symbol));

ALTER TABLE securities ADD CONSTRAINT securities_symbol_key UNIQUE (symbol);

ALTER TABLE securities ADD CONSTRAINT securities_trading_ccy_check CHECK ((trading_ccy ~ '^[A-Z]{3}$'::text));

ALTER TABLE security_identifiers ADD CONSTRAINT security_identifiers_pkey PRIMARY KEY (scheme, value, valid_from);

ALTER TABLE security_identifiers ADD CONSTRAINT security_identifiers_check CHECK ((valid_from <= valid_to));

ALTER TABLE security_identifiers ADD CONSTRAINT security_identifiers_scheme_check CHECK ((scheme ~ '^[a-z][a-z0-9_-]*$'::text));

ALTER TABLE security_identifiers ADD CONSTRAINT security_identifiers_source_check CHECK (is_plain_text(source));

ALTER TABLE security_identifiers ADD CONSTRAINT security_identifiers_value_check CHECK (is_plain_text(value));

ALTER TABLE security_names ADD CONSTRAINT security_names_pkey PRIMARY KEY (security_id, since_seq);

ALTER TABLE bookings ADD CONSTRAINT bookings_portfolio_id_commit_hash_tenant_user_id_fkey FOREIGN KEY (portfolio_id, commit_hash, tenant, user_id) REFERENCES ledger_snapshot(portfolio_id, commit_hash, tenant, user_id) ON DELETE CASCADE;

ALTER TABLE calendar_sessions ADD CONSTRAINT calendar_sessions_calendar_fkey FOREIGN KEY (calendar) REFERENCES calendars(calendar);

ALTER TABLE fx_rates ADD CONSTRAINT fx_rates_pack_id_asof_date_fkey FOREIGN KEY (pack_id, asof_date) REFERENCES pricing_pack(id, asof_date);

ALTER TABLE ledger_snapshot ADD CONSTRAINT ledger_snapshot_portfolio_id_tenant_user_id_fkey FOREIGN KEY (portfolio_id, tenant, user_id) REFERENCES portfolios(id, tenant, user_id) ON DELETE CASCADE;

ALTER TABLE pack_policy ADD CONSTRAINT pack_policy_calendar_fkey FOREIGN KEY (calendar) REFERENCES calendars(calendar);

ALTER TABLE pack_provenance ADD CONSTRAINT pack_provenance_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES pricing_pack(id);

ALTER TABLE portfolios ADD CONSTRAINT portfolios_policy_fkey FOREIGN KEY (policy) REFERENCES pack_policy(policy);

ALTER TABLE prices ADD CONSTRAINT prices_pack_id_asof_date_fkey FOREIGN KEY (pack_id, asof_date) REFERENCES pricing_pack(id, asof_date);

ALTER TABLE prices ADD CONSTRAINT prices_security_id_currency_fkey FOREIGN KEY (security_id, currency) REFERENCES securities(id, trading_ccy);

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_policy_fkey FOREIGN KEY (policy) REFERENCES pack_policy(policy);

ALTER TABLE pricing_pack ADD CONSTRAINT pricing_pack_supersedes_fkey FOREIGN KEY (supersedes) REFERENCES pricing_pack(id);

ALTER TABLE security_identifiers ADD CONSTRAINT security_identifiers_security_id_fkey FOREIGN KEY (security_id) REFERENCES securities(id);

ALTER TABLE security_names ADD CONSTRAINT security_names_security_id_fkey FOREIGN KEY (security_id) REFERENCES securities(id);

CREATE INDEX artifacts_by_expiry ON public.artifacts USING btree (expires_at);

CREATE UNIQUE INDEX dead_letters_once ON public.dead_letters USING btree (origin_topic, origin_partition, origin_offset, stage, sha256(COALESCE(value, '\x'::bytea)));

CREATE INDEX dead_letters_open ON public.dead_letters USING btree (id) WHERE (redriven_at IS NULL);

CREATE INDEX executions_by_place ON public.executions USING btree (tenant, user_id, result_partition, result_offset) WHERE (result_offset IS NOT NULL);

CREATE INDEX executions_by_start ON public.executions USING btree (tenant, user_id, started_at DESC, execution_id DESC);

CREATE INDEX executions_by_user ON public.executions USING btree (tenant, user_id, finished_at DESC, execution_id);

CREATE INDEX fx_rates_by_pack ON public.fx_rates USING btree (pack_id);

CREATE INDEX pack_outbox_pending ON public.pack_outbox USING btree (seq) WHERE (published_at IS NULL);

CREATE INDEX portfolios_by_user ON public.portfolios USING btree (tenant, user_id, name);

CREATE INDEX prices_by_pack ON public.prices USING btree (pack_id);

CREATE INDEX pricing_pack_history ON public.pricing_pack USING btree (policy, asof_date, revision DESC) INCLUDE (id, freeze_seq) WHERE (freeze_seq IS NOT NULL);

CREATE UNIQUE INDEX pricing_pack_one_fresh ON public.pricing_pack USING btree (policy, asof_date) WHERE (status = 'fresh'::text);

CREATE INDEX requests_by_age ON public.requests USING btree (submitted_at);

CREATE INDEX requests_by_execution ON public.requests USING btree (execution_id);

CREATE INDEX security_identifiers_by_security ON public.security_identifiers USING btree (security_id, scheme, valid_from);

CREATE OR REPLACE FUNCTION public.act_for(for_tenant text, for_user uuid)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM set_config('app.tenant', for_tenant, true), set_config('app.user_id', for_user::text, true);
END
$function$;

CREATE OR REPLACE FUNCTION public.claim_request(for_tenant text, for_user uuid, request text, body text, execution uuid, pattern text, OUT made boolean, OUT known_sha256 text, OUT known_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
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
$function$;

CREATE OR REPLACE FUNCTION public.fail_pack(pack uuid, reason text, findings text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    found_status text;
BEGIN
    SELECT status INTO found_status FROM pricing_pack WHERE id = pack FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no pack %', pack USING ERRCODE = 'no_data_found';
    END IF;
    IF found_status = 'failed' THEN
        RETURN false;
    END IF;
    UPDATE pricing_pack SET status = 'failed', failure = reason, checks = coalesce(findings::jsonb, '[]')
        WHERE id = pack;
    RETURN true;
END
$function$;

CREATE OR REPLACE FUNCTION public.freeze_packs(packs uuid[], expected text[], known timestamp with time zone, findings text[])
 RETURNS TABLE(pack_id uuid, sha256 text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    pack pricing_pack;
    older uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    FOR place IN 1 .. cardinality(packs) LOOP
        SELECT * INTO pack FROM pricing_pack WHERE id = packs[place] FOR UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no pack %', packs[place] USING ERRCODE = 'no_data_found';
        END IF;
        IF pack.status IN ('fresh', 'superseded') AND pack.content_sha256 = coalesce(expected[place], pack.content_sha256)
        THEN
            -- Said twice: nothing to do.
            pack_id := pack.id;
            sha256 := pack.content_sha256;
            RETURN NEXT;
            CONTINUE;
        ELSIF pack.status IN ('fresh', 'superseded') THEN
            RAISE EXCEPTION 'content of pack %: expected SHA-256 %, it was frozen with %',
                pack.id, expected[place], pack.content_sha256 USING ERRCODE = 'check_violation';
        ELSIF pack.status = 'failed' THEN
            RAISE EXCEPTION 'pack % has failed (%): it cannot be frozen', pack.id, pack.failure
                USING ERRCODE = 'restrict_violation';
        END IF;
        SELECT id INTO older FROM pricing_pack
            WHERE policy = pack.policy AND asof_date = pack.asof_date AND status = 'fresh' FOR UPDATE;
        IF EXISTS (
            SELECT FROM pricing_pack
            WHERE policy = pack.policy AND asof_date = pack.asof_date AND revision > pack.revision
                AND status IN ('fresh', 'superseded')
        ) THEN
            RAISE EXCEPTION 'pack % is revision % of %: a newer revision was frozen already',
                pack.id, pack.revision, pack.asof_date USING ERRCODE = 'restrict_violation';
        END IF;
        UPDATE pricing_pack SET status = 'superseded' WHERE id = older;
        UPDATE pricing_pack
            SET status = 'fresh', content_sha256 = expected[place], known_at = known, supersedes = older,
                checks = coalesce(findings[place]::jsonb, '[]')
            WHERE id = pack.id
            RETURNING content_sha256 INTO sha256;
        pack_id := pack.id;
        RETURN NEXT;
    END LOOP;
END
$function$;

CREATE OR REPLACE FUNCTION public.get_artifact(for_tenant text, for_user uuid, digest text, at timestamp with time zone)
 RETURNS bytea
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    RETURN (SELECT bytes FROM artifacts WHERE sha256 = digest AND expires_at >= at);
END
$function$;

CREATE OR REPLACE FUNCTION public.get_portfolio(for_tenant text, for_user uuid, portfolio_id uuid)
 RETURNS SETOF portfolios
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    RETURN QUERY SELECT * FROM portfolios WHERE id = portfolio_id;
END
$function$;

CREATE OR REPLACE FUNCTION public.identifiers_name_one()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
DECLARE
    other security_identifiers;
BEGIN
    -- One writer at a time, or two could each miss the other's row.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.identifiers', 0));
    SELECT * INTO other FROM security_identifiers
        WHERE scheme = NEW.scheme AND value = NEW.value AND valid_from <> NEW.valid_from
            AND valid_from <= NEW.valid_to AND valid_to >= NEW.valid_from
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% % is already in use from % to %', NEW.scheme, NEW.value, other.valid_from, other.valid_to
            USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION public.macro_row_is_placed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    -- The lock of freezing, held until commit: no pack is frozen between this number and the row's being there.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO NEW.after_freeze FROM pack_freeze_seq;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION public.next_freeze_seq()
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    -- Held until commit, as by whoever freezes a pack: none is frozen between this and that others see what it is for.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    RETURN (SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM pack_freeze_seq);
END
$function$;

CREATE OR REPLACE FUNCTION public.pack_content_sha256(pack uuid)
 RETURNS text
 LANGUAGE sql
 STABLE
RETURN (SELECT encode(sha256(convert_to(string_agg(lines.line, ''::text ORDER BY (lines.line COLLATE "C")), 'UTF8'::name)), 'hex'::text) AS encode FROM (SELECT (concat_ws(''::text, 'price', securities.symbol, (trim_scale(prices.close))::text, prices.currency, prices.basis, prices.source, to_char((prices.observed_on)::timestamp with time zone, 'YYYY-MM-DD'::text)) || '
'::text) AS line FROM (prices JOIN securities ON ((securities.id = prices.security_id))) WHERE (prices.pack_id = pack_content_sha256.pack) UNION ALL SELECT (concat_ws(''::text, 'fx', fx_rates.base_ccy, fx_rates.quote_ccy, (trim_scale(fx_rates.rate))::text, fx_rates.source, to_char((fx_rates.observed_on)::timestamp with time zone, 'YYYY-MM-DD'::text)) || '
'::text) FROM fx_rates WHERE (fx_rates.pack_id = pack_content_sha256.pack)) lines);

CREATE OR REPLACE FUNCTION public.pack_ref(pack pricing_pack)
 RETURNS text
 LANGUAGE sql
 STABLE
RETURN (json_build_object('pack_id', (pack).id, 'policy', (pack).policy, 'asof_date', (pack).asof_date, 'revision', (pack).revision, 'status', (pack).status, 'content_sha256', (pack).content_sha256))::text;

CREATE OR REPLACE FUNCTION public.pricing_pack_lives()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    actual text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'warming' THEN
            RAISE EXCEPTION 'a pack begins as warming, not as %', NEW.status USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.policy, NEW.asof_date, NEW.revision, NEW.created_at)
        IS DISTINCT FROM (OLD.id, OLD.policy, OLD.asof_date, OLD.revision, OLD.created_at) THEN
        RAISE EXCEPTION 'id, policy, day, revision and creation time of pack % cannot change', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.status, NEW.status) NOT IN (('warming', 'fresh'), ('warming', 'failed'), ('fresh', 'superseded')) THEN
        RAISE EXCEPTION 'pack % is %: it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status = 'superseded' AND
        (NEW.content_sha256, NEW.supersedes, NEW.freeze_seq, NEW.known_at, NEW.checks)
        IS DISTINCT FROM (OLD.content_sha256, OLD.supersedes, OLD.freeze_seq, OLD.known_at, OLD.checks) THEN
        RAISE EXCEPTION 'pack % is frozen: nothing but its status can change', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status = 'fresh' THEN
        -- Taken before freeze_seq is drawn and held until commit: freeze_seq follows commit order, so what a pack
        -- sees never changes afterwards.
        PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
        actual := pack_content_sha256(NEW.id);
        IF actual IS NULL THEN
            RAISE EXCEPTION 'pack % has no rows', NEW.id USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.content_sha256 <> actual THEN
            RAISE EXCEPTION 'content of pack %: expected SHA-256 %, its rows give %', NEW.id, NEW.content_sha256, actual
                USING ERRCODE = 'check_violation';
        END IF;
        NEW.content_sha256 := actual;
        NEW.freeze_seq := nextval('pack_freeze_seq');
    END IF;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION public.pricing_pack_tells()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    -- Held until commit, so that seq follows commit order.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    INSERT INTO pack_outbox (pack_id, policy, asof_date, revision, status, content_sha256)
        VALUES (NEW.id, NEW.policy, NEW.asof_date, NEW.revision, NEW.status, NEW.content_sha256);
    PERFORM pg_notify('pack_outbox', '');
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.put_artifact(for_tenant text, for_user uuid, digest text, content bytea, until timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    INSERT INTO artifacts (tenant, sha256, bytes, expires_at) VALUES (for_tenant, digest, content, until)
    ON CONFLICT (tenant, sha256) DO UPDATE SET expires_at = greatest(artifacts.expires_at, excluded.expires_at);
END
$function$;

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are never changed or removed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$function$;

CREATE OR REPLACE FUNCTION public.rows_need_warming_pack()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    pack record;
BEGIN
    -- The share lock waits for a freeze that is under way, and makes a later freeze wait for these rows.
    FOR pack IN
        SELECT id, status FROM pricing_pack WHERE id IN (SELECT pack_id FROM added) ORDER BY id FOR SHARE
    LOOP
        IF pack.status <> 'warming' THEN
            RAISE EXCEPTION 'rows can only be added to a warming pack; pack % is %', pack.id, pack.status
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.securities_keep_units()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF (NEW.id, NEW.symbol, NEW.trading_ccy, NEW.price_unit)
        IS DISTINCT FROM (OLD.id, OLD.symbol, OLD.trading_ccy, OLD.price_unit) THEN
        RAISE EXCEPTION 'symbol, trading_ccy and price_unit of security % cannot change: frozen packs rest on them',
            OLD.symbol USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION public.securities_note_names()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    next_seq bigint := next_freeze_seq();
BEGIN
    INSERT INTO security_names (security_id, since_seq, name, exchange_mic)
        SELECT named.id, next_seq, named.name, named.exchange_mic
        FROM named LEFT JOIN LATERAL (
            SELECT * FROM security_names WHERE security_id = named.id ORDER BY since_seq DESC LIMIT 1
        ) AS known ON true
        WHERE known.security_id IS NULL
            OR (known.name, known.exchange_mic) IS DISTINCT FROM (named.name, named.exchange_mic)
    ON CONFLICT (security_id, since_seq) DO UPDATE SET name = excluded.name, exchange_mic = excluded.exchange_mic;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION public.security_names_keep()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF OLD.since_seq < next_freeze_seq() OR NEW.since_seq <> OLD.since_seq OR NEW.security_id <> OLD.security_id THEN
        RAISE EXCEPTION 'a name that frozen packs show cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION public.touch_artifact(for_tenant text, for_user uuid, digest text, until timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM act_for(for_tenant, for_user);
    UPDATE artifacts SET expires_at = greatest(expires_at, until) WHERE sha256 = digest;
    RETURN found;
END
$function$;

CREATE TRIGGER fx_rates_immutable BEFORE DELETE OR UPDATE OR TRUNCATE ON public.fx_rates FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER fx_rates_only_while_warming AFTER INSERT ON public.fx_rates REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rows_need_warming_pack();

CREATE TRIGGER macro_series_immutable BEFORE DELETE OR UPDATE OR TRUNCATE ON public.macro_series FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER macro_series_placed BEFORE INSERT ON public.macro_series FOR EACH ROW EXECUTE FUNCTION macro_row_is_placed();

CREATE TRIGGER pack_provenance_immutable BEFORE DELETE OR UPDATE OR TRUNCATE ON public.pack_provenance FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER prices_immutable BEFORE DELETE OR UPDATE OR TRUNCATE ON public.prices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER prices_only_while_warming AFTER INSERT ON public.prices REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rows_need_warming_pack();

CREATE TRIGGER pricing_pack_event AFTER INSERT OR UPDATE OF status ON public.pricing_pack FOR EACH ROW EXECUTE FUNCTION pricing_pack_tells();

CREATE TRIGGER pricing_pack_kept BEFORE DELETE OR TRUNCATE ON public.pricing_pack FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER pricing_pack_life BEFORE INSERT OR UPDATE ON public.pricing_pack FOR EACH ROW EXECUTE FUNCTION pricing_pack_lives();

CREATE TRIGGER securities_named AFTER INSERT ON public.securities REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION securities_note_names();

CREATE TRIGGER securities_renamed AFTER UPDATE ON public.securities REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION securities_note_names();

CREATE TRIGGER securities_units BEFORE UPDATE ON public.securities FOR EACH ROW EXECUTE FUNCTION securities_keep_units();

CREATE TRIGGER identifiers_one BEFORE INSERT OR UPDATE ON public.security_identifiers FOR EACH ROW EXECUTE FUNCTION identifiers_name_one();

CREATE TRIGGER security_names_kept BEFORE DELETE OR TRUNCATE ON public.security_names FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER security_names_shown BEFORE UPDATE ON public.security_names FOR EACH ROW EXECUTE FUNCTION security_names_keep();

ALTER TABLE artifacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE artifacts FORCE ROW LEVEL SECURITY;

ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;
ALTER TABLE bookings FORCE ROW LEVEL SECURITY;

ALTER TABLE effects ENABLE ROW LEVEL SECURITY;
ALTER TABLE effects FORCE ROW LEVEL SECURITY;

ALTER TABLE executions ENABLE ROW LEVEL SECURITY;
ALTER TABLE executions FORCE ROW LEVEL SECURITY;

ALTER TABLE ledger_snapshot ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_snapshot FORCE ROW LEVEL SECURITY;

ALTER TABLE portfolios ENABLE ROW LEVEL SECURITY;
ALTER TABLE portfolios FORCE ROW LEVEL SECURITY;

ALTER TABLE requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE requests FORCE ROW LEVEL SECURITY;

CREATE POLICY collector_removes_expired ON artifacts AS PERMISSIVE FOR DELETE TO public
    USING (((( SELECT current_setting('app.task'::text, true) AS current_setting) = 'collect-artifacts'::text) AND (expires_at < now())));

CREATE POLICY collector_sees_expired ON artifacts AS PERMISSIVE FOR SELECT TO public
    USING (((( SELECT current_setting('app.task'::text, true) AS current_setting) = 'collect-artifacts'::text) AND (expires_at < now())));

CREATE POLICY own_tenant ON artifacts AS PERMISSIVE FOR ALL TO public
    USING ((tenant = ( SELECT app_tenant() AS app_tenant)))
    WITH CHECK ((tenant = ( SELECT app_tenant() AS app_tenant)));

CREATE POLICY own_rows ON bookings AS PERMISSIVE FOR ALL TO public
    USING (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))))
    WITH CHECK (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))));

CREATE POLICY own_rows ON effects AS PERMISSIVE FOR ALL TO public
    USING (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))))
    WITH CHECK (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))));

CREATE POLICY own_rows ON executions AS PERMISSIVE FOR ALL TO public
    USING (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))))
    WITH CHECK (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))));

CREATE POLICY own_rows ON ledger_snapshot AS PERMISSIVE FOR ALL TO public
    USING (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))))
    WITH CHECK (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))));

CREATE POLICY own_rows ON portfolios AS PERMISSIVE FOR ALL TO public
    USING (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))))
    WITH CHECK (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))));

CREATE POLICY collector_removes ON requests AS PERMISSIVE FOR DELETE TO public
    USING ((( SELECT current_setting('app.task'::text, true) AS current_setting) = 'collect-requests'::text));

CREATE POLICY collector_sees ON requests AS PERMISSIVE FOR SELECT TO public
    USING ((( SELECT current_setting('app.task'::text, true) AS current_setting) = 'collect-requests'::text));

CREATE POLICY own_rows ON requests AS PERMISSIVE FOR ALL TO public
    USING (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))))
    WITH CHECK (((tenant = ( SELECT app_tenant() AS app_tenant)) AND (user_id = ( SELECT app_user_id() AS app_user_id))));

REVOKE ALL ON FUNCTION fail_pack(uuid,text,text) FROM PUBLIC;

REVOKE ALL ON FUNCTION freeze_packs(uuid[],text[],timestamp with time zone,text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION macro_row_is_placed() FROM PUBLIC;

REVOKE ALL ON FUNCTION next_freeze_seq() FROM PUBLIC;

ALTER SEQUENCE pack_freeze_seq OWNED BY pricing_pack.freeze_seq;
