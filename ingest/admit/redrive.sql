-- name: items
-- What items keep, and how often each was sent through admission again.
SELECT q.id, q.win, q.reason, q.state, q.key, q.value, q.headers, q.payload_digest,
       (SELECT count(*) FROM redrive d WHERE d.item_id = q.id) AS times
  FROM quarantine_item q WHERE q.id = ANY(%(ids)s::bigint[]) ORDER BY q.id

-- name: lock_items
-- The same, locked in the order of their numbers: whoever resolves one of them comes before this plan or after it.
SELECT q.id, q.win, q.reason, q.state, q.key, q.value, q.headers, q.payload_digest,
       (SELECT count(*) FROM redrive d WHERE d.item_id = q.id) AS times
  FROM quarantine_item q WHERE q.id = ANY(%(ids)s::bigint[]) ORDER BY q.id FOR NO KEY UPDATE OF q

-- name: advance
-- A plan's batch: it starts where the one before ended, and belongs to the plan's rerun.
UPDATE position SET next_offset = %(end)s, progressed_at = clock_timestamp()
 WHERE lane = 'admission' AND source_id = %(source)s AND next_offset = %(start)s AND win = %(win)s AND cut IS NULL
   AND owner = %(owner)s AND fence = %(fence)s
RETURNING nextval('batch_id_seq') AS batch_id

-- name: insert_redrives
-- Which item each of the plan's offsets is. The trigger redrive_of_its_plan holds it against the plan.
INSERT INTO redrive (source_id, "offset", item_id, plan, decision, reason, detail, corrected_by)
SELECT %(source)s, r."offset", r.item, %(plan)s, r.decision, r.reason, r.detail, r.corrected
  FROM unnest(%(offsets)s::bigint[], %(items)s::bigint[], %(decisions)s::smallint[], %(reasons)s::smallint[],
              %(details)s::text[], %(corrected)s::text[]) AS r("offset", item, decision, reason, detail, corrected)
