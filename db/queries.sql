-- Every statement of the repositories, by name. Parameters are asyncpg's $1, $2, …

-- name: current_role
SELECT rolname AS name, rolsuper OR rolbypassrls AS bypasses FROM pg_roles WHERE rolname = current_user

-- name: act_for
SELECT set_config('app.tenant', $1, true), set_config('app.user_id', $2, true)

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
-- $1 pack, $2 symbols, $3 currencies, $4 first day or null. First row: the days. Then a row for each symbol and pair;
-- places is null when every day has a value, days is null when every value was observed on its pack's day.
WITH seen AS MATERIALIZED (
    SELECT id, asof_date, (row_number() OVER (ORDER BY asof_date) - 1)::integer AS place
    FROM (
        SELECT DISTINCT ON (pack.asof_date) pack.id, pack.asof_date
        FROM pricing_pack AS own JOIN pricing_pack AS pack
            ON pack.policy = own.policy AND pack.asof_date <= own.asof_date AND pack.freeze_seq <= own.freeze_seq
        WHERE own.id = $1 AND pack.asof_date >= coalesce($4::date, '-infinity')
        ORDER BY pack.asof_date, pack.revision DESC
    ) AS newest
), extent AS (
    SELECT count(*) AS length FROM seen
), pairs AS MATERIALIZED (
    SELECT base_ccy, quote_ccy FROM fx_rates WHERE pack_id = $1
), pivots AS (
    SELECT currency FROM (SELECT base_ccy AS currency FROM pairs UNION ALL SELECT quote_ccy FROM pairs) AS sides
    GROUP BY currency HAVING count(*) > 1
), wanted_currencies AS (
    SELECT array_agg(currency) AS either FROM (SELECT unnest($3::text[]) UNION SELECT currency FROM pivots) AS u (currency)
)
SELECT
    'days' AS kind, '' AS name, '' AS currency, 1 AS price_unit, array_agg(asof_date ORDER BY place) AS days,
    NULL::integer[] AS places, '' AS numbers, '{}'::text[] AS sources
FROM seen
UNION ALL
SELECT
    'price', min(symbol), min(trading_ccy), min(price_unit),
    CASE WHEN bool_or(observed_on <> asof_date) THEN array_agg(observed_on ORDER BY place) END,
    CASE WHEN count(*) < (SELECT length FROM extent) THEN array_agg(place ORDER BY place) END,
    string_agg(trim_scale(close)::text, ',' ORDER BY place),
    CASE WHEN min(source) = max(source) THEN ARRAY[min(source)] ELSE array_agg(DISTINCT source) END
FROM securities
JOIN prices ON prices.security_id = securities.id
JOIN seen ON seen.id = prices.pack_id
WHERE symbol = ANY ($2::text[])
GROUP BY securities.id
UNION ALL
SELECT
    'rate', base_ccy, quote_ccy, 1, NULL,
    CASE WHEN count(*) < (SELECT length FROM extent) THEN array_agg(place ORDER BY place) END,
    string_agg(trim_scale(rate)::text, ',' ORDER BY place),
    CASE WHEN min(source) = max(source) THEN ARRAY[min(source)] ELSE array_agg(DISTINCT source) END
FROM fx_rates
JOIN seen ON seen.id = fx_rates.pack_id
WHERE base_ccy = ANY ((SELECT either FROM wanted_currencies)::text[])
    AND quote_ccy = ANY ((SELECT either FROM wanted_currencies)::text[])
    AND (base_ccy = ANY ($3::text[]) OR quote_ccy = ANY ($3::text[]))
GROUP BY base_ccy, quote_ccy

-- name: securities
SELECT symbol, name, trading_ccy, exchange_mic, price_unit FROM securities WHERE symbol = ANY ($1::text[])

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
SELECT id, name, base_ccy, benchmark_id, booking, ledger_path, policy FROM portfolios WHERE id = $1

-- name: portfolio_list
SELECT id, name, base_ccy, benchmark_id, booking, ledger_path, policy FROM portfolios ORDER BY name, id

-- name: portfolio_update
UPDATE portfolios
SET name = $2, base_ccy = $3, benchmark_id = $4, booking = $5, ledger_path = $6, policy = $7
WHERE id = $1
RETURNING id

-- name: portfolio_insert
INSERT INTO portfolios (id, name, base_ccy, benchmark_id, booking, ledger_path, policy, tenant, user_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: snapshot_get
SELECT content_hash FROM ledger_snapshot WHERE portfolio_id = $1 AND commit_hash = $2

-- name: snapshot_put
INSERT INTO ledger_snapshot (portfolio_id, commit_hash, tenant, user_id, content_hash, row_count)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (portfolio_id, commit_hash) DO NOTHING
RETURNING row_count

-- name: snapshot_rows
SELECT
    seq, to_char("on", 'YYYY-MM-DD') AS "on", kind, account, symbol, currency,
    trim_scale(qty)::text AS qty, trim_scale(amount)::text AS amount, trim_scale(price)::text AS price,
    trim_scale(ratio)::text AS ratio, lot, to_char(acquired, 'YYYY-MM-DD') AS acquired,
    trim_scale(lot_qty)::text AS lot_qty, trim_scale(lot_cost)::text AS lot_cost, trim_scale(gain)::text AS gain,
    to_char(pay_date, 'YYYY-MM-DD') AS pay_date, source, text
FROM bookings
WHERE portfolio_id = $1 AND commit_hash = $2
ORDER BY seq

-- name: snapshot_put_rows
INSERT INTO bookings (
    portfolio_id, commit_hash, tenant, user_id,
    seq, "on", kind, account, symbol, currency, qty, amount, price, ratio, lot, acquired, lot_qty, lot_cost, gain,
    pay_date, source, text
)
SELECT $1, $2, $3, $4, booked.*
FROM json_to_recordset($5::json) AS booked (
    seq integer, "on" date, kind text, account text, symbol text, currency text, qty numeric, amount numeric,
    price numeric, ratio numeric, lot text, acquired date, lot_qty numeric, lot_cost numeric, gain numeric,
    pay_date date, source text, text text
)

-- name: artifact_put
INSERT INTO artifacts (tenant, sha256, bytes, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, sha256) DO UPDATE SET expires_at = greatest(artifacts.expires_at, excluded.expires_at)

-- name: artifact_get
SELECT bytes FROM artifacts WHERE sha256 = $1 AND expires_at >= $2

-- name: artifact_touch
UPDATE artifacts SET expires_at = greatest(expires_at, $2) WHERE sha256 = $1 RETURNING sha256

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

-- name: execution_put
INSERT INTO executions (
    execution_id, tenant, user_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit,
    status, error_code, digest, started_at, finished_at, result, result_sha256
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (execution_id) DO NOTHING
RETURNING execution_id

-- name: execution_result
SELECT coalesce(result, (
    SELECT bytes FROM artifacts WHERE artifacts.tenant = executions.tenant AND sha256 = result_sha256
))
FROM executions WHERE execution_id = $1

-- name: execution_list
SELECT
    execution_id, request_id, pattern_id, pattern_digest, portfolio_id, asof, pack_id, ledger_commit, status, error_code,
    digest, started_at, finished_at
FROM executions
WHERE ($1::text IS NULL OR status = $1)
    AND ($2::text IS NULL OR pattern_id = $2)
    AND ($3::uuid IS NULL OR portfolio_id = $3)
    AND ($4::timestamptz IS NULL OR finished_at >= $4)
    AND ($5::timestamptz IS NULL OR finished_at < $5)
ORDER BY finished_at DESC, execution_id
LIMIT $6

-- name: offset_put
INSERT INTO projector_offsets (topic, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (topic, partition) DO UPDATE
SET next_offset = greatest(projector_offsets.next_offset, excluded.next_offset)

-- name: offsets_get
SELECT partition, next_offset FROM projector_offsets WHERE topic = $1

-- name: dead_letter_put
INSERT INTO dead_letters (
    topic, partition, "offset", key, value, headers, reason, stage, origin_topic, origin_partition, origin_offset,
    arrived_at
)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12)
ON CONFLICT (topic, partition, "offset") DO NOTHING
RETURNING id

-- name: dead_letter_list
SELECT
    id, topic, partition, "offset", key, value, headers, reason, stage, origin_topic, origin_partition, origin_offset,
    arrived_at, redriven_at
FROM dead_letters
WHERE ($1::text IS NULL OR stage = $1)
    AND ($2::text IS NULL OR origin_topic = $2)
    AND ($3::boolean IS NULL OR (redriven_at IS NULL) = $3)
    AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC
LIMIT $5

-- name: dead_letter_get
SELECT
    id, topic, partition, "offset", key, value, headers, reason, stage, origin_topic, origin_partition, origin_offset,
    arrived_at, redriven_at
FROM dead_letters WHERE id = $1

-- name: dead_letter_mark
UPDATE dead_letters SET redriven_at = $2 WHERE id = ANY ($1::bigint[])

-- name: effect_lock
SELECT pg_advisory_xact_lock(hashtextextended($1, 1))

-- name: effect_get
SELECT output FROM effects WHERE tenant = $1 AND idempotency_key = $2

-- name: effect_put
INSERT INTO effects (tenant, idempotency_key, user_id, output) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, idempotency_key) DO NOTHING
RETURNING idempotency_key

-- name: fundamentals_get
SELECT DISTINCT ON (symbol, fiscal_year) symbol, report::text AS report
FROM fundamentals
WHERE symbol = ANY ($1::text[]) AND filed_on <= $2
ORDER BY symbol, fiscal_year DESC, filed_on DESC

-- name: fundamentals_add
INSERT INTO fundamentals (symbol, fiscal_year, filed_on, report)
SELECT * FROM unnest($1::text[], $2::integer[], $3::date[], $4::json[])
ON CONFLICT DO NOTHING
