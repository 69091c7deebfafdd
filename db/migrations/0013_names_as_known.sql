-- A security's name and exchange may change, answers that show them may not: a pack sees what was known when it was
-- frozen, also whether a security was known at all.

CREATE TABLE security_names (
    security_id uuid NOT NULL REFERENCES securities,
    since_seq bigint NOT NULL,
    name text NOT NULL,
    exchange_mic text,
    PRIMARY KEY (security_id, since_seq)
);
COMMENT ON TABLE security_names IS
    'What a security was called from a freeze_seq on: packs frozen with that or a later one see it, until the next row.';

-- Nobody noted when today's names came to be known; every pack so far has shown them.
INSERT INTO security_names (security_id, since_seq, name, exchange_mic) SELECT id, 0, name, exchange_mic FROM securities;

CREATE FUNCTION next_freeze_seq() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    -- Held until commit, as by whoever freezes a pack: none is frozen between this and that others see what it is for.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    RETURN (SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM pack_freeze_seq);
END
$$;
REVOKE ALL ON FUNCTION next_freeze_seq FROM PUBLIC;

CREATE FUNCTION securities_note_names() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
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
$$;

CREATE TRIGGER securities_named AFTER INSERT ON securities
    REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION securities_note_names();
CREATE TRIGGER securities_renamed AFTER UPDATE ON securities
    REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION securities_note_names();

CREATE FUNCTION security_names_keep() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.since_seq < next_freeze_seq() OR NEW.since_seq <> OLD.since_seq OR NEW.security_id <> OLD.security_id THEN
        RAISE EXCEPTION 'a name that frozen packs show cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER security_names_shown BEFORE UPDATE ON security_names
    FOR EACH ROW EXECUTE FUNCTION security_names_keep();
CREATE TRIGGER security_names_kept BEFORE DELETE OR TRUNCATE ON security_names
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
