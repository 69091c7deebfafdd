-- Which macro rows a pack sees: those that were there before it was frozen. What is answered on a pack stays the same when
-- older vintages are loaded later.

ALTER TABLE macro_series ADD COLUMN after_freeze bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN macro_series.after_freeze IS
    'freeze_seq of the last pack frozen before the row was added; packs with a higher one see it.';

CREATE FUNCTION macro_row_is_placed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    -- The lock of freezing, held until commit: no pack is frozen between this number and the row's being there.
    PERFORM pg_advisory_xact_lock(hashtextextended('dawsos.pack_status', 0));
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO NEW.after_freeze FROM pack_freeze_seq;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION macro_row_is_placed() FROM PUBLIC;
CREATE TRIGGER macro_series_placed BEFORE INSERT ON macro_series FOR EACH ROW EXECUTE FUNCTION macro_row_is_placed();
