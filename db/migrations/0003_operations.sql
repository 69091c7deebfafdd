-- The projector's own tables. Dead letters hold bytes of any tenant: they are for operators, never shown to users.

CREATE TABLE projector_offsets (
    topic text NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (topic, partition)
);

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
    arrived_at timestamptz NOT NULL,
    redriven_at timestamptz,
    UNIQUE (topic, partition, "offset")
);
COMMENT ON COLUMN dead_letters.headers IS 'The original headers in order: [name, base64 of the value or null].';
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE redriven_at IS NULL;
