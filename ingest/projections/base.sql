-- name: unguarded
-- Relations of schema truth that show readers more than their window's gate lets them, and why: those named, whether or not
-- they are there; all of them where none is named. guard_truth_table() makes a table as it must be.
WITH wanted AS (SELECT unnest(%(tables)s::text[]) AS name),
there AS (
    SELECT c.oid, c.relkind, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, 'truth.' || c.relname AS name
      FROM pg_class c
     WHERE c.relnamespace = to_regnamespace('truth') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND (%(tables)s::text[] IS NULL OR 'truth.' || c.relname IN (SELECT name FROM wanted))),
policies AS (
    SELECT p.polrelid, p.polname, p.polcmd, p.polpermissive,
           p.polroles && ARRAY[0::oid, to_regrole('passgate_reader')::oid] AS for_readers,
           translate(replace(replace(pg_get_expr(p.polqual, p.polrelid), 'public.', ''), ' AS open_windows', ''), E' \n', '')
               AS rule
      FROM pg_policy p),
judged AS (
    SELECT t.name, CASE
        WHEN t.relkind IN ('m', 'f') THEN 'is of a kind that cannot have row security'
        WHEN t.relkind = 'v' AND coalesce(t.reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on']
            THEN NULL
        WHEN t.relkind = 'v' THEN 'is a view that reads with its owner''s rights'
        WHEN NOT t.relrowsecurity THEN 'has no row security'
        WHEN NOT t.relforcerowsecurity THEN 'does not hold its owner to row security'
        WHEN NOT EXISTS (SELECT FROM policies p WHERE p.polrelid = t.oid AND p.polcmd = 'r'
                            AND p.rule = '(win=ANY((SELECTopen_windows())::integer[]))')
            THEN 'has no policy that goes by the gate'
        WHEN EXISTS (SELECT FROM policies p WHERE p.polrelid = t.oid AND p.for_readers AND p.polpermissive AND p.polcmd IN ('r', '*')
                        AND p.rule <> '(win=ANY((SELECTopen_windows())::integer[]))')
            THEN 'has another policy that lets readers read'
        WHEN (SELECT count(*) FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgenabled IN ('O', 'A')
                 AND g.tgname IN ('append_only', 'comes_before_its_gate')) < 2
            THEN 'takes or changes rows after its gate has opened'
        WHEN EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'win'
                      WHERE i.indrelid = t.oid AND i.indkey[0] <> a.attnum)
            THEN 'has an index that does not begin with win'
        END AS fault
      FROM there t)
SELECT name, fault FROM judged WHERE fault IS NOT NULL
UNION ALL
SELECT name, 'is not there' FROM wanted WHERE name NOT IN (SELECT name FROM there)
 ORDER BY name
