-- Market data that belongs to nobody: calendars, securities and pricing packs.
--
-- A pricing pack holds all prices and rates of one day. Its life:
--
--   warming ──► fresh ──► superseded
--      └──────► failed
--
-- warming:    rows may be added, never changed or removed. Set by INSERT.
-- fresh:      frozen; content_sha256 is over its rows. Set by freeze_packs; left when a newer revision is frozen or
--             an operator withdraws the pack.
-- superseded: still readable by id, so that old answers can be made again.
-- failed:     never used; a new revision may be built.
--
-- Triggers enforce this for every role, the owner included.

CREATE FUNCTION is_plain_text(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- Control characters separate the fields and lines that content_sha256 is taken over.
    RETURN value <> '' AND value !~ '[\x01-\x1f\x7f]';

CREATE TABLE calendars (
    calendar text PRIMARY KEY CHECK (is_plain_text(calendar)),
    first_day date NOT NULL,
    last_day date NOT NULL,
    CHECK (first_day <= last_day)
);
COMMENT ON TABLE calendars IS 'The days for which calendar_sessions is complete; outside them nothing is known.';

CREATE TABLE calendar_sessions (
    calendar text NOT NULL REFERENCES calendars,
    session date NOT NULL,
    PRIMARY KEY (calendar, session)
);

CREATE TABLE pack_policy (
    policy text PRIMARY KEY CHECK (is_plain_text(policy)),
    calendar text NOT NULL REFERENCES calendars,
    description text NOT NULL DEFAULT ''
);
COMMENT ON TABLE pack_policy IS 'How packs are made: at most one fresh pack per policy and session of its calendar.';

CREATE TABLE securities (
    id uuid PRIMARY KEY,
    symbol text NOT NULL UNIQUE CHECK (is_plain_text(symbol)),
    name text NOT NULL DEFAULT '',
    exchange_mic text,
    trading_ccy text NOT NULL CHECK (trading_ccy ~ '^[A-Z]{3}$'),
    price_unit integer NOT NULL DEFAULT 1 CHECK (price_unit > 0),
    UNIQUE (id, trading_ccy)
);
COMMENT ON COLUMN securities.price_unit IS 'A quoted price divided by this is in trading_ccy: 100 for pence, else 1.';

CREATE TABLE pricing_pack (
    id uuid PRIMARY KEY,
    policy text NOT NULL REFERENCES pack_policy,
    asof_date date NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    status text NOT NULL DEFAULT 'warming' CHECK (status IN ('warming', 'fresh', 'superseded', 'failed')),
    content_sha256 text CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
    supersedes uuid REFERENCES pricing_pack,
    freeze_seq bigint UNIQUE,
    created_at timestamptz NOT NULL,
    known_at timestamptz,
    checks jsonb NOT NULL DEFAULT '[]',
    failure text,
    UNIQUE (policy, asof_date, revision),
    UNIQUE (id, asof_date),
    CONSTRAINT frozen_is_complete CHECK (
        (status IN ('fresh', 'superseded')) = (content_sha256 IS NOT NULL)
        AND (content_sha256 IS NULL) = (freeze_seq IS NULL)
        AND (content_sha256 IS NULL) = (known_at IS NULL)
    ),
    CONSTRAINT failed_says_why CHECK ((status = 'failed') = (failure IS NOT NULL))
);
COMMENT ON COLUMN pricing_pack.freeze_seq IS
    'Order in which packs were frozen. A pack sees, per earlier day, the newest revision frozen before itself.';
COMMENT ON COLUMN pricing_pack.known_at IS 'When the data became known, as the builder says.';

CREATE UNIQUE INDEX pricing_pack_one_fresh ON pricing_pack (policy, asof_date) WHERE status = 'fresh';
CREATE INDEX pricing_pack_history ON pricing_pack (policy, asof_date, revision DESC) INCLUDE (id, freeze_seq)
    WHERE freeze_seq IS NOT NULL;
CREATE SEQUENCE pack_freeze_seq OWNED BY pricing_pack.freeze_seq;

-- A pack as `topics.messages.PackRef` in JSON.
CREATE FUNCTION pack_ref(pack pricing_pack) RETURNS text
    LANGUAGE sql STABLE
    RETURN json_build_object(
        'pack_id', pack.id, 'policy', pack.policy, 'asof_date', pack.asof_date, 'revision', pack.revision,
        'status', pack.status, 'content_sha256', pack.content_sha256
    )::text;

-- asof_date repeats the pack's day, so that a series is one range of the primary key, already in order.
CREATE TABLE prices (
    pack_id uuid NOT NULL,
    asof_date date NOT NULL,
    security_id uuid NOT NULL,
    close numeric(20, 8) NOT NULL CHECK (close >= 0),
    currency text NOT NULL,
    basis text NOT NULL CHECK (basis IN ('raw', 'split', 'total')),
    source text NOT NULL CHECK (is_plain_text(source)),
    observed_on date NOT NULL,
    PRIMARY KEY (security_id, asof_date, pack_id),
    FOREIGN KEY (pack_id, asof_date) REFERENCES pricing_pack (id, asof_date),
    FOREIGN KEY (security_id, currency) REFERENCES securities (id, trading_ccy)
);
COMMENT ON COLUMN prices.close IS 'As quoted, in price units of the security.';
CREATE INDEX prices_by_pack ON prices (pack_id);

CREATE TABLE fx_rates (
    pack_id uuid NOT NULL,
    asof_date date NOT NULL,
    base_ccy text NOT NULL CHECK (base_ccy ~ '^[A-Z]{3}$'),
    quote_ccy text NOT NULL CHECK (quote_ccy ~ '^[A-Z]{3}$'),
    rate numeric(20, 10) NOT NULL CHECK (rate > 0),
    source text NOT NULL CHECK (is_plain_text(source)),
    observed_on date NOT NULL,
    PRIMARY KEY (base_ccy, quote_ccy, asof_date, pack_id),
    FOREIGN KEY (pack_id, asof_date) REFERENCES pricing_pack (id, asof_date),
    CHECK (base_ccy <> quote_ccy)
);
COMMENT ON COLUMN fx_rates.rate IS 'Units of quote_ccy for 1 unit of base_ccy.';
CREATE INDEX fx_rates_by_pack ON fx_rates (pack_id);

CREATE TABLE pack_outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pack_id uuid NOT NULL,
    policy text NOT NULL,
    asof_date date NOT NULL,
    revision integer NOT NULL,
    status text NOT NULL,
    content_sha256 text,
    published_at timestamptz
);
CREATE INDEX pack_outbox_pending ON pack_outbox (seq) WHERE published_at IS NULL;
COMMENT ON TABLE pack_outbox IS
    'One row per status change, in its transaction. seq follows commit order; the relay publishes and then marks rows.';

-- The digest over a pack's rows. Each row is one line: its fields separated by U+001F, decimals without trailing
-- zeros, ended by a line feed; lines sorted by their UTF-8 bytes; SHA-256 over all of them. db/pack_content.py
-- computes the same.
CREATE FUNCTION pack_content_sha256(pack uuid) RETURNS text
    LANGUAGE sql STABLE
    RETURN (
        SELECT encode(sha256(convert_to(string_agg(lines.line, '' ORDER BY lines.line COLLATE "C"), 'UTF8')), 'hex')
        FROM (
            SELECT concat_ws(
                E'\x1f', 'price', securities.symbol, trim_scale(prices.close)::text, prices.currency, prices.basis,
                prices.source, to_char(prices.observed_on, 'YYYY-MM-DD')
            ) || E'\n' AS line
            FROM prices JOIN securities ON securities.id = prices.security_id
            WHERE prices.pack_id = pack
            UNION ALL
            SELECT concat_ws(
                E'\x1f', 'fx', fx_rates.base_ccy, fx_rates.quote_ccy, trim_scale(fx_rates.rate)::text,
                fx_rates.source, to_char(fx_rates.observed_on, 'YYYY-MM-DD')
            ) || E'\n'
            FROM fx_rates
            WHERE fx_rates.pack_id = pack
        ) AS lines
    );

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are never changed or removed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER prices_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON prices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER fx_rates_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON fx_rates
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER pricing_pack_kept BEFORE DELETE OR TRUNCATE ON pricing_pack
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION rows_need_warming_pack() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
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
$$;

CREATE TRIGGER prices_only_while_warming AFTER INSERT ON prices
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rows_need_warming_pack();
CREATE TRIGGER fx_rates_only_while_warming AFTER INSERT ON fx_rates
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rows_need_warming_pack();

CREATE FUNCTION securities_keep_units() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.symbol, NEW.trading_ccy, NEW.price_unit)
        IS DISTINCT FROM (OLD.id, OLD.symbol, OLD.trading_ccy, OLD.price_unit) THEN
        RAISE EXCEPTION 'symbol, trading_ccy and price_unit of security % cannot change: frozen packs rest on them',
            OLD.symbol USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER securities_units BEFORE UPDATE ON securities
    FOR EACH ROW EXECUTE FUNCTION securities_keep_units();

CREATE FUNCTION pricing_pack_lives() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
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
$$;

CREATE TRIGGER pricing_pack_life BEFORE INSERT OR UPDATE ON pricing_pack
    FOR EACH ROW EXECUTE FUNCTION pricing_pack_lives();

CREATE FUNCTION pricing_pack_tells() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    -- Held until commit, so that seq follows commit order.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    INSERT INTO pack_outbox (pack_id, policy, asof_date, revision, status, content_sha256)
        VALUES (NEW.id, NEW.policy, NEW.asof_date, NEW.revision, NEW.status, NEW.content_sha256);
    PERFORM pg_notify('pack_outbox', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER pricing_pack_event AFTER INSERT OR UPDATE OF status ON pricing_pack
    FOR EACH ROW EXECUTE FUNCTION pricing_pack_tells();

-- The two moves the application's role may make, although pack tables are read-only to it. The digest is computed
-- here from the rows, so a caller cannot freeze anything but what is there.
CREATE FUNCTION freeze_packs(packs uuid[], expected text[], known timestamptz, findings text[])
    RETURNS TABLE (pack_id uuid, sha256 text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
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
$$;

CREATE FUNCTION fail_pack(pack uuid, reason text, findings text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
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
$$;

REVOKE ALL ON FUNCTION freeze_packs, fail_pack FROM PUBLIC;
