-- What the application's role may do; run after every migration, so that it can be repeated and the role can change.
-- "app_role" stands for the role's name. The role owns nothing. Pack tables are read-only to it: packs are built by the
-- owner's role, and the projector freezes announced packs through functions that check them.
-- A pricing pipeline with a role of its own (DAWSOS_POSTGRES_PIPELINE) needs: INSERT on securities, security_identifiers,
-- pricing_pack, prices, fx_rates, pack_provenance and macro_series, SELECT on all global tables, EXECUTE on freeze_packs
-- and fail_pack.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "app_role";
GRANT USAGE ON SCHEMA public TO "app_role";
GRANT SELECT ON calendars, calendar_sessions, pack_policy, securities, pricing_pack, prices, fx_rates,
    security_names, security_identifiers, pack_provenance, macro_series TO "app_role";
GRANT SELECT, INSERT, UPDATE, DELETE ON pack_announcements TO "app_role";
GRANT EXECUTE ON FUNCTION freeze_packs, fail_pack TO "app_role";
GRANT SELECT, UPDATE (published_at) ON pack_outbox TO "app_role";
-- Ledger path and booking method stay: booked ledgers are kept per commit.
GRANT SELECT, INSERT, UPDATE (name, base_ccy, benchmark_id, policy), DELETE ON portfolios TO "app_role";
-- Ledgers booked by former rules are dropped with their rows and booked again.
GRANT SELECT, INSERT, DELETE ON ledger_snapshot TO "app_role";
GRANT SELECT, INSERT ON bookings, effects TO "app_role";
GRANT SELECT, INSERT ON executions, pattern_texts TO "app_role";
GRANT SELECT, INSERT, DELETE ON requests TO "app_role";
GRANT SELECT, INSERT, UPDATE (expires_at), DELETE ON artifacts TO "app_role";
GRANT SELECT, INSERT, UPDATE (next_offset) ON projector_offsets TO "app_role";
GRANT SELECT, INSERT, UPDATE (redriven_at), DELETE ON dead_letters TO "app_role";
GRANT SELECT ON schema_migrations TO "app_role";

-- Operators' tools look for executions of all users with the owner's role, in a transaction that says so
-- (act_as_operator), and find out whose they are. All else is read on behalf of that user with the application's role,
-- to which these policies are nothing. Made once: making one locks the table for a moment.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['executions', 'requests'] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_policies
            WHERE schemaname = 'public' AND tablename = table_name AND policyname = 'operator_sees'
                AND roles = ARRAY[current_user]
        ) THEN
            EXECUTE format('DROP POLICY IF EXISTS operator_sees ON %I', table_name);
            EXECUTE format(
                'CREATE POLICY operator_sees ON %I FOR SELECT TO CURRENT_USER'
                ' USING ((SELECT current_setting(''app.task'', true)) = ''operate'')', table_name
            );
        END IF;
    END LOOP;
END
$$;
