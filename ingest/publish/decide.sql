-- name: facts
-- What a decision about an attempt would be of: the function is the rule that the trigger asks, too.
SELECT decision_facts(%(attempt)s) AS facts

-- name: about
-- Which window an attempt's events belong to, and by which contract it was sent.
SELECT s.id AS stream_id, s.name AS stream, r.id AS run_id, r.name AS run, b.win, w.number, b.contract_id
  FROM attempt a
  JOIN LATERAL (SELECT batch_id FROM attempt_batch WHERE attempt_id = a.id LIMIT 1) one ON true
  JOIN batch b ON b.id = one.batch_id JOIN run_window w ON w.id = b.win
  JOIN run r ON r.id = b.run_id JOIN stream s ON s.id = r.stream_id
 WHERE a.id = %(attempt)s

-- name: lock
-- The publish lane of the attempt, and every effects lane of the bus that it went to: none of them settles the attempt, scans it
-- anew, or applies an event of it until the decision is there for it to see. Positions first, by source, as everywhere.
SELECT p.lane, p.source_id
  FROM attempt a JOIN source c ON c.id = a.source_id
  JOIN source b ON b.stream_id = c.stream_id AND b.role = 'bus' AND b.cluster_id = a.cluster_id AND b.topic_id = a.topic_id
  JOIN position p ON p.lane = 'effects' AND p.source_id = b.id OR p.lane = 'publish' AND p.source_id = a.source_id
 WHERE a.id = %(attempt)s
 ORDER BY p.source_id FOR UPDATE OF p

-- name: write
-- Present is what has an effect, at its place; the trigger decision_of_its_plan holds every word against the plan.
INSERT INTO attempt_decision (attempt_id, plan, scan_id, outcome, offsets, bus_sources, bus_offsets, absent,
                              requested_by, approved_by, reason)
SELECT %(attempt)s, %(plan)s, %(scan)s,
       CASE WHEN a.events = cardinality(x.offsets) THEN 'ACKED' WHEN cardinality(x.offsets) > 0 THEN 'PARTIAL' ELSE 'ABSENT' END,
       x.offsets, x.sources, x.places, a.events - cardinality(x.offsets), %(requested_by)s, %(approved_by)s, %(reason)s
  FROM attempt a
 CROSS JOIN LATERAL (
       SELECT coalesce(array_agg(e."offset" ORDER BY e."offset"), '{}') AS offsets,
              coalesce(array_agg(e.bus_source_id ORDER BY e."offset"), '{}') AS sources,
              coalesce(array_agg(e.bus_offset ORDER BY e."offset"), '{}') AS places
         FROM attempt_effects(a.id) e) x
 WHERE a.id = %(attempt)s

-- name: made
-- What was decided of an attempt, if anything was.
SELECT outcome, offsets, bus_sources, bus_offsets, absent FROM attempt_decision WHERE attempt_id = %(attempt)s
