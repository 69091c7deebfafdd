-- What a pricing pipeline needs beside the packs: when a policy's packs are due, what they must cover, where rows came
-- from, what else a security is called, and macro series by vintage.

ALTER TABLE pack_policy
    ADD COLUMN expected_by time,
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN expected_from date,
    ADD COLUMN required_symbols text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN pack_policy.expected_by IS
    'Local time in time_zone by which a session''s pack is fresh on the session''s own day; null: never overdue.';
COMMENT ON COLUMN pack_policy.expected_from IS 'First session that can be overdue: when the pipeline began.';
COMMENT ON COLUMN pack_policy.required_symbols IS 'Securities without which a pack is not frozen.';

CREATE TABLE security_identifiers (
    security_id uuid NOT NULL REFERENCES securities,
    scheme text NOT NULL CHECK (scheme ~ '^[a-z][a-z0-9_-]*$'),
    value text NOT NULL CHECK (is_plain_text(value)),
    valid_from date NOT NULL DEFAULT '-infinity',
    valid_to date NOT NULL DEFAULT 'infinity',
    source text NOT NULL CHECK (is_plain_text(source)),
    PRIMARY KEY (scheme, value, valid_from),
    CHECK (valid_from <= valid_to)
);
CREATE INDEX security_identifiers_by_security ON security_identifiers (security_id, scheme, valid_from);
COMMENT ON TABLE security_identifiers IS
    'What a security is called elsewhere (isin, figi, a vendor''s code) from valid_from to valid_to, both included. A code '
    'may be given to another security later: at any day it names one.';

CREATE FUNCTION identifiers_name_one() RETURNS trigger
    LANGUAGE plpgsql AS $$
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
$$;

CREATE TRIGGER identifiers_one BEFORE INSERT OR UPDATE ON security_identifiers
    FOR EACH ROW EXECUTE FUNCTION identifiers_name_one();

CREATE TABLE pack_provenance (
    pack_id uuid NOT NULL REFERENCES pricing_pack,
    kind text NOT NULL CHECK (kind IN ('prices', 'rates', 'macro')),
    source text NOT NULL CHECK (is_plain_text(source)),
    name text NOT NULL CHECK (is_plain_text(name)),
    sha256 text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (pack_id, kind, source, name)
);
COMMENT ON TABLE pack_provenance IS
    'Where a pack''s rows were read: a file or an address, and the SHA-256 of the bytes where there were any.';
CREATE TRIGGER pack_provenance_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON pack_provenance
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE pack_announcements (
    pack_id uuid PRIMARY KEY,
    policy text NOT NULL,
    asof_date date NOT NULL,
    revision integer NOT NULL,
    content_sha256 text NOT NULL,
    announced_at timestamptz NOT NULL,
    record_partition integer NOT NULL,
    record_offset bigint NOT NULL,
    problem text NOT NULL
);
COMMENT ON TABLE pack_announcements IS
    'Announcements that came before their rows. The projector tries each again until it fits, or until it is too old and '
    'becomes a dead letter; either way it leaves this table.';

CREATE TABLE macro_series (
    series_id text NOT NULL CHECK (is_plain_text(series_id)),
    obs_date date NOT NULL,
    vintage date NOT NULL,
    value numeric,
    source text NOT NULL CHECK (is_plain_text(source)),
    PRIMARY KEY (series_id, obs_date, vintage)
);
COMMENT ON TABLE macro_series IS
    'Macro observations as they were known: value of obs_date as published on vintage, null where it was withdrawn. A '
    'revision is a later vintage; rows never change.';
CREATE TRIGGER macro_series_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON macro_series
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
