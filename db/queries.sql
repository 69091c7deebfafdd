-- Every statement of the repositories, by name. Parameters are asyncpg's $1, $2, …

-- name: current_role
SELECT rolname AS name, rolsuper OR rolbypassrls AS bypasses FROM pg_roles WHERE rolname = current_user

-- name: act_for
SELECT act_for($1, $2)

-- name: pack_facts
-- Everything the decision table needs, in one round trip. $1 policy, $2 day or null, $3 pack or null.
WITH known AS (
    SELECT calendars.calendar, first_day, last_day
    FROM pack_policy JOIN calendars USING (calendar) WHERE policy = $1
), given AS (
    SELECT * FROM pricing_pack WHERE id = $3
), days AS (
    SELECT
        (SELECT max(session) FROM calendar_sessions JOIN known USING (calendar) WHERE session <= $2::date) AS session,
        (SELECT max(asof_date) FROM pricing_pack WHERE policy = $1 AND status <> 'failed') AS newest,
        (SELECT max(asof_date) FROM pricing_pack WHERE policy = $1) AS newest_any
), target AS (
    SELECT
        coalesce((SELECT policy FROM given), $1) AS policy,
        CASE
            WHEN $3::uuid IS NOT NULL THEN (SELECT asof_date FROM given)
            WHEN $2::date IS NOT NULL THEN session
            ELSE newest
        END AS day
    FROM days
)
SELECT
    (SELECT first_day FROM known) AS first_day,
    (SELECT last_day FROM known) AS last_day,
    days.session,
    days.newest,
    CASE WHEN newest IS NULL OR newest_any > newest THEN newest_any END AS newest_failed,
    (SELECT pack_ref(given) FROM given) AS given,
    (
        SELECT array_agg(pack_ref(pack)) FROM pricing_pack AS pack
        WHERE pack.policy = target.policy AND pack.asof_date = target.day
    ) AS revisions,
    (
        SELECT pack_ref(pack) FROM pricing_pack AS pack
        WHERE pack.policy = target.policy AND pack.asof_date < target.day AND pack.status = 'fresh'
        ORDER BY pack.asof_date DESC LIMIT 1
    ) AS previous_fresh
FROM days, target

-- name: pack_series
-- $1 pack, $2 symbols, $3 currencies, $4 first day or null. $5 policy, $6 last day, $7 freeze_seq and $8 usable currencies
-- of a series known already, null for none: where that is the beginning of this one, only later days are read.
-- First row: 'rest' then, else 'all'; policy, pivots, freeze_seq and usable currencies of this one; its days. Then a row for
-- each symbol and pair: days is null when every day has a value, observed is null when every value was observed on its pack's
-- day.
WITH own AS MATERIALIZED (
    SELECT policy, asof_date, freeze_seq FROM pricing_pack WHERE id = $1
), sides AS MATERIALIZED (
    SELECT unnest(ARRAY[base_ccy, quote_ccy]) AS currency FROM fx_rates WHERE pack_id = $1
), pivots AS MATERIALIZED (
    -- What cross rates can go through.
    SELECT currency FROM sides GROUP BY currency HAVING count(*) > 1
), usable AS MATERIALIZED (
    SELECT coalesce(array_agg(currency ORDER BY currency), '{}') AS currencies
    FROM (SELECT unnest($3::text[]) AS currency UNION SELECT currency FROM pivots) AS either
), reach AS MATERIALIZED (
    SELECT
        own.policy = $5 AND own.asof_date > $6::date AND own.freeze_seq >= $7::bigint AND usable.currencies = $8::text[]
        AND NOT EXISTS (
            SELECT FROM pricing_pack AS revised
            WHERE revised.policy = own.policy AND revised.asof_date BETWEEN coalesce($4::date, '-infinity') AND $6
                AND revised.freeze_seq > $7 AND revised.freeze_seq <= own.freeze_seq
        ) AS grows
    FROM own, usable
), seen AS MATERIALIZED (
    SELECT DISTINCT ON (pack.asof_date) pack.id, pack.asof_date
    FROM own JOIN pricing_pack AS pack
        ON pack.policy = own.policy AND pack.asof_date <= own.asof_date AND pack.freeze_seq <= own.freeze_seq
    WHERE pack.asof_date >= (SELECT CASE WHEN grows THEN $6 + 1 ELSE coalesce($4, '-infinity') END FROM reach)
    ORDER BY pack.asof_date, pack.revision DESC
), extent AS MATERIALIZED (
    SELECT count(*) AS length, min(asof_date) AS first, max(asof_date) AS last FROM seen
), pairs AS MATERIALIZED (
    SELECT base.currency AS base_ccy, quote.currency AS quote_ccy
    FROM usable, unnest(usable.currencies) AS base (currency), unnest(usable.currencies) AS quote (currency)
    WHERE base.currency <> quote.currency
        AND (base.currency = ANY ($3::text[]) OR quote.currency = ANY ($3::text[]))
)
SELECT
    CASE WHEN (SELECT grows FROM reach) THEN 'rest' ELSE 'all' END AS kind, (SELECT policy FROM own) AS name,
    (SELECT coalesce(string_agg(currency, ','), '') FROM pivots) AS currency, 1 AS price_unit,
    array_agg(asof_date ORDER BY asof_date) AS days, NULL::date[] AS observed,
    (SELECT freeze_seq::text FROM own) AS numbers, (SELECT currencies FROM usable) AS sources
FROM seen
UNION ALL
SELECT 'price', symbol, trading_ccy, price_unit, days, observed, numbers, sources
FROM securities CROSS JOIN LATERAL (
    SELECT
        CASE WHEN count(*) < (SELECT length FROM extent) THEN array_agg(prices.asof_date ORDER BY prices.asof_date) END
            AS days,
        CASE WHEN bool_or(observed_on <> prices.asof_date) THEN array_agg(observed_on ORDER BY prices.asof_date) END
            AS observed,
        string_agg(close::text, ',' ORDER BY prices.asof_date) AS numbers,
        CASE WHEN min(source) = max(source) THEN ARRAY[min(source)] ELSE array_agg(DISTINCT source) END AS sources
    FROM prices JOIN seen ON seen.id = prices.pack_id
    WHERE prices.security_id = securities.id
        AND prices.asof_date BETWEEN (SELECT first FROM extent) AND (SELECT last FROM extent)
) AS history
WHERE symbol = ANY ($2::text[]) AND numbers IS NOT NULL
UNION ALL
SELECT 'rate', base_ccy, quote_ccy, 1, days, NULL, numbers, sources
FROM pairs CROSS JOIN LATERAL (
    SELECT
        CASE WHEN count(*) < (SELECT length FROM extent) THEN array_agg(fx_rates.asof_date ORDER BY fx_rates.asof_date)
            END AS days,
        string_agg(rate::text, ',' ORDER BY fx_rates.asof_date) AS numbers,
        CASE WHEN min(source) = max(source) THEN ARRAY[min(source)] ELSE array_agg(DISTINCT source) END AS sources
    FROM fx_rates JOIN seen ON seen.id = fx_rates.pack_id
    WHERE fx_rates.base_ccy = pairs.base_ccy AND fx_rates.quote_ccy = pairs.quote_ccy
        AND fx_rates.asof_date BETWEEN (SELECT first FROM extent) AND (SELECT last FROM extent)
) AS history
WHERE numbers IS NOT NULL

-- name: securities_known
SELECT symbol, name, trading_ccy, exchange_mic, price_unit FROM securities WHERE symbol = ANY ($1::text[])

-- name: securities_seen
SELECT symbol, seen.name, trading_ccy, seen.exchange_mic, price_unit
FROM securities CROSS JOIN LATERAL (
    SELECT name, exchange_mic FROM security_names
    WHERE security_id = securities.id AND since_seq <= (SELECT freeze_seq FROM pricing_pack WHERE id = $1)
    ORDER BY since_seq DESC LIMIT 1
) AS seen
WHERE symbol = ANY ($2::text[])

-- name: pack_ref
SELECT pack_ref(pack) FROM pricing_pack AS pack WHERE id = $1

-- name: pack_show
SELECT
    pack_ref(pack) AS ref, supersedes, freeze_seq, created_at, known_at, checks, failure,
    (SELECT count(*) FROM prices WHERE pack_id = pack.id) AS prices,
    (SELECT count(*) FROM fx_rates WHERE pack_id = pack.id) AS rates
FROM pricing_pack AS pack WHERE id = $1

-- name: pack_list
SELECT
    pack_ref(pack) AS ref, supersedes, freeze_seq, created_at, known_at, checks, failure,
    (SELECT count(*) FROM prices WHERE pack_id = pack.id) AS prices,
    (SELECT count(*) FROM fx_rates WHERE pack_id = pack.id) AS rates
FROM pricing_pack AS pack
WHERE ($1::text IS NULL OR policy = $1)
    AND ($2::date IS NULL OR asof_date >= $2)
    AND ($3::date IS NULL OR asof_date <= $3)
    AND ($4::text IS NULL OR status = $4)
ORDER BY asof_date DESC, policy, revision DESC
LIMIT $5

-- name: pack_prices
SELECT symbol, trim_scale(close)::text, currency, observed_on, source, basis
FROM prices JOIN securities ON securities.id = security_id
WHERE pack_id = $1
ORDER BY symbol

-- name: pack_rates
SELECT base_ccy, quote_ccy, trim_scale(rate)::text, observed_on, source
FROM fx_rates WHERE pack_id = $1
ORDER BY base_ccy, quote_ccy

-- name: pack_before
SELECT earlier.id
FROM pricing_pack AS own JOIN pricing_pack AS earlier USING (policy)
WHERE own.id = $1 AND earlier.asof_date < own.asof_date AND earlier.freeze_seq IS NOT NULL
ORDER BY earlier.asof_date DESC, earlier.revision DESC
LIMIT 1

-- name: pack_checked_by
SELECT asof_date, required_symbols FROM pricing_pack JOIN pack_policy USING (policy) WHERE id = $1

-- name: pack_freeze
SELECT pack_id, sha256 FROM freeze_packs($1::uuid[], $2::text[], $3::timestamptz, $4::text[])

-- name: pack_fail
SELECT fail_pack($1, $2, $3)

-- name: pack_newest_before
SELECT id FROM pricing_pack
WHERE policy = $1 AND asof_date < $2 AND freeze_seq IS NOT NULL
ORDER BY asof_date DESC, revision DESC
LIMIT 1

-- name: pack_refs_between
SELECT pack_ref(pack) FROM pricing_pack AS pack WHERE policy = $1 AND asof_date BETWEEN $2 AND $3

-- name: calendar_put
INSERT INTO calendars (calendar, first_day, last_day) VALUES ($1, $2, $3)
ON CONFLICT (calendar) DO UPDATE SET first_day = excluded.first_day, last_day = excluded.last_day

-- name: calendar_clear
DELETE FROM calendar_sessions WHERE calendar = $1

-- name: calendar_add
INSERT INTO calendar_sessions (calendar, session) SELECT $1, unnest($2::date[])

-- name: calendar_sessions
SELECT session FROM calendar_sessions JOIN pack_policy USING (calendar)
WHERE policy = $1 AND session BETWEEN $2 AND $3
ORDER BY session

-- name: policy_put
INSERT INTO pack_policy (policy, calendar, description) VALUES ($1, $2, $3)
ON CONFLICT (policy) DO UPDATE SET calendar = excluded.calendar, description = excluded.description

-- name: policy_get
SELECT policy, calendar, description, expected_by, time_zone, expected_from, required_symbols
FROM pack_policy WHERE policy = $1

-- name: policy_names
SELECT policy FROM pack_policy ORDER BY policy

-- name: policy_expect
UPDATE pack_policy SET expected_by = $2, time_zone = $3, expected_from = $4 WHERE policy = $1 RETURNING policy

-- name: policy_require
UPDATE pack_policy SET required_symbols = $2 WHERE policy = $1 RETURNING policy

-- name: calendar_get
SELECT first_day, last_day FROM calendars WHERE calendar = $1

-- name: calendar_all_sessions
SELECT session FROM calendar_sessions WHERE calendar = $1 ORDER BY session

-- name: packs_overdue
-- $1 now, $2 how many days back to look. Sessions whose time is over without a pack that was frozen.
SELECT due.policy, due.session AS asof_date, due.due_at, (
    SELECT pack.status FROM pricing_pack AS pack
    WHERE pack.policy = due.policy AND pack.asof_date = due.session ORDER BY revision DESC LIMIT 1
) AS status
FROM (
    SELECT policy, session, (session + expected_by) AT TIME ZONE time_zone AS due_at
    FROM pack_policy JOIN calendar_sessions USING (calendar)
    WHERE expected_by IS NOT NULL AND session >= coalesce(expected_from, '-infinity')
        AND session BETWEEN ($1::timestamptz)::date - $2::integer AND ($1::timestamptz)::date + 1
) AS due
WHERE due.due_at < $1 AND NOT EXISTS (
    SELECT FROM pricing_pack AS pack
    WHERE pack.policy = due.policy AND pack.asof_date = due.session AND pack.freeze_seq IS NOT NULL
)
ORDER BY due.policy, due.session

-- name: announcement_put
INSERT INTO pack_announcements (
    pack_id, policy, asof_date, revision, content_sha256, announced_at, record_partition, record_offset, problem
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (pack_id) DO UPDATE SET
    content_sha256 = excluded.content_sha256, record_partition = excluded.record_partition,
    record_offset = excluded.record_offset, problem = excluded.problem

-- name: announcement_list
SELECT
    pack_id, policy, asof_date, revision, content_sha256, announced_at, record_partition, record_offset, problem
FROM pack_announcements ORDER BY announced_at, pack_id

-- name: announcement_drop
DELETE FROM pack_announcements WHERE pack_id = $1

-- name: provenance_put
INSERT INTO pack_provenance (pack_id, kind, source, name, sha256)
SELECT pack_id, kind, source, name, sha256
FROM unnest($1::uuid[]) AS pack (pack_id),
    unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS origin (kind, source, name, sha256)
ON CONFLICT DO NOTHING

-- name: provenance_get
SELECT kind, source, name, sha256 FROM pack_provenance WHERE pack_id = $1 ORDER BY kind, source, name

-- name: identifiers_put
INSERT INTO security_identifiers (security_id, scheme, value, valid_from, valid_to, source)
SELECT securities.id, given.scheme, given.value, given.valid_from, given.valid_to, $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::date[])
    AS given (symbol, scheme, value, valid_from, valid_to)
JOIN securities USING (symbol)
ON CONFLICT (scheme, value, valid_from) DO UPDATE SET valid_to = excluded.valid_to, source = excluded.source
WHERE security_identifiers.security_id = excluded.security_id
    AND (security_identifiers.valid_to, security_identifiers.source) IS DISTINCT FROM (excluded.valid_to, excluded.source)

-- name: identifiers_of
SELECT scheme, value, valid_from, valid_to, source
FROM security_identifiers JOIN securities ON securities.id = security_id
WHERE symbol = $1
ORDER BY scheme, valid_from, value

-- name: identifiers_known
SELECT symbol, scheme, value, valid_from, valid_to
FROM security_identifiers JOIN securities ON securities.id = security_id
WHERE scheme = $1 AND value = ANY ($2::text[])

-- name: macro_put
INSERT INTO macro_series (series_id, obs_date, vintage, value, source)
SELECT given.* , $5
FROM unnest($1::text[], $2::date[], $3::date[], $4::numeric[]) AS given (series_id, obs_date, vintage, value)
ON CONFLICT DO NOTHING

-- name: macro_asof
SELECT DISTINCT ON (series_id, obs_date) series_id, obs_date, vintage, trim_scale(value)::text AS value, source
FROM macro_series
WHERE series_id = ANY ($1::text[]) AND vintage <= $2
ORDER BY series_id, obs_date, vintage DESC

-- name: macro_seen
-- What a pack sees, per period the newest vintage, and the day of the first.
SELECT DISTINCT ON (series_id, obs_date)
    series_id, obs_date, vintage, trim_scale(value)::text AS value, source,
    min(vintage) OVER (PARTITION BY series_id, obs_date) AS released
FROM macro_series, pricing_pack AS own
WHERE own.id = $1 AND after_freeze < own.freeze_seq AND vintage <= own.asof_date
    AND (cardinality($2::text[]) = 0 OR series_id = ANY ($2::text[]))
ORDER BY series_id, obs_date, vintage DESC

-- name: macro_differing
SELECT given.series_id, given.obs_date, given.vintage
FROM unnest($1::text[], $2::date[], $3::date[], $4::numeric[]) AS given (series_id, obs_date, vintage, value)
JOIN macro_series USING (series_id, obs_date, vintage)
WHERE macro_series.value IS DISTINCT FROM given.value

-- name: securities_put
INSERT INTO securities (id, symbol, name, trading_ccy, exchange_mic, price_unit)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[])
ON CONFLICT (symbol) DO UPDATE SET
    name = excluded.name, exchange_mic = excluded.exchange_mic,
    trading_ccy = excluded.trading_ccy, price_unit = excluded.price_unit

-- name: securities_ids
SELECT symbol, id, trading_ccy FROM securities WHERE symbol = ANY ($1::text[])

-- name: pack_create
INSERT INTO pricing_pack (id, policy, asof_date, revision, created_at)
SELECT id, $2, asof, revision, $5 FROM unnest($1::uuid[], $3::date[], $4::integer[]) AS pack (id, asof, revision)

-- name: pack_next_revision
SELECT coalesce(max(revision), 0) + 1 FROM pricing_pack WHERE policy = $1 AND asof_date = $2

-- name: pack_supersede
UPDATE pricing_pack SET status = 'superseded' WHERE id = $1 AND status = 'fresh' RETURNING id

-- name: portfolio_get
SELECT id, name, base_ccy, benchmark_id, booking, ledger_path, policy FROM get_portfolio($1, $2, $3)

-- name: portfolio_list
SELECT id, name, base_ccy, benchmark_id, booking, ledger_path, policy FROM portfolios ORDER BY name, id

-- name: portfolio_update
UPDATE portfolios
SET name = $2, base_ccy = $3, benchmark_id = $4, policy = $5
WHERE id = $1
RETURNING id

-- name: portfolio_insert
INSERT INTO portfolios (id, name, base_ccy, benchmark_id, booking, ledger_path, policy, tenant, user_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: snapshot_get
SELECT content_hash FROM ledger_snapshot WHERE portfolio_id = $1 AND commit_hash = $2 AND rows_version = $3

-- name: snapshot_drop_former
DELETE FROM ledger_snapshot WHERE portfolio_id = $1 AND commit_hash = $2 AND rows_version < $3

-- name: snapshot_put
INSERT INTO ledger_snapshot (portfolio_id, commit_hash, tenant, user_id, content_hash, row_count, rows_version)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (portfolio_id, commit_hash) DO NOTHING
RETURNING row_count

-- name: snapshot_rows
SELECT
    seq, to_char("on", 'YYYY-MM-DD') AS "on", kind, account, symbol, currency,
    trim_scale(qty)::text AS qty, trim_scale(amount)::text AS amount, trim_scale(price)::text AS price,
    price_currency, trim_scale(ratio)::text AS ratio, lot, to_char(acquired, 'YYYY-MM-DD') AS acquired,
    trim_scale(lot_qty)::text AS lot_qty, trim_scale(lot_cost)::text AS lot_cost, trim_scale(gain)::text AS gain,
    to_char(pay_date, 'YYYY-MM-DD') AS pay_date, source, text
FROM bookings
WHERE portfolio_id = $1 AND commit_hash = $2
ORDER BY seq

-- name: snapshot_put_rows
INSERT INTO bookings (
    portfolio_id, commit_hash, tenant, user_id,
    seq, "on", kind, account, symbol, currency, qty, amount, price, price_currency, ratio, lot, acquired, lot_qty,
    lot_cost, gain, pay_date, source, text
)
SELECT $1, $2, $3, $4, booked.*
FROM json_to_recordset($5::json) AS booked (
    seq integer, "on" date, kind text, account text, symbol text, currency text, qty numeric, amount numeric,
    price numeric, price_currency text, ratio numeric, lot text, acquired date, lot_qty numeric, lot_cost numeric, gain numeric,
    pay_date date, source text, text text
)

-- name: artifact_put
SELECT put_artifact($1, $2, $3, $4, $5)

-- name: artifact_get
SELECT get_artifact($1, $2, $3, $4)

-- name: artifact_touch
SELECT touch_artifact($1, $2, $3, $4)

-- name: artifact_keep
UPDATE artifacts SET expires_at = greatest(expires_at, $2) WHERE sha256 = ANY ($1::text[])

-- name: act_as_collector
SELECT set_config('app.tenant', '', true), set_config('app.task', 'collect-artifacts', true)

-- name: artifact_collect
DELETE FROM artifacts
WHERE expires_at < now() AND (tenant, sha256) IN (
    SELECT tenant, sha256 FROM artifacts WHERE expires_at < now() ORDER BY expires_at LIMIT $1
)

-- name: outbox_pending
SELECT seq, json_build_object(
    'pack_id', pack_id, 'policy', policy, 'asof_date', asof_date, 'revision', revision,
    'status', status, 'content_sha256', content_sha256
)::text AS pack
FROM pack_outbox
WHERE published_at IS NULL
ORDER BY seq
LIMIT $1

-- name: outbox_mark
UPDATE pack_outbox SET published_at = now() WHERE seq = ANY ($1::bigint[]) AND published_at IS NULL

-- name: executions_put
-- Results of one user, $1 tenant and $2 user; the first one of an execution stays.
INSERT INTO executions (
    tenant, user_id, execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at, result, result_sha256, result_partition, result_offset
)
SELECT
    $1, $2, execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at, result, result_sha256, result_partition, result_offset
FROM unnest(
    $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::date[], $9::uuid[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::bytea[], $17::text[],
    $18::integer[], $19::bigint[]
) WITH ORDINALITY AS made (
    execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at, result, result_sha256, result_partition,
    result_offset, number
)
ORDER BY number
ON CONFLICT (execution_id) DO NOTHING
RETURNING execution_id

-- name: execution_result
SELECT coalesce(result, (
    SELECT bytes FROM artifacts WHERE artifacts.tenant = executions.tenant AND sha256 = result_sha256
))
FROM executions WHERE execution_id = $1

-- name: execution_results_since
SELECT e.result_partition, e.result_offset, coalesce(e.result, (
    SELECT bytes FROM artifacts WHERE artifacts.tenant = e.tenant AND sha256 = e.result_sha256
)) AS result
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS place (since, before, number)
JOIN executions AS e ON e.result_partition = place.number - 1
    AND e.result_offset >= place.since AND e.result_offset < place.before
WHERE e.tenant = app_tenant() AND e.user_id = app_user_id()
ORDER BY e.result_partition, e.result_offset
LIMIT $3

-- name: execution_results_of
SELECT e.result_partition, e.result_offset, coalesce(e.result, (
    SELECT bytes FROM artifacts WHERE artifacts.tenant = e.tenant AND sha256 = e.result_sha256
)) AS result
FROM executions AS e
WHERE e.execution_id = ANY($1::uuid[]) AND e.tenant = app_tenant() AND e.user_id = app_user_id()
ORDER BY e.result_partition, e.result_offset

-- name: execution_list
SELECT
    tenant, user_id, execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at
FROM executions
WHERE ($1::text IS NULL OR status = $1)
    AND ($2::text IS NULL OR pattern_id = $2)
    AND ($3::uuid IS NULL OR portfolio_id = $3)
    AND ($4::timestamptz IS NULL OR finished_at >= $4)
    AND ($5::timestamptz IS NULL OR finished_at < $5)
ORDER BY finished_at DESC, execution_id
LIMIT $6

-- name: pattern_text_put
INSERT INTO pattern_texts (digest, pattern_id, source, capabilities) VALUES ($1, $2, $3, $4::jsonb)
ON CONFLICT (digest) DO NOTHING
RETURNING digest

-- name: pattern_text_get
SELECT pattern_id, source, capabilities FROM pattern_texts WHERE digest = $1

-- name: offsets_put
INSERT INTO projector_offsets (topic, partition, next_offset)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE
SET next_offset = greatest(projector_offsets.next_offset, excluded.next_offset)

-- name: offsets_get
SELECT partition, next_offset FROM projector_offsets WHERE topic = $1

-- name: dead_letter_put
INSERT INTO dead_letters (
    topic, partition, "offset", key, value, headers, reason, stage, origin_topic, origin_partition, origin_offset,
    arrived_at, tenant
)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT DO NOTHING
RETURNING id

-- name: dead_letter_find
SELECT id
FROM dead_letters
WHERE ($1::text IS NULL OR stage = $1)
    AND ($2::text[] IS NULL OR origin_topic = ANY ($2))
    AND ($3::text IS NULL OR position(lower($3) IN lower(reason)) > 0)
    AND ($4::text IS NULL OR tenant = $4)
    AND ($5::timestamptz IS NULL OR arrived_at >= $5)
    AND ($6::timestamptz IS NULL OR arrived_at < $6)
    AND ($7::boolean IS NULL OR (redriven_at IS NULL) = $7)
    AND ($8::bytea IS NULL OR value = $8)
    AND ($9::bigint IS NULL OR id < $9)
ORDER BY id DESC
LIMIT $10

-- name: dead_letter_read
SELECT
    id, topic, partition, "offset", key, value, headers, reason, stage, origin_topic, origin_partition, origin_offset,
    arrived_at, tenant, redriven_at
FROM dead_letters
WHERE id = ANY ($1::bigint[])
ORDER BY id DESC

-- name: dead_letter_lock
SELECT
    id, topic, partition, "offset", key, value, headers, reason, stage, origin_topic, origin_partition, origin_offset,
    arrived_at, tenant, redriven_at
FROM dead_letters
WHERE id = ANY ($1::bigint[])
ORDER BY id
FOR UPDATE

-- name: dead_letter_mark
UPDATE dead_letters SET redriven_at = $2 WHERE id = ANY ($1::bigint[])

-- name: dead_letter_purge
DELETE FROM dead_letters WHERE id = ANY ($1::bigint[])

-- name: effect_lock
SELECT pg_advisory_xact_lock(hashtextextended($1, 1))

-- name: effect_get
SELECT output FROM effects WHERE tenant = $1 AND idempotency_key = $2

-- name: effect_put
INSERT INTO effects (tenant, idempotency_key, user_id, output) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, idempotency_key) DO NOTHING
RETURNING idempotency_key

-- name: analyze_packs
ANALYZE pricing_pack, prices, fx_rates, securities, calendar_sessions

-- name: schema_sequences
SELECT 'CREATE SEQUENCE ' || c.relname
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'i')
ORDER BY c.relname

-- name: schema_plain_functions
SELECT pg_get_functiondef(p.oid)
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
    AND NOT EXISTS (
        SELECT FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.refobjid
        WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
    )
    AND NOT EXISTS (
        SELECT FROM pg_depend AS d JOIN pg_type AS t ON t.oid = d.refobjid
        WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_type'::regclass
            AND t.typrelid <> 0
    )
    -- A PL/pgSQL body is checked for its types when the function is made.
    AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql')
ORDER BY p.proname

-- name: schema_tables
SELECT 'CREATE TABLE ' || c.relname || E' (\n    ' || string_agg(
    concat_ws(
        ' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        CASE WHEN a.attidentity = 'a' THEN 'GENERATED ALWAYS AS IDENTITY' END,
        'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
    ), E',\n    ' ORDER BY a.attnum
) || E'\n)' || coalesce(
    E';\nCOMMENT ON TABLE ' || c.relname || ' IS ' || quote_literal(obj_description(c.oid, 'pg_class')), ''
) || coalesce(
    string_agg(
        E';\nCOMMENT ON COLUMN ' || c.relname || '.' || quote_ident(a.attname) || ' IS '
        || quote_literal(col_description(c.oid, a.attnum)), '' ORDER BY a.attnum
    ), ''
) || coalesce(
    string_agg(
        E';\nALTER TABLE ' || c.relname || ' ALTER COLUMN ' || quote_ident(a.attname) || ' SET STORAGE EXTERNAL',
        '' ORDER BY a.attnum
    ) FILTER (WHERE a.attstorage = 'e'), ''
)
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
GROUP BY c.oid, c.relname
ORDER BY c.relname

-- name: schema_constraints
SELECT 'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'c', 'f')
ORDER BY contype = 'f', conrelid::regclass::text, contype <> 'p', conname

-- name: schema_indexes
SELECT pg_get_indexdef(i.indexrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))
ORDER BY c.relname

-- name: schema_row_functions
SELECT pg_get_functiondef(p.oid)
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
    AND (
        p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
        OR EXISTS (
            SELECT FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.refobjid
            WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
        )
        OR EXISTS (
            SELECT FROM pg_depend AS d JOIN pg_type AS t ON t.oid = d.refobjid
            WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_type'::regclass
                AND t.typrelid <> 0
        )
    )
ORDER BY p.proname

-- name: schema_triggers
SELECT pg_get_triggerdef(t.oid)
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
ORDER BY c.relname, t.tgname

-- name: schema_security
SELECT statement FROM (
    SELECT 0 AS part, relname::text AS name, 'ALTER TABLE ' || relname || ' ENABLE ROW LEVEL SECURITY'
        || CASE WHEN relforcerowsecurity THEN E';\nALTER TABLE ' || relname || ' FORCE ROW LEVEL SECURITY' ELSE '' END
        AS statement
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity
    UNION ALL
    SELECT 1, tablename || '.' || policyname, concat_ws(
        E'\n    ', 'CREATE POLICY ' || policyname || ' ON ' || tablename || ' AS ' || permissive || ' FOR ' || cmd
        || ' TO ' || array_to_string(roles, ', '), 'USING (' || qual || ')', 'WITH CHECK (' || with_check || ')'
    )
    -- A policy for one role is a grant (grants.sql), not part of the schema.
    FROM pg_policies WHERE schemaname = 'public' AND roles = ARRAY['public'::name]
    UNION ALL
    SELECT 2, proname, 'REVOKE ALL ON FUNCTION ' || oid::regprocedure || ' FROM PUBLIC'
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
        AND NOT has_function_privilege('public', oid, 'EXECUTE')
    UNION ALL
    SELECT 3, c.relname, 'ALTER SEQUENCE ' || c.relname || ' OWNED BY ' || t.relname || '.' || quote_ident(a.attname)
    FROM pg_class AS c
    JOIN pg_depend AS d ON d.objid = c.oid AND d.deptype = 'a'
    JOIN pg_class AS t ON t.oid = d.refobjid
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE c.relkind = 'S' AND c.relnamespace = 'public'::regnamespace
) AS statements
ORDER BY part, name

-- name: request_claim
SELECT made, known_sha256, known_at FROM claim_request($1, $2, $3, $4, $5, $6)

-- name: request_of_execution
SELECT request_id, pattern_id, submitted_at FROM requests WHERE execution_id = $1

-- name: act_as_request_collector
SELECT set_config('app.tenant', '', true), set_config('app.task', 'collect-requests', true)

-- name: request_collect
DELETE FROM requests
WHERE (tenant, request_id) IN (SELECT tenant, request_id FROM requests WHERE submitted_at < $1 LIMIT $2)

-- name: execution_summary
SELECT
    tenant, user_id, execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at
FROM executions WHERE execution_id = $1

-- name: execution_find
SELECT
    tenant, user_id, execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at
FROM executions
WHERE ($1::text IS NULL OR status = $1)
    AND ($2::text IS NULL OR pattern_id = $2)
    AND ($3::uuid IS NULL OR portfolio_id = $3)
    AND ($4::text IS NULL OR error_code = $4)
    AND ($5::timestamptz IS NULL OR started_at >= $5)
    AND ($6::timestamptz IS NULL OR started_at < $6)
    AND ($7::text IS NULL OR position(lower($7) IN lower(request_id || ' ' || pattern_id || ' ' || execution_id)) > 0)
    AND ($8::timestamptz IS NULL OR (started_at, execution_id) < ($8, $9::uuid))
    AND ($11::text IS NULL OR tenant = $11)
    AND ($12::uuid IS NULL OR user_id = $12)
ORDER BY started_at DESC, execution_id DESC
LIMIT $10

-- name: act_as_operator
-- Whether this role then sees everybody's executions: it is the owner, with its policy from grants.sql, or exempt.
SELECT
    current_user AS name,
    NOT row_security_active('executions') OR EXISTS (
        SELECT FROM pg_policies
        WHERE schemaname = 'public' AND tablename = 'executions' AND policyname = 'operator_sees'
            AND current_user = ANY (roles)
    ) AS sees_all,
    set_config('app.tenant', '', true),
    set_config('app.task', 'operate', true)

-- name: execution_owners
SELECT execution_id, tenant, user_id FROM executions WHERE execution_id = ANY ($1::uuid[])
UNION
SELECT execution_id, tenant, user_id FROM requests WHERE execution_id = ANY ($1::uuid[])

-- name: pack_page
SELECT
    pack_ref(pack) AS ref, supersedes, freeze_seq, created_at, known_at, checks, failure,
    (SELECT count(*) FROM prices WHERE pack_id = pack.id) AS prices,
    (SELECT count(*) FROM fx_rates WHERE pack_id = pack.id) AS rates
FROM pricing_pack AS pack
WHERE ($1::text IS NULL OR policy = $1)
    AND ($2::date IS NULL OR asof_date >= $2)
    AND ($3::date IS NULL OR asof_date <= $3)
    AND ($4::text IS NULL OR status = $4)
    AND ($5::date IS NULL OR (asof_date, policy, revision) < ($5, $6::text, $7::integer))
ORDER BY asof_date DESC, policy DESC, revision DESC
LIMIT $8
