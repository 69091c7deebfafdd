-- A sale's price may be in another currency than the cost of the lot it closes, and interest may come with a sale: ledgers
-- with either were booked to other rows. What is stored keeps version 1 and is booked again when it is asked for.

ALTER TABLE bookings ADD COLUMN price_currency text;
COMMENT ON COLUMN bookings.price_currency IS 'Of price; for a sale it may be another than currency, the cost''s.';

ALTER TABLE ledger_snapshot ADD COLUMN rows_version integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN ledger_snapshot.rows_version IS
    'Of the rules a ledger is booked by (ROWS_VERSION); rows of a former version are replaced.';
