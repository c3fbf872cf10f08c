-- Ends one backend, if it is a reader's: whoever shuts a gate ends the readers whose transaction began before.
-- The owner may signal backends; the app may not, and through this function only readers' ones.
CREATE FUNCTION end_reader(backend integer) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(bool_or(pg_terminate_backend(a.pid)), false)
      FROM pg_stat_activity a JOIN pg_roles u ON u.oid = a.usesysid
     WHERE a.pid = backend AND NOT u.rolsuper
       AND pg_has_role(a.usesysid, 'passgate_reader', 'MEMBER')
       AND NOT pg_has_role(a.usesysid, 'passgate_app', 'MEMBER')
$$;
REVOKE ALL ON FUNCTION end_reader(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_reader(integer) TO passgate_app;
