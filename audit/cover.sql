-- Whether a rerun proves all of its window: read only.

-- name: covered
-- The window that a rerun is of.
SELECT reruns AS win FROM run_window WHERE id = %(rerun)s AND reruns IS NOT NULL

-- name: about
-- A window that may be covered: its newest verdict, who takes its place, what was written again of its effects, and what the bus has
-- contradicted of it and its reruns.
SELECT w.number, w.revision, c.digest, v.body, place_taken_by(w.id) AS taken_by, clock_timestamp() AS now,
       (SELECT count(*) FROM mended_effect m WHERE m.win = w.id) AS mended,
       (SELECT count(DISTINCT x.attempt_id) FROM contradiction x JOIN run_window r ON r.id = x.win
         WHERE w.id IN (r.id, r.reruns)) AS contradictions
  FROM run_window w JOIN contract c ON c.id = w.contract_id
  LEFT JOIN LATERAL (SELECT body FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
 WHERE w.id = %(win)s

-- name: others
-- The window's other reruns that events were admitted in, each with its newest verdict.
SELECT w.rerun, (SELECT v.state FROM verdict v WHERE v.win = w.id ORDER BY v.number DESC LIMIT 1) AS state
  FROM run_window w
 WHERE w.reruns = %(win)s AND w.id IS DISTINCT FROM %(rerun)s::integer
   AND EXISTS (SELECT FROM batch b WHERE b.win = w.id AND b.admitted > 0)
 ORDER BY w.rerun

-- name: ranges
-- The window's ranges of inbox sources of every kind.
SELECT r.source_id, r.start_offset, r.end_offset, s.role, s.kind, s.topic, s.partition
  FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox'
 WHERE r.win = %(win)s ORDER BY s.id

-- name: read_again
-- The ranges that a rerun's plan asked for and has read to their ends.
SELECT o.origin_source_id AS source, o.start_offset AS start, o.end_offset AS "end"
  FROM window_range r JOIN origin o ON o.source_id = r.source_id
 WHERE r.win = %(rerun)s AND r.end_offset = o.end_offset - o.start_offset

-- name: sets
-- The window's events against the records that the rerun read, or whose receipts stand in for them, and against the receipts that
-- admitted them: by identity. A mismatch refers to no event, whatever identity it has.
WITH referred AS (
    SELECT DISTINCT t.identity
      FROM window_range g JOIN receipt t ON t.source_id = g.source_id AND t."offset" >= g.start_offset AND t."offset" < g.end_offset
     WHERE g.win = %(rerun)s AND t.decision IN (1, 2)
    UNION
    SELECT t.identity
      FROM gone_range x JOIN receipt t ON t.source_id = x.origin_source_id AND t."offset" >= x.start_offset AND t."offset" < x.end_offset
     WHERE x.win = %(rerun)s AND t.decision IN (1, 2)),
admitted AS (
    SELECT t.identity
      FROM batch b JOIN receipt t ON t.source_id = b.source_id AND t."offset" >= b.from_offset AND t."offset" < b.to_offset
       AND t.batch_id = b.id
     WHERE b.win = %(win)s AND t.decision = 1)
SELECT count(*) AS events, count(r.identity) AS referred, count(a.identity) AS admitted,
       (SELECT count(*) FROM admitted) AS receipts
  FROM event e LEFT JOIN referred r ON r.identity = e.identity LEFT JOIN (SELECT DISTINCT identity FROM admitted) a ON a.identity = e.identity
 WHERE e.run_id = %(run)s AND e.win = %(win)s

-- name: classes
-- Events of the window and of its reruns that the records of this one refer to, or receipts that stand in for them, each once, by
-- class.
WITH referred AS (
    SELECT DISTINCT t.identity
      FROM window_range g JOIN receipt t ON t.source_id = g.source_id AND t."offset" >= g.start_offset AND t."offset" < g.end_offset
     WHERE g.win = %(rerun)s AND t.decision IN (1, 2)
    UNION
    SELECT t.identity
      FROM gone_range x JOIN receipt t ON t.source_id = x.origin_source_id AND t."offset" >= x.start_offset AND t."offset" < x.end_offset
     WHERE x.win = %(rerun)s AND t.decision IN (1, 2))
SELECT c.name, count(*) AS n
  FROM referred r JOIN event e ON e.run_id = %(run)s AND e.identity = r.identity JOIN event_class c ON c.id = e.class_id
 WHERE e.win IN (SELECT w.id FROM run_window w WHERE %(win)s IN (w.id, w.reruns))
 GROUP BY c.name

-- name: batches
-- The window's batches, a page at a time, with what their receipts' leaves begin with.
SELECT b.id, b.source_id, b.from_offset, b.to_offset, b.digest, c.cluster_id, c.topic_id, c.partition, c.incarnation
  FROM batch b JOIN source c ON c.id = b.source_id
 WHERE b.win = %(win)s AND b.id > %(after)s ORDER BY b.id LIMIT %(page)s

-- name: places
-- Where the window's events lie on the bus, by places that count: by partition, how many, and the first and last offset.
SELECT s.id AS source_id, s.cluster_id, s.topic_id, s.topic, s.partition, count(*) AS places, min(p.bus_offset) AS first,
       max(p.bus_offset) AS last
  FROM event e JOIN place p ON p.source_id = e.source_id AND p."offset" = e."offset" JOIN source s ON s.id = p.bus_source_id
  JOIN attempt a ON a.id = p.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
 WHERE e.run_id = %(run)s AND e.win = %(win)s
 GROUP BY s.id ORDER BY s.id

-- name: met
-- How many of these records are the window's events at the very places that they have, by installation, attempt,
-- identity and both digests.
SELECT count(*) AS n
  FROM unnest(%(offsets)s::bigint[], %(attempts)s::bigint[], %(installs)s::text[], %(identities)s::bytea[], %(digests)s::bytea[],
              %(values)s::bytea[]) AS i("offset", attempt, install, identity, digest, value)
  JOIN event e ON e.run_id = %(run)s AND e.identity = i.identity AND e.win = %(win)s
  JOIN place p ON p.source_id = e.source_id AND p."offset" = e."offset"
   AND (p.bus_source_id, p.bus_offset, p.attempt_id) = (%(bus)s, i."offset", i.attempt)
  JOIN attempt a ON a.id = p.attempt_id AND a.install_id::text = i.install AND a.state IN ('ACKED', 'PARTIAL')
 WHERE e.payload_digest = i.digest AND coalesce(sha256(e.payload), e.payload_digest) = i.value

-- name: newest
-- The stream's newest window of any kind: it knows the bus that lanes read now.
SELECT max(n.id) AS win
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN run o ON o.stream_id = r.stream_id JOIN run_window n ON n.run_id = o.id
 WHERE w.id = %(win)s

-- name: bound
-- Attempts of a window, and of its reruns but perhaps one, that went to another topic than this one and are neither LOST nor proven to
-- have left nothing there.
SELECT count(DISTINCT a.id) FILTER (WHERE w.reruns IS NULL) AS own, count(DISTINCT a.id) FILTER (WHERE w.reruns IS NOT NULL) AS of_reruns
  FROM run_window w JOIN batch b ON b.win = w.id JOIN attempt_batch ab ON ab.batch_id = b.id JOIN attempt a ON a.id = ab.attempt_id
 WHERE %(win)s IN (w.id, w.reruns) AND w.id IS DISTINCT FROM %(but)s::integer AND a.topic_id <> %(topic_id)s
   AND a.state NOT IN ('LOST', 'ABSENT', 'NOT_SENT')

-- name: positions
-- Where the effects lanes of a bus stand, and how far a rerun that is judged needs them.
SELECT s.role, s.kind, s.topic, s.partition, p.next_offset, p.progressed_at, z.end_offset
  FROM run_window w JOIN run r ON r.id = w.run_id
  JOIN source s ON s.stream_id = r.stream_id AND s.role = 'bus' AND s.topic_id = %(topic_id)s
  JOIN position p ON p.source_id = s.id AND p.lane = 'effects'
  LEFT JOIN rerun_end z ON z.source_id = s.id AND z.win = w.id
 WHERE w.id = %(beside)s ORDER BY s.id
