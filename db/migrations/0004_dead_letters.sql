-- A record that is delivered again after a crash gives the same dead letter in another place: it is kept once. Its bytes
-- belong to its identity, because one event may lead to several letters, and a topic may be made anew.

ALTER TABLE dead_letters ADD COLUMN tenant text;
COMMENT ON COLUMN dead_letters.tenant IS 'Whose record it says it is; null where it does not say.';

DELETE FROM dead_letters AS later USING dead_letters AS first
WHERE first.id < later.id AND first.origin_topic = later.origin_topic
    AND first.origin_partition = later.origin_partition AND first.origin_offset = later.origin_offset
    AND first.stage = later.stage AND first.value IS NOT DISTINCT FROM later.value;

CREATE UNIQUE INDEX dead_letters_once ON dead_letters
    (origin_topic, origin_partition, origin_offset, stage, sha256(coalesce(value, ''::bytea)));
