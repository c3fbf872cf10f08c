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

\connect passgate
-- Advisory locks have names that anybody can say, and share the memory of all locks; large objects take the disk.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure) FROM pg_proc
 WHERE pronamespace = 'pg_catalog'::regnamespace
   AND (proname LIKE '%advisory%' OR proname IN ('lo_create', 'lo_creat', 'lo_from_bytea'))
\gexec

-- A reader's login: psql -v reader_password=... as well; each further one is made the same way. Times are no longer than a
-- lease of the usual re-check time (docs/readers.md).
\if :{?reader_password}
CREATE ROLE passgate_login_reader LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 20 IN ROLE passgate_reader;
ALTER ROLE passgate_login_reader SET role = passgate_reader;
ALTER ROLE passgate_login_reader SET statement_timeout = '30s';
ALTER ROLE passgate_login_reader SET transaction_timeout = '30s';
ALTER ROLE passgate_login_reader SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE passgate_login_reader SET lock_timeout = '5s';
ALTER ROLE passgate_login_reader SET temp_file_limit = '1GB';
\endif
