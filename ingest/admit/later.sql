-- name: of_items
-- How many events are applied already whose record came later, on the same inbox source and with the same Kafka key, than one of
-- these items. The least offset of a key counts: what is later than that is later than one of them.
WITH first AS (
    SELECT q.source_id, q.key, min(q."offset") AS "offset" FROM quarantine_item q
     WHERE q.id = ANY(%(items)s::bigint[]) AND q.key IS NOT NULL GROUP BY q.source_id, q.key)
SELECT count(*)::bigint AS events
  FROM first f
  JOIN event e ON e.run_id = %(run)s AND e.source_id = f.source_id AND e."offset" > f."offset" AND e.key = f.key
 WHERE EXISTS (SELECT FROM effect x WHERE x.run_id = e.run_id AND x.identity = e.identity)

-- name: of_records
-- The same of records of one source, by their keys and offsets.
WITH first AS (
    SELECT r.key, min(r."offset") AS "offset" FROM unnest(%(keys)s::bytea[], %(offsets)s::bigint[]) AS r(key, "offset") GROUP BY r.key)
SELECT count(*)::bigint AS events
  FROM first f
  JOIN event e ON e.run_id = %(run)s AND e.source_id = %(source)s AND e."offset" > f."offset" AND e.key = f.key
 WHERE EXISTS (SELECT FROM effect x WHERE x.run_id = e.run_id AND x.identity = e.identity)
