-- What the application's role may do; run after every migration, so that it can be repeated and the role can change.
-- "app_role" stands for the role's name. The role owns nothing. Pack tables are read-only to it: packs are built by the
-- owner's role, and the projector freezes announced packs through functions that check them.
-- A pricing pipeline with a role of its own (DAWSOS_POSTGRES_PIPELINE) needs: INSERT on securities, security_identifiers,
-- pricing_pack, prices, fx_rates, pack_provenance and macro_series, SELECT on all global tables, EXECUTE on freeze_packs
-- and fail_pack.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "app_role";
GRANT USAGE ON SCHEMA public TO "app_role";
GRANT SELECT ON calendars, calendar_sessions, pack_policy, securities, pricing_pack, prices, fx_rates,
    security_identifiers, pack_provenance, macro_series TO "app_role";
GRANT SELECT, INSERT, UPDATE, DELETE ON pack_announcements TO "app_role";
GRANT EXECUTE ON FUNCTION freeze_packs, fail_pack TO "app_role";
GRANT SELECT, UPDATE (published_at) ON pack_outbox TO "app_role";
-- Ledger path and booking method stay: booked ledgers are kept per commit.
GRANT SELECT, INSERT, UPDATE (name, base_ccy, benchmark_id, policy), DELETE ON portfolios TO "app_role";
GRANT SELECT, INSERT ON ledger_snapshot, bookings, effects TO "app_role";
GRANT SELECT, INSERT ON executions, pattern_texts TO "app_role";
GRANT SELECT, INSERT, DELETE ON requests TO "app_role";
GRANT SELECT, INSERT, UPDATE (expires_at), DELETE ON artifacts TO "app_role";
GRANT SELECT, INSERT, UPDATE (next_offset) ON projector_offsets TO "app_role";
GRANT SELECT, INSERT, UPDATE (redriven_at), DELETE ON dead_letters TO "app_role";
GRANT SELECT ON schema_migrations TO "app_role";
