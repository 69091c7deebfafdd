-- Where a result stands in execution-results, so that a client that was away gets what came since.

ALTER TABLE executions
    ADD COLUMN result_partition integer CHECK (result_partition >= 0),
    ADD COLUMN result_offset bigint CHECK (result_offset >= 0);
COMMENT ON COLUMN executions.result_offset IS 'Offset of the first result in execution-results; null for results stored before this was kept.';
CREATE INDEX executions_by_place ON executions (tenant, user_id, result_partition, result_offset)
    WHERE result_offset IS NOT NULL;
