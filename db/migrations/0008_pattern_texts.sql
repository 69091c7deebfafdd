-- Texts of patterns by digest. A kept result names its pattern's digest; replaying it needs the text. No tenant's data.

CREATE TABLE pattern_texts (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    pattern_id text NOT NULL,
    source text NOT NULL,
    capabilities jsonb NOT NULL
);
COMMENT ON COLUMN pattern_texts.capabilities IS 'Versions of the capabilities it was compiled against.';
