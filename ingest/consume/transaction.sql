-- name: advance
-- A bus batch's compare-and-set: fenced or moved, nothing of it happens.
UPDATE position
   SET next_offset = %(end)s, leader_epoch = %(epoch)s, progressed_at = clock_timestamp(),
       until = clock_timestamp() + make_interval(secs => %(seconds)s),
       stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL, stopped_until = NULL
 WHERE lane = 'effects' AND source_id = %(source)s
   AND next_offset = %(start)s AND fence = %(fence)s AND owner = %(owner)s
RETURNING nextval('bus_batch_id_seq') AS batch_id

-- name: events
-- LATERAL … LIMIT 1 by (run, identity): 4 µs a key even for a run the planner has never seen. The identities come
-- as one string of bytes: an array of thousands takes longer to write and read than to look up.
SELECT i, e.source_id, e."offset", e.win, e.payload_digest, e.class_id
  FROM generate_series(0, %(count)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT source_id, "offset", win, payload_digest, class_id FROM event
        WHERE run_id = %(run)s AND identity = substr(%(identities)b::bytea, i * 32 + 1, 32) LIMIT 1) e

-- name: applied
-- Which of these identities of a run have their effect already, by their index in the string of bytes.
SELECT i FROM generate_series(0, %(count)s - 1) AS i
 CROSS JOIN LATERAL (
       SELECT FROM effect
        WHERE run_id = %(run)s AND identity = substr(%(identities)b::bytea, i * 32 + 1, 32) LIMIT 1) f

-- name: copy_effects
-- The effects of a bus batch, into the leaf of their run.
COPY {leaf} (run_id, identity, win, bus_source_id, bus_offset, bus_batch_id, context_state, context_reason)
FROM STDIN (FORMAT BINARY)

-- name: insert_foreign
-- Bus records that are set aside, each with why; the bytes are kept for people to look at.
INSERT INTO foreign_record (source_id, "offset", why, key, value, headers)
SELECT %(source)s, * FROM unnest(%(offsets)b::bigint[], %(whys)s::text[], %(keys)b::bytea[], %(values)b::bytea[],
                                 %(headers)b::bytea[])

-- name: insert_contradictions
-- What the bus shows against an attempt's outcome. Read again, the same contradiction is no second one.
INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", identity, detail)
SELECT c.win, c.attempt, c.kind, %(source)s, c."offset", c.identity, c.detail
  FROM unnest(%(wins)b::integer[], %(attempts)b::bigint[], %(kinds)s::text[], %(offsets)b::bigint[],
              %(identities)b::bytea[], %(details)s::text[]) AS c(win, attempt, kind, "offset", identity, detail)
ON CONFLICT ON CONSTRAINT contradiction_unique DO NOTHING

-- name: insert_batch
-- The bus batch's own row, with the counts of what its records became.
INSERT INTO bus_batch (id, source_id, from_offset, to_offset, leader_epoch, records, applied, duplicates, foreign_records,
                       mismatching, gaps, fence, owner)
VALUES (%(batch)s, %(source)s, %(start)s, %(end)s, %(epoch)s, %(records)s, %(applied)s, %(duplicates)s, %(foreign)s,
        %(mismatching)s, %(gaps)s, %(fence)s, %(owner)s)

-- name: insert_copies
-- Further copies of events, a row for each window whose events they are.
INSERT INTO bus_copies (bus_batch_id, win, copies, first_offset)
SELECT %(batch)s, c.* FROM unnest(%(wins)b::integer[], %(copies)b::integer[], %(firsts)b::bigint[]) c

-- name: windows_in_range
-- Cut windows that this read may lie in, and those of plans that wait for it: their CAUGHT_UP and PUBLISHED change with it.
SELECT w.id FROM window_range r JOIN run_window w ON w.id = r.win
 WHERE r.source_id = %(source)s AND w.state = 'CUT' AND (r.end_offset IS NULL OR r.end_offset > %(start)s)
UNION
SELECT e.win FROM rerun_end e WHERE e.source_id = %(source)s AND e.end_offset > %(start)s

-- name: pins
-- context_standing is the one rule of what a context is worth now: verdicts and gates ask it, too. `shut`: some of the windows whose
-- rows it names may not be read now.
SELECT c.context, c.verdict, c.why, c.fallen, x.wins, x.shut
  FROM context_standing(%(win)s) c CROSS JOIN LATERAL context_windows(c.pinned_win, c.verdict) x
