-- Roles and database of a PostgreSQL that Passgate does not run itself; run once, as a superuser, with psql.
-- The passwords come from psql variables: psql -v owner_password=... -v app_password=... -f deploy/roles.sql
CREATE ROLE passgate_owner NOLOGIN;
CREATE ROLE passgate_app NOLOGIN;
CREATE ROLE passgate_auditor NOLOGIN;
CREATE ROLE passgate_reader NOLOGIN;
CREATE ROLE passgate_eraser NOLOGIN;
CREATE ROLE passgate_archiver NOLOGIN;

CREATE ROLE passgate_login_owner LOGIN PASSWORD :'owner_password' IN ROLE passgate_owner;
CREATE ROLE passgate_login_app LOGIN PASSWORD :'app_password' IN ROLE passgate_app;
ALTER ROLE passgate_login_owner SET role = passgate_owner;
ALTER ROLE passgate_login_app SET role = passgate_app;

-- The owner's functions end a reader's backend when a gate shuts; the app reads the server's identity and activity.
GRANT pg_signal_backend TO passgate_owner;
GRANT pg_monitor TO passgate_app;

CREATE DATABASE passgate OWNER passgate_owner;
REVOKE ALL ON DATABASE passgate FROM PUBLIC;
GRANT CONNECT ON DATABASE passgate
  TO passgate_owner, passgate_app, passgate_auditor, passgate_reader, passgate_eraser, passgate_archiver;
