-- Every statement of the repositories, by name. Parameters are asyncpg's $1, $2, …

-- name: current_role
SELECT rolname AS name, rolsuper OR rolbypassrls AS bypasses FROM pg_roles WHERE rolname = current_user

-- name: act_for
SELECT set_config('app.tenant', $1, true), set_config('app.user_id', $2, true)
