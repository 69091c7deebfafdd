#!/bin/sh
# Runs once, when the Postgres container makes its data: the roles an embedded server has too. `dawsos_owner` owns the
# schema; `dawsos_app` owns nothing, so row-level security applies to it.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set=owner_password="$OWNER_PASSWORD" --set=app_password="$APP_PASSWORD" <<'SQL'
CREATE ROLE dawsos_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE dawsos_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB PASSWORD :'app_password';
CREATE DATABASE dawsos OWNER dawsos_owner;
SQL
