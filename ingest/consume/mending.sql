-- name: unmendable
-- Why no effect of the window is written again; null where it may be. The one rule of that is the database's.
SELECT unmendable(%(win)s) AS why

-- name: standing
-- Of these identities those that are events of the window: by their index in the string of bytes, whether each has its effect.
-- Those that have one only if `every` is asked for, for their rows may be gone.
SELECT i, e.class_id, x.identity IS NOT NULL AS applied
  FROM generate_series(0, %(n)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT class_id FROM {leaf}
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) AND win = %(win)s LIMIT 1) e
  LEFT JOIN LATERAL (
       SELECT identity FROM effect
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) LIMIT 1) x ON true
 WHERE %(every)s OR x.identity IS NULL

-- name: rows
-- Which of these events of a window have rows in a table that readers read.
SELECT DISTINCT identity FROM {table} WHERE win = %(win)s AND identity = ANY(%(identities)s::bytea[])

-- name: stored
-- What the ledger holds of these events: the payload, the place that counts with the bus batch that read it, and what was set aside
-- or skipped there; and what the effect says, of one that stands.
SELECT e.identity, e.payload, e.headers, e.payload_digest, p.bus_source_id, p.bus_offset, b.id AS bus_batch_id, x.context_state, x.context_reason,
       EXISTS (SELECT FROM foreign_record f WHERE f.source_id = p.bus_source_id AND f."offset" = p.bus_offset) AS aside,
       EXISTS (SELECT FROM gap g WHERE g.source_id = p.bus_source_id AND g.from_offset <= p.bus_offset AND g.to_offset > p.bus_offset) AS gap,
       EXISTS (SELECT FROM bus_copies c WHERE c.bus_batch_id = b.id AND c.win = %(win)s) AS copied
  FROM generate_series(0, %(n)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT identity, payload, headers, payload_digest, source_id, "offset" FROM {leaf}
        WHERE run_id = %(run)s AND identity = substring(%(identities)s::bytea FROM 32 * i + 1 FOR 32) AND win = %(win)s LIMIT 1) e
  LEFT JOIN LATERAL (
       SELECT q.bus_source_id, q.bus_offset
         FROM place q JOIN attempt a ON a.id = q.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
        WHERE q.source_id = e.source_id AND q."offset" = e."offset" LIMIT 1) p ON true
  LEFT JOIN LATERAL (
       SELECT r.id, r.to_offset FROM bus_batch r
        WHERE r.source_id = p.bus_source_id AND r.from_offset <= p.bus_offset ORDER BY r.from_offset DESC LIMIT 1) b
    ON b.to_offset > p.bus_offset
  LEFT JOIN LATERAL (
       SELECT context_state, context_reason FROM effect WHERE run_id = %(run)s AND identity = e.identity LIMIT 1) x ON true

-- name: lock
-- The window that is mended: of two plans that find the same missing, one writes it and the other finds it there.
SELECT id FROM run_window WHERE id = %(win)s FOR NO KEY UPDATE

-- name: insert_effects
-- Effects as the lane wrote them: at their events' places, under the bus batches that read these.
INSERT INTO effect (run_id, identity, win, bus_source_id, bus_offset, bus_batch_id, context_state, context_reason)
SELECT %(run)s, e.identity, %(win)s, e.source, e."offset", e.batch, e.state, e.reason
  FROM unnest(%(identities)s::bytea[], %(sources)s::integer[], %(offsets)s::bigint[], %(batches)s::bigint[],
              %(states)s::smallint[], %(reasons)s::text[]) AS e(identity, source, "offset", batch, state, reason)

-- name: insert_mended
-- What was written again, by the record that refers to it. The trigger mended_of_its_plan holds it against plan and ledger.
INSERT INTO mended_effect (source_id, "offset", run_id, win, identity, effect)
SELECT %(source)s, m."offset", %(run)s, %(win)s, m.identity, m.effect
  FROM unnest(%(offsets)s::bigint[], %(identities)s::bytea[], %(effects)s::boolean[]) AS m("offset", identity, effect)
