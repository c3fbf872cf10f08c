-- Each statement returns (subject, found) for what breaks an invariant, at most %(most)s rows. %(stream)s null: all streams.

-- name: i1_places_of_acked
-- An ACKED attempt has a place for each of its events; one that is neither ACKED nor PARTIAL, nor was before it was LOST, has none.
SELECT 'attempt ' || a.id AS subject,
       a.state || ' with ' || count(p.attempt_id) || ' places for ' || a.events || ' events' AS found
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN place p ON p.attempt_id = a.id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY a.id
HAVING (a.state = 'ACKED' AND count(p.attempt_id) <> a.events)
    OR (a.state NOT IN ('ACKED', 'PARTIAL', 'LOST') AND count(p.attempt_id) > 0)
    OR (a.state = 'LOST' AND count(p.attempt_id) > a.events)
    OR (a.state = 'PARTIAL' AND count(p.attempt_id) NOT BETWEEN 1 AND a.events)
 LIMIT %(most)s

-- name: i1_places_in_attempts
-- A place is of an event that its attempt carried, on the partition that the attempt had chosen for it.
SELECT 'place of ' || p.source_id || '@' || p."offset" AS subject,
       'attempt ' || p.attempt_id || ' did not send it to source ' || p.bus_source_id AS found
  FROM place p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN (SELECT a.id, a.source_id, o."offset", t.bus_source_id
               FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id
              CROSS JOIN LATERAL unnest(ab.offsets, ab.partitions) AS o("offset", partition)
               JOIN attempt_partition t ON t.attempt_id = a.id AND t.partition = o.partition) sent
    ON sent.id = p.attempt_id AND sent.source_id = p.source_id AND sent."offset" = p."offset"
   AND sent.bus_source_id = p.bus_source_id
 WHERE sent.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i1_places_apart
-- Two events never lie at one place of the bus.
SELECT 'bus source ' || p.bus_source_id || '@' || p.bus_offset AS subject, count(*) || ' events have this place' AS found
  FROM place p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY p.bus_source_id, p.bus_offset HAVING count(*) > 1
 LIMIT %(most)s

-- name: i1_places_once
-- No event has two places that count.
SELECT 'event at ' || p.source_id || '@' || p."offset" AS subject, count(*) || ' places of it count' AS found
  FROM place p JOIN attempt a ON a.id = p.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
  JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY p.source_id, p."offset" HAVING count(*) > 1
 LIMIT %(most)s

-- name: i2_effects_unique
-- In a run, no identity has more than one effect.
SELECT 'run ' || x.run_id AS subject, count(*) || ' effects of identity ' || encode(x.identity, 'hex') AS found
  FROM effect x JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY x.run_id, x.identity HAVING count(*) > 1
 LIMIT %(most)s

-- name: i3_effects_are_events
-- Every effect is of an event of its run, and lies in that event's window.
SELECT 'run ' || x.run_id AS subject, 'effect without event: identity ' || encode(x.identity, 'hex') AS found
  FROM effect x JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN event e ON e.run_id = x.run_id AND e.identity = x.identity
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s) AND (e.identity IS NULL OR e.win <> x.win)
 LIMIT %(most)s

-- name: i3_consumed_are_effects
-- An ACKED place that the effects lane has passed is an effect.
SELECT 'source ' || p.source_id || ' offset ' || p."offset" AS subject,
       'its place ' || p.bus_source_id || '@' || p.bus_offset || ' was read and is no effect' AS found
  FROM place p JOIN attempt a ON a.id = p.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
  JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
  JOIN position lane ON lane.lane = 'effects' AND lane.source_id = p.bus_source_id AND p.bus_offset < lane.next_offset
  JOIN receipt t ON t.source_id = p.source_id AND t."offset" = p."offset"
  JOIN batch b ON b.id = t.batch_id
  LEFT JOIN effect x ON x.run_id = b.run_id AND x.identity = t.identity
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s) AND x.identity IS NULL
 LIMIT %(most)s

-- name: i3_effects_at_places
-- An effect lies at the ACKED place of its event. Elsewhere only where a copy was read first: then the record at the place
-- was counted a duplicate once it was read. Without a place only while its attempt has no outcome, or is LOST; and of a LOST one
-- it lies where that had brought its event.
SELECT 'run ' || x.run_id || ' effect at ' || x.bus_source_id || '@' || x.bus_offset AS subject,
       CASE WHEN p.source_id IS NULL THEN 'its event has no place'
            ELSE 'its event''s place is ' || p.bus_source_id || '@' || p.bus_offset END AS found
  FROM effect x JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id
  JOIN event e ON e.run_id = x.run_id AND e.identity = x.identity
  LEFT JOIN LATERAL (SELECT n.* FROM place n JOIN attempt a ON a.id = n.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
                      WHERE n.source_id = e.source_id AND n."offset" = e."offset") p ON true
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM place n JOIN attempt a ON a.id = n.attempt_id AND a.state = 'LOST'
                    WHERE n.source_id = e.source_id AND n."offset" = e."offset"
                      AND (n.bus_source_id, n.bus_offset) = (x.bus_source_id, x.bus_offset))
   AND CASE WHEN p.source_id IS NULL
            THEN NOT EXISTS (SELECT FROM attempt_batch ab JOIN attempt a ON a.id = ab.attempt_id
                              WHERE ab.batch_id = e.batch_id AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE', 'LOST'))
            ELSE (x.bus_source_id, x.bus_offset) <> (p.bus_source_id, p.bus_offset)
                 AND EXISTS (SELECT FROM bus_batch b
                              WHERE b.source_id = p.bus_source_id AND p.bus_offset >= b.from_offset
                                AND p.bus_offset < b.to_offset AND b.duplicates = 0) END
 LIMIT %(most)s

-- name: i4_samples
-- The newest sample of each source: what Kafka was told never runs ahead of what is durable.
SELECT 'source ' || p.source_id AS subject,
       'Kafka''s commit ' || n.kafka_committed || ' is ahead of the position ' || p.next_offset AS found
  FROM position p JOIN stream s ON s.id = p.stream_id
  JOIN LATERAL (SELECT * FROM sample x WHERE x.source_id = p.source_id ORDER BY x.at DESC LIMIT 1) n ON true
 WHERE p.lane IN ('admission', 'effects') AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND n.committed_state = 'COMMITTED' AND n.kafka_committed > p.next_offset
 LIMIT %(most)s

-- name: i4_samples_possible
-- What a sample says of one log can be true of one log. It is of the past, or of before the clock stepped back: then the one
-- before it is of that time, too.
SELECT 'sample ' || n.id AS subject,
       'log start ' || coalesce(n.log_start::text, '-') || ', LSO ' || coalesce(n.lso::text, '-') || ', end '
       || coalesce(n.hw::text, '-') || ' at ' || n.at AS found
  FROM sample n JOIN source c ON c.id = n.source_id JOIN stream s ON s.id = c.stream_id
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (n.log_start > n.hw OR n.lso > n.hw
        OR n.at > clock_timestamp() + interval '1 minute'
           AND n.at > (SELECT b.at FROM sample b WHERE b.source_id = n.source_id AND b.id < n.id ORDER BY b.id DESC LIMIT 1)
                      + interval '1 minute')
 LIMIT %(most)s

-- name: i5_positions_explained
-- Batches and gaps of a lane, put together, fill everything from where its first window began up to its position.
WITH lane AS (
    SELECT p.lane, p.source_id, p.next_offset,
           (SELECT min(r.start_offset) FROM window_range r WHERE r.source_id = p.source_id) AS start_offset
      FROM position p JOIN stream s ON s.id = p.stream_id
     WHERE p.lane IN ('admission', 'effects') AND (%(stream)s::text IS NULL OR s.name = %(stream)s)),
known AS (
    SELECT 'admission' AS lane, source_id, int8range(from_offset, to_offset) AS span FROM batch
    UNION ALL SELECT 'effects', source_id, int8range(from_offset, to_offset) FROM bus_batch
    UNION ALL SELECT l, source_id, int8range(from_offset, to_offset) FROM gap, unnest(ARRAY['admission', 'effects']) l)
SELECT lane.lane || ' lane of source ' || lane.source_id AS subject,
       'nothing explains all of [' || lane.start_offset || ', ' || lane.next_offset || ')' AS found
  FROM lane
  LEFT JOIN LATERAL (SELECT range_agg(k.span) AS spans FROM known k
                      WHERE k.lane = lane.lane AND k.source_id = lane.source_id) k ON true
 WHERE lane.start_offset < lane.next_offset
   AND NOT coalesce(k.spans, '{}'::int8multirange) @> int8range(lane.start_offset, lane.next_offset)
 LIMIT %(most)s

-- name: i5_reruns_apart
-- A window that a plan fills has plans' sources and no other, and a plan's source is of one such window.
SELECT 'window ' || g.win AS subject, 'source ' || c.id || ' is ' || c.kind || ', and the window is '
       || CASE WHEN w.by_plan THEN 'filled by a plan' ELSE 'filled by lanes' END AS found
  FROM window_range g JOIN run_window w ON w.id = g.win JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND ((c.kind = 'plan') <> w.by_plan
        OR c.kind = 'plan' AND EXISTS (SELECT FROM window_range o WHERE o.source_id = c.id AND o.win <> g.win))
 LIMIT %(most)s

-- name: i5_batches_beyond
-- No batch of a lane ends beyond the lane's position.
SELECT 'batch ' || b.id AS subject, 'ends at ' || b.to_offset || ', beyond the position ' || p.next_offset AS found
  FROM batch b JOIN position p ON p.lane = 'admission' AND p.source_id = b.source_id JOIN stream s ON s.id = p.stream_id
 WHERE b.to_offset > p.next_offset AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'bus batch ' || b.id, 'ends at ' || b.to_offset || ', beyond the position ' || p.next_offset
  FROM bus_batch b JOIN position p ON p.lane = 'effects' AND p.source_id = b.source_id JOIN stream s ON s.id = p.stream_id
 WHERE b.to_offset > p.next_offset AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i5_ranges_chain
-- Every offset belongs to exactly one window: a source's ranges follow each other without a hole and without overlap.
SELECT 'source ' || x.source_id AS subject,
       'window ' || x.win || ' begins at ' || x.start_offset || ', the one before it ended at ' || x.before AS found
  FROM (SELECT r.source_id, r.win, r.start_offset,
               lag(r.end_offset) OVER (PARTITION BY r.source_id ORDER BY r.win) AS before
          FROM window_range r JOIN source c ON c.id = r.source_id JOIN stream s ON s.id = c.stream_id
         WHERE %(stream)s::text IS NULL OR s.name = %(stream)s) x
 WHERE x.before <> x.start_offset
 LIMIT %(most)s

-- name: i5_gaps_proven
-- A proven gap says how far its second reader came, and was not proven by the connection that claimed it.
SELECT 'gap of source ' || g.source_id || ' at ' || g.from_offset AS subject,
       'PROVEN without a second reader that came to ' || g.to_offset AS found
  FROM gap g JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id
 WHERE g.state = 'PROVEN' AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (((g.proof ->> 'read_to')::bigint >= g.to_offset) IS NOT TRUE OR g.proven_at IS NULL
        OR g.claimed_backend IS NOT NULL AND (g.proven_backend <> g.claimed_backend) IS NOT TRUE)
 LIMIT %(most)s

-- name: i5_gone
-- What a plan passed over as gone lies in the range of its origin that it was to read again, and not where it read; its proof says that
-- the log began behind it. All of it was received then, by the window that is read again, or lay in a gap that was proven: what no
-- batch and no gap of that window spans was not.
SELECT 'gap of source ' || g.source_id || ' at ' || g.from_offset AS subject, f.found
  FROM gap g JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN (origin o JOIN window_range r ON r.source_id = o.source_id JOIN run_window w ON w.id = r.win) ON o.source_id = g.source_id
 CROSS JOIN LATERAL (
       SELECT CASE
         WHEN w.reruns IS NULL OR g.to_offset > o.end_offset - o.start_offset THEN 'GONE, and no plan that proves a window reads there'
         WHEN EXISTS (SELECT FROM batch b WHERE b.source_id = g.source_id AND b.from_offset < g.to_offset AND b.to_offset > g.from_offset)
         THEN 'GONE, and a part of it was read'
         WHEN g.state = 'PROVEN' AND ((g.proof ->> 'log_start_before')::bigint >= o.start_offset + g.to_offset
                                      AND (g.proof ->> 'log_start_after')::bigint >= o.start_offset + g.to_offset) IS NOT TRUE
         THEN 'GONE, and its proof names no start of the log behind it'
         WHEN (SELECT count(*) FROM receipt t JOIN batch b ON b.id = t.batch_id AND b.win = w.reruns
                WHERE t.source_id = o.origin_source_id AND t."offset" >= o.start_offset + g.from_offset
                  AND t."offset" < o.start_offset + g.to_offset)
            + (SELECT coalesce(sum(least(h.to_offset, o.start_offset + g.to_offset) - greatest(h.from_offset, o.start_offset + g.from_offset)), 0)
                 FROM gap h WHERE h.source_id = o.origin_source_id AND h.state = 'PROVEN' AND h.why <> 'DELETED'
                  AND h.from_offset < o.start_offset + g.to_offset AND h.to_offset > o.start_offset + g.from_offset)
            <> g.to_offset - g.from_offset
         THEN 'GONE, and not all of it was received'
       END AS found) f
 WHERE g.why = 'GONE' AND f.found IS NOT NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i6_fence_evidence
-- What was UNKNOWN and is settled has a scan after a fence newer than the one it was sent under, or a decision that rests on one.
SELECT 'attempt ' || a.id AS subject, 'went from UNKNOWN to ' || a.state || ' without a scan after a newer fence' AS found
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
 WHERE a.unknown_at IS NOT NULL AND a.state IN ('ACKED', 'ABSENT', 'PARTIAL')
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM scan x LEFT JOIN attempt_decision d ON d.attempt_id = a.id AND d.scan_id = x.id
                    WHERE x.attempt_id = a.id AND x.fence > a.fence AND x.fenced_at >= a.prepared_at
                      AND (d.outcome = a.state AND x.answer = 'UNDECIDABLE'
                           OR x.answer = CASE a.state WHEN 'ACKED' THEN 'PRESENT' ELSE a.state END))
 LIMIT %(most)s

-- name: i7_absent
-- Every contradiction that the effects lane wrote down: the bus shows what an attempt's outcome denies.
SELECT 'attempt ' || c.attempt_id AS subject, c.kind || ': ' || c.detail AS found
  FROM contradiction c JOIN source b ON b.id = c.source_id JOIN stream s ON s.id = b.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 LIMIT %(most)s

-- name: i8_order
-- A FAIL is the last word about a window. A PASS is of a window that was cut, and takes no later revision than the window's.
SELECT s.name || '/' || r.name || '#' || v.number AS subject,
       CASE WHEN w.state <> 'CUT' THEN 'PASS of a window that is not cut'
            WHEN v.revision >= w.revision THEN 'PASS at revision ' || v.revision || ' of a window at ' || w.revision
            ELSE 'PASS after a FAIL of the same window' END AS found
  FROM verdict v JOIN run_window w ON w.id = v.win JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE v.state = 'PASS' AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (w.state <> 'CUT' OR v.revision >= w.revision
        OR EXISTS (SELECT FROM verdict f WHERE f.win = v.win AND f.state = 'FAIL' AND f.number < v.number))
 LIMIT %(most)s

-- name: i8_pins
-- A window that is pinned once it is cut is so to its contexts' windows of that time: the first that were cut then or later, or what
-- stands for these. Looked for here by the times alone, and not by the rule that let them in.
SELECT s.name || '/' || r.name || ' window ' || w.number AS subject,
       CASE WHEN f.cut_at IS NULL THEN 'pinned to ' || p.verdict || ' before its cut'
            WHEN p.moment IS NULL THEN 'pinned to ' || p.verdict || ' at no time'
            WHEN p.moment > f.cut_at OR p.moment < f.cut_at AND p.moment <= f.opened_at THEN
                 'pinned to ' || p.verdict || ' of ' || (p.moment AT TIME ZONE 'UTC') || ', which is no time of it'
            ELSE 'pinned to ' || p.verdict || ', whose window does not hold ' || (p.moment AT TIME ZONE 'UTC') END AS found
  FROM window_pin p JOIN run_window w ON w.id = p.win JOIN contract c ON c.id = w.contract_id AND c.pins_at_cut
  JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN run_window f ON f.id = first_window(w.id)
  JOIN run_window held ON held.id = first_window(p.pinned_win) JOIN run h ON h.id = held.run_id
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (f.cut_at IS NULL OR p.moment IS NULL OR p.moment > f.cut_at OR p.moment < f.cut_at AND p.moment <= f.opened_at
        OR held.cut_at IS NULL OR held.cut_at < p.moment
        OR EXISTS (SELECT FROM run_window b JOIN run br ON br.id = b.run_id
                    WHERE br.stream_id = h.stream_id AND b.id < held.id AND NOT b.by_plan AND b.cut_at >= p.moment))
 LIMIT %(most)s

-- name: i9_verdicts
-- A verdict's columns say what its body says, about the window, the run and the contract that they name.
SELECT s.name || '/' || r.name || '#' || v.number AS subject, 'its row and its body disagree about ' || d.names AS found
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
  JOIN run_window w ON w.id = v.win JOIN contract c ON c.id = w.contract_id
 CROSS JOIN LATERAL (
       SELECT string_agg(n.name, ', ') AS names
         FROM (VALUES ('state', v.state, v.body ->> 'state'),
                      ('waived', v.waived::text, v.body ->> 'waived'),
                      ('number', v.number::text, v.body ->> 'number'),
                      ('stream', s.name, v.body #>> '{window,stream}'),
                      ('run', r.name, v.body #>> '{window,run}'),
                      ('window', w.number::text, v.body #>> '{window,number}'),
                      ('the window''s run', w.run_id::text, v.run_id::text),
                      ('revision', v.revision::text, v.body #>> '{window,revision}'),
                      ('contract', encode(v.contract_digest, 'hex'), v.body #>> '{window,contract,digest}'),
                      ('the window''s contract', encode(c.digest, 'hex'), v.body #>> '{window,contract,digest}'),
                      ('basis', v.basis_generation::text, coalesce(v.body #>> '{basis,generation}', '0')))
              AS n(name, stored, said)
        WHERE n.stored IS DISTINCT FROM n.said) d
 WHERE d.names IS NOT NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i9_numbers
-- Verdicts are numbered from 1 without a hole: none was taken away.
SELECT s.name || '/' || r.name AS subject, 'verdicts up to #' || max(v.number) || ', of which there are ' || count(*) AS found
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY s.name, r.name HAVING max(v.number) <> count(*)
 LIMIT %(most)s

-- name: i9_snapshots
-- A basis stands on a snapshot of its own window, taken before it, of the same cluster, topics and database; the first on
-- what was seen when the window opened. A window is opened and cut once.
SELECT 'window ' || b.win || ', basis generation ' || b.generation AS subject,
       'is not what snapshot ' || b.snapshot_id || ' saw' AS found
  FROM basis b JOIN run_window w ON w.id = b.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN snapshot n ON n.id = b.snapshot_id
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (n.win <> b.win OR b.generation = 1 AND n.kind <> 'ORIGIN' OR b.generation > 1 AND n.kind <> 'CHECK'
        OR b.generation = 1 AND (
           b.facts -> 'database' IS DISTINCT FROM n.facts -> 'database'
           OR b.facts #> '{broker,cluster_id}' IS DISTINCT FROM n.facts #> '{broker,cluster_id}'
           OR EXISTS (SELECT FROM unnest(ARRAY['inbox', 'bus']) AS role
                       CROSS JOIN unnest(ARRAY['name', 'topic_id', 'posture']) AS part
                       WHERE b.facts #> ARRAY['broker', role, part] IS DISTINCT FROM n.facts #> ARRAY['broker', role, part])
           OR EXISTS (SELECT FROM unnest(ARRAY['inbox', 'bus']) AS role
                       CROSS JOIN LATERAL jsonb_each(b.facts #> ARRAY['broker', role, 'partitions']) AS p(number, log)
                       WHERE p.log <> (n.facts #> ARRAY['broker', role, 'partitions', p.number]) - 'diverged')))
UNION ALL
SELECT 'window ' || n.win, count(*) || ' snapshots ' || n.kind
  FROM snapshot n JOIN run_window w ON w.id = n.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE n.kind IN ('ORIGIN', 'END') AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 GROUP BY n.win, n.kind HAVING count(*) > 1
 LIMIT %(most)s

-- name: i9_complete
-- A verdict says of its window until when it is complete what was measured.
SELECT s.name || '/' || r.name || '#' || v.number AS subject,
       'says complete until ' || (v.body ->> 'complete_until') || ', measured was ' || coalesce(w.complete_until::text, 'nothing') AS found
  FROM verdict v JOIN run_window w ON w.id = v.win JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s) AND v.body ? 'complete_until'
   AND (v.body ->> 'complete_until')::timestamptz IS DISTINCT FROM w.complete_until
 LIMIT %(most)s

-- name: i9_generations
-- A later generation changes neither cluster nor topic ids, nor where a partition began, nor its leader epoch downwards; and
-- only one of a plan promises less than the one before it.
SELECT 'window ' || b.win || ', basis generation ' || b.generation AS subject,
       'says something else of what generation ' || a.generation || ' knew' AS found
  FROM basis b JOIN run_window w ON w.id = b.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN basis a ON a.win = b.win AND a.generation < b.generation
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (b.facts #> '{broker,cluster_id}' IS DISTINCT FROM a.facts #> '{broker,cluster_id}'
        OR EXISTS (SELECT FROM unnest(ARRAY['inbox', 'bus']) AS role
                    WHERE b.facts #> ARRAY['broker', role, 'topic_id'] IS DISTINCT FROM a.facts #> ARRAY['broker', role, 'topic_id'])
        OR EXISTS (SELECT FROM unnest(ARRAY['inbox', 'bus']) AS role
                    CROSS JOIN LATERAL jsonb_each(a.facts #> ARRAY['broker', role, 'partitions']) AS p(number, log)
                    WHERE (b.facts #> ARRAY['broker', role, 'partitions', p.number, 'log_start'])
                          IS DISTINCT FROM p.log -> 'log_start'
                       OR (b.facts #>> ARRAY['broker', role, 'partitions', p.number, 'leader_epoch'])::bigint
                          < (p.log ->> 'leader_epoch')::bigint)
        OR b.plan IS NULL AND a.generation = b.generation - 1 AND EXISTS (
           SELECT FROM unnest(ARRAY['inbox', 'bus']) AS role
            WHERE posture_promises_less(a.facts #> ARRAY['broker', role, 'posture'], b.facts #> ARRAY['broker', role, 'posture'])))
 LIMIT %(most)s

-- name: i10_open_gates
-- A gate that is open now has no reason to be shut, and stands on the newest verdict of its window, which is PASS, of a basis that
-- is recorded; and no fresh run has taken the window's place. Where that verdict is FAIL, it stands on the newest one that says
-- of itself that it covers the window, and that is the newest of its rerun.
SELECT 'window ' || g.win AS subject, 'open on verdict ' || g.verdict_id || ', newest is ' || v.id || ' ' || v.state AS found
  FROM gate_open g JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN LATERAL (SELECT * FROM verdict x WHERE x.win = g.win ORDER BY x.number DESC LIMIT 1) v ON true
  LEFT JOIN LATERAL (
       SELECT k.* FROM verdict k WHERE k.body ? 'covers' AND k.covers = g.win AND v.state = 'FAIL' ORDER BY k.id DESC LIMIT 1) k ON true
 WHERE g.open_until > clock_timestamp() AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (coalesce(k.id, v.id) <> g.verdict_id OR coalesce(k.state, v.state) <> 'PASS' OR g.shut_why IS NOT NULL
        OR EXISTS (SELECT FROM verdict n WHERE n.win = k.win AND n.number > k.number)
        OR EXISTS (SELECT FROM contradiction c WHERE c.win IN (g.win, k.win))
        OR superseded_by(g.win) IS NOT NULL
        OR NOT EXISTS (SELECT FROM basis b WHERE b.win = coalesce(k.win, g.win) AND b.generation = coalesce(k.basis_generation, v.basis_generation)
                        AND encode(b.digest, 'hex') = coalesce(k.body, v.body) -> 'basis' ->> 'digest'))
 LIMIT %(most)s

-- name: i10_covers
-- A verdict that covers a window is a PASS of a replay that proves it, which read all of the window's ranges again; the window had
-- failed by what reading again mends. Its events, those that the records refer to, their effects and their places are the same
-- sets. And while the window is open by it, nobody takes the window's place, the bus contradicts neither, and no other rerun that
-- events came into is without a PASS.
WITH said AS (
    SELECT v.*, w.reruns, o.number AS window_number, o.run_id AS of_run, s.name || '/' || r.name || '#' || v.number AS name, x.plan,
           EXISTS (SELECT FROM gate_open g WHERE g.win = v.covers AND g.verdict_id = v.id AND g.shut_why IS NULL) AS keeps
      FROM verdict v JOIN run_window w ON w.id = v.win JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
      LEFT JOIN run_window o ON o.id = v.covers LEFT JOIN rerun x ON x.win = v.win
     WHERE (v.covers IS NOT NULL OR v.body ? 'covers') AND (%(stream)s::text IS NULL OR s.name = %(stream)s)),
sets AS (
    SELECT c.id, count(e.identity) AS events, count(t.identity) AS referred, count(x.identity) AS effects, count(p.attempt_id) AS places,
           (SELECT count(*) FROM effect n WHERE n.run_id = c.of_run AND n.win = c.covers) AS all_effects,
           (SELECT r.facts #> '{broker,bus}' FROM basis r JOIN basis w ON w.win = c.covers AND w.generation = 1
             WHERE r.win = c.win AND r.generation = 1 AND r.facts #>> '{broker,cluster_id}' = w.facts #>> '{broker,cluster_id}'
               AND r.facts #>> '{broker,bus,name}' = w.facts #>> '{broker,bus,name}'
               AND r.facts #>> '{broker,bus,topic_id}' <> w.facts #>> '{broker,bus,topic_id}') AS anew
      FROM said c LEFT JOIN event e ON e.run_id = c.of_run AND e.win = c.covers
      LEFT JOIN LATERAL (SELECT y.identity FROM window_range g JOIN receipt y ON y.source_id = g.source_id
                          WHERE g.win = c.win AND y.decision < 3 AND y.identity = e.identity
                         UNION ALL
                         SELECT y.identity FROM window_range g JOIN gap z ON z.source_id = g.source_id AND z.why = 'GONE'
                           JOIN origin o ON o.source_id = z.source_id
                           JOIN receipt y ON y.source_id = o.origin_source_id AND y."offset" >= o.start_offset + z.from_offset
                            AND y."offset" < o.start_offset + z.to_offset
                          WHERE g.win = c.win AND y.decision < 3 AND y.identity = e.identity LIMIT 1) t ON true
      LEFT JOIN effect x ON x.run_id = e.run_id AND x.identity = e.identity AND x.win = e.win
      LEFT JOIN LATERAL (SELECT q.attempt_id FROM place q JOIN attempt a ON a.id = q.attempt_id LEFT JOIN attempt_loss l ON l.attempt_id = a.id
                          WHERE q.source_id = e.source_id AND q."offset" = e."offset"
                            AND (a.state IN ('ACKED', 'PARTIAL') OR l.lost_at > c.decided_at) LIMIT 1) p ON true
     GROUP BY c.id, c.of_run, c.covers, c.win, c.decided_at)
SELECT c.name AS subject, f.found
  FROM said c JOIN sets n ON n.id = c.id
 CROSS JOIN LATERAL (
       SELECT CASE
         WHEN c.state <> 'PASS' OR c.waived OR c.reruns IS DISTINCT FROM c.covers
              OR c.body -> 'covers' -> 'window' IS DISTINCT FROM to_jsonb(c.window_number)
              OR NOT EXISTS (SELECT FROM plan p WHERE p.id = c.plan AND p.kind = 'replay' AND p.binds -> 'asked' ->> 'mode' = 'prove')
         THEN 'it is no PASS of a replay that proves the window it covers'
         WHEN NOT EXISTS (SELECT FROM verdict v WHERE v.win = c.covers AND v.state = 'FAIL' AND NOT EXISTS (
                                 SELECT FROM jsonb_path_query(v.body, '$.checks[*] ? (@.severity == "FAIL")') k(said)
                                  WHERE k.said ->> 'check' NOT IN ('ACCOUNTED', 'COMMITTED')
                                    AND NOT (n.anew IS NOT NULL AND k.said ->> 'check' IN ('BASIS', 'PUBLISHED') AND NOT EXISTS (
                                        SELECT FROM jsonb_path_query(k.said, '$.causes[*] ? (@.severity == "FAIL").text') x(text)
                                         WHERE x.text #>> '{}' <> (n.anew ->> 'name') || ' was deleted and created again'
                                           AND NOT starts_with(reverse(x.text #>> '{}'), reverse(' went to a ' || (n.anew ->> 'name') || ' that is gone'))))
                                    AND NOT (k.said ->> 'check' = 'APPLIED' AND NOT EXISTS (
                                        SELECT FROM jsonb_path_query(k.said, '$.causes[*] ? (@.severity == "FAIL").text') x(text)
                                         WHERE split_part(x.text #>> '{}', ' ', 5) <> 'applied'
                                           AND NOT starts_with(split_part(x.text #>> '{}', ' are not in ', 2) || split_part(x.text #>> '{}', ' is not in ', 2), 'truth.')))))
         THEN 'the window has not failed, or by what no reading again mends'
         WHEN EXISTS (
              SELECT FROM window_range g JOIN source z ON z.id = g.source_id AND z.role = 'inbox'
               WHERE g.win = c.covers AND NOT coalesce((
                     SELECT range_agg(int8range(o.start_offset, o.start_offset + m.end_offset))
                       FROM window_range m JOIN origin o ON o.source_id = m.source_id
                      WHERE m.win = c.win AND o.origin_source_id = g.source_id), '{}'::int8multirange)
                     @> int8range(g.start_offset, g.end_offset))
         THEN 'not all of the window was read again'
         WHEN (n.referred, n.effects, n.places, n.all_effects) <> (n.events, n.events, n.events, n.events)
              OR (c.body -> 'covers') - 'window' - 'revision' - 'batches' - 'mended' IS DISTINCT FROM jsonb_build_object(
                 'events', n.events, 'referred', n.referred, 'effects', n.effects, 'places', n.places)
         THEN format('%%s events, %%s of them referred to, %%s effects, %%s places', n.events, n.referred, n.all_effects, n.places)
         WHEN n.anew IS NOT NULL AND EXISTS (
              SELECT FROM run_window x JOIN batch b ON b.win = x.id JOIN attempt_batch ab ON ab.batch_id = b.id
                JOIN attempt a ON a.id = ab.attempt_id AND a.state NOT IN ('LOST', 'ABSENT', 'NOT_SENT')
               WHERE c.covers IN (x.id, x.reruns) AND x.id <> c.win AND a.prepared_at < c.decided_at AND a.topic_id <> n.anew ->> 'topic_id')
         THEN 'a publish of the window went to a bus that is gone'
         WHEN c.keeps AND EXISTS (SELECT FROM run f JOIN run_window x ON x.run_id = f.id AND x.reruns IS NULL
                                   WHERE f.supersedes = c.covers
                                     AND NOT EXISTS (SELECT FROM verdict v WHERE v.win = x.id AND v.state = 'FAIL'))
         THEN 'it keeps the window open whose place a run takes'
         WHEN c.keeps AND EXISTS (SELECT FROM contradiction b JOIN run_window x ON x.id = b.win WHERE c.covers IN (x.id, x.reruns))
         THEN 'it keeps a window open that the bus contradicts'
         WHEN c.keeps AND EXISTS (
              SELECT FROM run_window x JOIN batch b ON b.win = x.id AND b.admitted > 0
               WHERE x.reruns = c.covers AND x.opened_at < (SELECT me.opened_at FROM run_window me WHERE me.id = c.win)
                 AND (SELECT v.state FROM verdict v WHERE v.win = x.id ORDER BY v.number DESC LIMIT 1) IS DISTINCT FROM 'PASS')
         THEN 'it keeps a window open, and an earlier rerun that events came into has not passed'
       END AS found) f
 WHERE f.found IS NOT NULL
 LIMIT %(most)s

-- name: i10_granted
-- Every read that was granted names a PASS that had been decided by then.
SELECT 'decision ' || d.id AS subject, 'granted ' || d.who || ' without a PASS: ' || coalesce(d.verdict, 'none') AS found
  FROM gate_decision d
 WHERE d.status = 200 AND (%(stream)s::text IS NULL OR d.stream = %(stream)s)
   AND NOT EXISTS (SELECT FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
                    WHERE s.name = d.stream AND (r.name = d.run OR d.code = 'open_span') AND v.state = 'PASS' AND v.decided_at <= d.at
                      AND s.name || '/' || r.name || '#' || v.number = d.verdict)
 LIMIT %(most)s

-- name: i10_granted_after
-- Nobody is let in after a verdict that is no PASS. When a verdict was stored is what its row in the audit log says; a
-- question under way in that very moment saw the one before it, hence the seconds. A span of time is read over a window whose
-- place a fresh run has taken, by that one's PASS; and a window that failed by the PASS of a rerun that covers it.
WITH judged AS (
    SELECT s.name AS stream, r.name AS run_name, r.supersedes, w.id AS win, w.number AS window_number, w.rerun, v.number, v.state, a.at, w.cut_at,
           v.covers, w.complete_until
      FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.id = v.win
      JOIN audit_log a ON a.subject = s.name || '/' || r.name AND a.act = 'run.verdict' AND NOT a.refused
                      AND a.detail ->> 'digest' = encode(v.digest, 'hex')
     WHERE %(stream)s::text IS NULL OR s.name = %(stream)s),
stood AS (SELECT *, coalesce(lead(at) OVER (PARTITION BY win ORDER BY number), 'infinity') AS upto FROM judged)
SELECT 'decision ' || d.id AS subject,
       'granted ' || d.who || ' while window ' || x.window_number || coalesce(' rerun ' || x.rerun, '') || ' stood on #'
       || x.number || ' ' || x.state AS found
  FROM stood x JOIN gate_decision d ON d.stream = x.stream AND d.status = 200
   AND CASE WHEN d.code = 'open_span'  -- windows that lie wholly in the span that was asked for
            THEN x.cut_at >= split_part(d.run, '..', 1)::timestamptz AND x.complete_until <= split_part(d.run, '..', 2)::timestamptz
            ELSE d.run = x.run_name AND d.rerun IS NOT DISTINCT FROM x.rerun
                 AND (d.window_number IS NULL OR d.window_number = x.window_number) END
   AND d.at > x.at + interval '5 seconds' AND d.at < x.upto
 WHERE x.state <> 'PASS'
   AND NOT (d.code = 'open_span' AND EXISTS (SELECT FROM stood p WHERE p.supersedes = x.win AND p.state = 'PASS'
                                                AND d.at > p.at AND d.at < p.upto + interval '5 seconds'))
   AND NOT EXISTS (SELECT FROM stood p WHERE p.covers = x.win AND p.state = 'PASS' AND x.state = 'FAIL'
                                         AND d.at > p.at AND d.at < p.upto + interval '5 seconds')
 LIMIT %(most)s

-- name: i10_truth_guarded
-- Whatever readers see lies behind the gate: each table of schema truth has its row security in force, for its owner too,
-- and one policy for readers, on the open windows; a view looks with the reader's own rights.
SELECT 'truth.' || t.relname AS subject, 'readers of it do not stand before the gate' AS found
  FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = 'truth'
 WHERE %(stream)s::text IS NOT DISTINCT FROM %(stream)s
   AND CASE WHEN t.relkind IN ('r', 'p')
            THEN NOT (t.relrowsecurity AND t.relforcerowsecurity)
                 OR NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid
                                   AND pg_get_expr(p.polqual, p.polrelid) LIKE '%%open_windows()%%')
                 OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid AND p.polcmd IN ('r', '*') AND p.polpermissive
                               AND (p.polroles = '{0}' OR 'passgate_reader'::regrole = ANY(p.polroles))
                               AND pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%%open_windows()%%')
            WHEN t.relkind = 'v' THEN NOT coalesce(t.reloptions @> '{security_invoker=true}', false)
            ELSE t.relkind IN ('m', 'f') END
 LIMIT %(most)s

-- name: i11_approvals
-- What became more than SUBMITTED did so by approvals of exactly that, by as many other persons as it binds, each a row of its own, in
-- the order in which the plan names them; or by who asked, for records that were free: no more of a day than the contract gave, of a kind that
-- may be. What waits, or was over before, has fewer.
SELECT 'plan ' || p.id AS subject,
       CASE WHEN p.approved_by IS NULL THEN 'it is ' || p.state || ', and nobody approved it'
            WHEN NOT f.free THEN 'who asked for it approved it: ' || p.approved_by
            WHEN p.approved_digest IS DISTINCT FROM p.digest THEN 'what was approved has another digest'
            ELSE format('%%s of its %%s approvals are by other people, of its digest, and in time', g.sound, g.bound) END AS found
  FROM plan p JOIN stream s ON s.id = p.stream_id
 CROSS JOIN LATERAL (
       SELECT CASE WHEN p.free_records IS NULL THEN p.approved_person IS DISTINCT FROM p.requested_person
                   ELSE coalesce(p.approved_person = p.requested_person AND p.free_records = plan_records(p.kind, p.binds)
                   AND p.free_records + (
                       SELECT coalesce(sum(o.free_records), 0) FROM plan o
                        WHERE o.stream_id = p.stream_id AND o.approved_person = p.approved_person AND o.free_records IS NOT NULL
                          AND o.id <> p.id AND o.approved_at <= p.approved_at AND o.approved_at >= date_trunc('day', p.approved_at, 'UTC')
                          AND NOT (o.started_at IS NULL AND o.state IN ('VOID', 'EXPIRED')))
                     <= (SELECT c.free_records FROM contract c WHERE c.id = p.free_by_id AND c.stream_id = p.stream_id), false) END AS free) f
 CROSS JOIN LATERAL (
       SELECT plan_approvals_bound(p.binds) AS bound, count(*) AS given, count(*) FILTER (WHERE a.sound) AS sound,
              coalesce(bool_or(a.ordinal = plan_approvals_bound(p.binds) AND a.person = p.approved_person)
                       AND string_agg(a.who, ', ' ORDER BY a.ordinal) = p.approved_by, false) AS named
         FROM (SELECT x.ordinal, x.who, x.person, x.person <> p.requested_person AND x.digest = p.digest
                      AND x.at BETWEEN p.requested_at AND coalesce(p.approved_at, x.at) AS sound
                 FROM plan_approval x WHERE x.plan_id = p.id) a) g
 WHERE ((p.state NOT IN ('SUBMITTED', 'DECLINED', 'EXPIRED') OR p.approved_by IS NOT NULL)
        AND (p.approved_by IS NULL OR NOT f.free OR p.approved_digest IS DISTINCT FROM p.digest)
     OR g.sound < g.given
     OR NOT CASE WHEN p.approved_by IS NULL THEN g.given < g.bound
                 WHEN p.free_records IS NOT NULL THEN g.given = 0 AND g.bound = 1
                 ELSE g.given = g.bound AND g.named END)
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i11_history
-- A plan's steps follow one another as the table of transitions allows, from SUBMITTED to the state that it is in; what is
-- DONE has an outcome for every item, and what is over besides has no item without one.
SELECT 'plan ' || p.id AS subject,
       CASE WHEN h.odd > 0 OR h.last IS DISTINCT FROM p.state THEN 'its history does not lead to ' || p.state
            ELSE i.left_ || ' items of a plan that is ' || p.state || ' have no outcome' END AS found
  FROM plan p JOIN stream s ON s.id = p.stream_id
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE e.from_state IS DISTINCT FROM e.before OR e.before IS NULL AND e.to_state <> 'SUBMITTED'
                                  OR e.before IS NOT NULL AND a.to_state IS NULL) AS odd,
              (array_agg(e.to_state ORDER BY e.id DESC))[1] AS last
         FROM (SELECT id, from_state, to_state, lag(to_state) OVER (ORDER BY id) AS before
                 FROM plan_event WHERE plan_id = p.id) e
         LEFT JOIN plan_transition_allowed a ON a.from_state = e.from_state AND a.to_state = e.to_state) h
 CROSS JOIN LATERAL (SELECT count(*) AS left_ FROM plan_item WHERE plan_id = p.id AND outcome IS NULL) i
 WHERE (h.odd > 0 OR h.last IS DISTINCT FROM p.state
        OR p.state IN ('DONE', 'DECLINED', 'VOID', 'EXPIRED', 'CANCELLED') AND i.left_ > 0)
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i11_waivers
-- Every waiver is what its plan binds, and that plan ran.
SELECT 'waiver ' || w.id AS subject, 'plan ' || w.plan || ' does not waive this' AS found
  FROM waiver w JOIN run_window x ON x.id = w.win JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN plan p ON p.id = w.plan AND p.kind = 'waive' AND p.win = w.win AND p.started_at IS NOT NULL
   AND p.binds -> 'asked' ->> 'check' = w.check_name AND p.binds -> 'facts' = w.facts
   AND (p.binds -> 'asked' ->> 'until')::timestamptz = w.until
   AND (p.requested_by, p.approved_by, p.reason) = (w.requested_by, w.approved_by, w.reason)
 WHERE p.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i11_reruns
-- A rerun is what the plan asked for that it names, which ran; it is over with that plan. Its source has a receipt for each
-- item of the plan that ended as this receipt says, and no other.
SELECT 'window ' || w.number || coalesce(' rerun ' || w.rerun, '') || ' of ' || s.name || '/' || r.name AS subject,
       CASE WHEN p.id IS NULL THEN 'plan ' || coalesce(x.plan::text, '-') || ' asked for no such rerun'
            WHEN w.state = 'OPEN' THEN 'it is open, and plan ' || p.id || ' is ' || p.state
            ELSE 'its records are not the items of plan ' || p.id END AS found
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN rerun x ON x.win = w.id
  LEFT JOIN plan p ON p.id = x.plan AND p.kind = x.kind AND p.win = coalesce(w.reruns, r.supersedes) AND p.started_at IS NOT NULL
   AND (p.requested_by, p.approved_by, p.reason, p.binds -> 'asked' ? 'out_of_order')
       = (x.requested_by, x.approved_by, x.reason, x.out_of_order)
 WHERE w.by_plan AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (p.id IS NULL
        OR (w.state = 'OPEN') <> (p.state IN ('RUNNING', 'HELD'))
        OR p.kind = 'redrive' AND EXISTS (
           SELECT FROM (SELECT i.ordinal, i.subject, i.outcome FROM plan_item i
                         WHERE i.plan_id = p.id AND i.outcome IN ('ADMITTED', 'DUPLICATE', 'QUARANTINED')) i
             FULL JOIN (SELECT t."offset", t.decision, t.reason, d.item_id, d.decision AS said, d.reason AS why
                          FROM window_range g JOIN receipt t ON t.source_id = g.source_id
                          LEFT JOIN redrive d ON d.source_id = t.source_id AND d."offset" = t."offset" AND d.plan = p.id
                         WHERE g.win = w.id) t ON t."offset" = i.ordinal
            WHERE (i.subject, i.outcome, t.said, t.why) IS DISTINCT FROM
                  (t.item_id::text, (ARRAY['ADMITTED', 'DUPLICATE', 'QUARANTINED'])[t.decision], t.decision, t.reason)))
 LIMIT %(most)s

-- name: i11_refreshes
-- Every generation that a plan appended is the one whose digest that plan binds, and the plan ran.
SELECT 'window ' || b.win || ', basis generation ' || b.generation AS subject, 'plan ' || b.plan || ' does not append this' AS found
  FROM basis b JOIN run_window w ON w.id = b.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN plan p ON p.id = b.plan AND p.kind = 'basis' AND p.win = b.win AND p.started_at IS NOT NULL
   AND p.binds #>> '{facts,next}' = encode(b.digest, 'hex') AND (p.binds #>> '{facts,generation}')::integer = b.generation - 1
   AND b.why = format('plan %%s (asked for by %%s, approved by %%s: %%s)', p.id, p.requested_by, p.approved_by, p.reason)
 WHERE b.plan IS NOT NULL AND p.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i11_recheck_ends
-- Re-checks ended by what their plan binds, and that plan ran.
SELECT 're-checks of ' || e.topic || ' of ' || s.name AS subject, 'plan ' || e.plan || ' does not end them' AS found
  FROM recheck_end e JOIN stream s ON s.id = e.stream_id
  LEFT JOIN plan p ON p.id = e.plan AND p.kind = 'retire' AND p.stream_id = e.stream_id AND p.started_at IS NOT NULL
   AND (p.binds #>> '{facts,role}', p.binds #>> '{facts,topic}', p.binds #>> '{facts,cluster_id}', p.binds #>> '{facts,topic_id}',
        (p.binds #>> '{facts,last_window}')::integer) = (e.role, e.topic, e.cluster_id, e.topic_id, e.last_win)
   AND (p.requested_by, p.approved_by, p.reason) = (e.requested_by, e.approved_by, e.reason)
 WHERE p.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i11_losses
-- What is LOST was found so, twice, by a plan of two people; of another topic than has the name now, and of no attempt that is not.
SELECT 'attempt ' || coalesce(a.id, l.attempt_id) AS subject,
       CASE WHEN l.attempt_id IS NULL THEN 'LOST, and nobody has shown that its bus is gone'
            WHEN a.state IS DISTINCT FROM 'LOST' THEN 'shown to be lost, and ' || coalesce(a.state, 'not there')
            ELSE 'lost by no plan of two people that found another topic' END AS found
  FROM (SELECT * FROM attempt WHERE state = 'LOST') n FULL JOIN attempt_loss l ON l.attempt_id = n.id
  LEFT JOIN attempt a ON a.id = coalesce(n.id, l.attempt_id)
  LEFT JOIN source c ON c.id = a.source_id LEFT JOIN stream s ON s.id = c.stream_id
  LEFT JOIN plan p ON p.id = l.plan AND p.kind = 'republish' AND p.approved_person <> p.requested_person
                  AND (p.requested_by, p.approved_by, p.reason) = (l.requested_by, l.approved_by, l.reason)
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (l.attempt_id IS NULL OR a.state IS DISTINCT FROM 'LOST' OR p.id IS NULL
        OR (l.cluster_id, l.topic, l.topic_id) <> (a.cluster_id, a.topic, a.topic_id) OR l.found_topic_id = a.topic_id
        OR NOT EXISTS (SELECT FROM plan_item i WHERE i.plan_id = p.id AND i.subject = a.id::text AND i.outcome IS NOT DISTINCT FROM 'DONE'))
 LIMIT %(most)s

-- name: i11_mended
-- What was written again is of a window that had failed and never passed, by a plan that proved it and read a record of its event;
-- and the effect stands where that event lies, or lay before its bus was created again. A verdict that covers says how many there were.
SELECT 'effect of ' || encode(m.identity, 'hex') AS subject,
       CASE WHEN o.plan IS NULL THEN 'written again by no plan that proves its window'
            WHEN t.identity IS NULL THEN 'written again for a record of another event'
            WHEN NOT v.failed THEN 'written again in a window that had not failed'
            ELSE 'written again, and not at its event''s place' END AS found
  FROM mended_effect m JOIN source c ON c.id = m.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN LATERAL (
       SELECT p.id AS plan
         FROM window_range g JOIN run_window w ON w.id = g.win AND w.reruns = m.win AND w.run_id = m.run_id JOIN rerun x ON x.win = w.id
         JOIN plan p ON p.id = x.plan AND p.kind = 'replay' AND p.started_at < m.mended_at AND p.binds -> 'asked' ->> 'mode' = 'prove'
        WHERE g.source_id = m.source_id LIMIT 1) o ON true
  LEFT JOIN LATERAL (
       SELECT r.identity FROM receipt r
        WHERE r.source_id = m.source_id AND r."offset" = m."offset" AND r.decision = 2 AND r.identity = m.identity LIMIT 1) t ON true
 CROSS JOIN LATERAL (
       SELECT coalesce(bool_or(f.state = 'FAIL' AND f.decided_at < m.mended_at) AND NOT bool_or(f.state = 'PASS'), false) AS failed
         FROM verdict f WHERE f.win = m.win) v
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (o.plan IS NULL OR t.identity IS NULL OR NOT v.failed
        OR NOT EXISTS (SELECT FROM effect x JOIN event e ON e.run_id = x.run_id AND e.identity = x.identity AND e.win = x.win
                        WHERE x.run_id = m.run_id AND x.identity = m.identity AND x.win = m.win
                          AND (NOT m.effect OR EXISTS (
                              SELECT FROM place p JOIN bus_batch b ON b.id = x.bus_batch_id AND b.source_id = p.bus_source_id
                               WHERE p.source_id = e.source_id AND p."offset" = e."offset"
                                 AND (p.bus_source_id, p.bus_offset) = (x.bus_source_id, x.bus_offset)))))
UNION ALL
SELECT s.name || '/' || r.name || '#' || v.number,
       'says that ' || coalesce(v.body #>> '{covers,mended}', '0') || ' effects were written again, and ' || n.n || ' were'
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
 CROSS JOIN LATERAL (SELECT count(*) AS n FROM mended_effect m WHERE m.win = v.covers AND m.mended_at < v.decided_at) n
 WHERE v.covers IS NOT NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND v.body -> 'covers' -> 'mended' IS DISTINCT FROM CASE WHEN n.n > 0 THEN to_jsonb(n.n) END
 LIMIT %(most)s

-- name: i11_decisions
-- Every decision is what its plan binds, and that plan ran; the attempt ended so, unless its bus is gone since, and what was
-- decided to be present has its effect there.
SELECT 'attempt ' || d.attempt_id AS subject,
       CASE WHEN p.id IS NULL THEN 'plan ' || d.plan || ' does not decide this'
            WHEN a.state NOT IN ('UNDECIDABLE', d.outcome, 'LOST') THEN 'it was decided to be ' || d.outcome || ', and is ' || a.state
            ELSE 'what was decided to be present has no effect there' END AS found
  FROM attempt_decision d JOIN attempt a ON a.id = d.attempt_id
  JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN plan p ON p.id = d.plan AND p.kind = 'decide' AND p.started_at IS NOT NULL
   AND p.binds -> 'facts' -> 'attempt' = to_jsonb(d.attempt_id) AND p.binds -> 'facts' -> 'scan' = to_jsonb(d.scan_id)
   AND p.binds -> 'facts' -> 'present' = to_jsonb(cardinality(d.offsets)) AND p.binds -> 'facts' -> 'absent' = to_jsonb(d.absent)
   AND (p.requested_by, p.approved_by, p.reason) = (d.requested_by, d.approved_by, d.reason)
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (p.id IS NULL OR a.state NOT IN ('UNDECIDABLE', d.outcome, 'LOST')
        OR EXISTS (SELECT FROM unnest(d.offsets, d.bus_sources, d.bus_offsets) AS o("offset", source, at)
                    WHERE NOT EXISTS (SELECT FROM event e JOIN effect x ON x.run_id = e.run_id AND x.identity = e.identity
                                       WHERE e.source_id = a.source_id AND e."offset" = o."offset"
                                         AND e.batch_id IN (SELECT batch_id FROM attempt_batch WHERE attempt_id = a.id)
                                         AND x.bus_source_id = o.source AND x.bus_offset = o.at)))
 LIMIT %(most)s

-- name: again_plans
-- Plans with what they bind and the digest that was approved.
SELECT p.id, 'plan ' || p.id AS subject, p.binds, p.digest,
       ARRAY(SELECT i.subject FROM plan_item i WHERE i.plan_id = p.id ORDER BY i.ordinal) AS items
  FROM plan p JOIN stream s ON s.id = p.stream_id
 WHERE p.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 ORDER BY p.id LIMIT %(page)s

-- name: i12_first_payloads
-- The first payload of a mismatch is where the item says, and is what its digest says.
SELECT 'item ' || q.id AS subject, 'its first payload is not at ' || q.first_source_id || '@' || q.first_offset AS found
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
 WHERE q.first_offset IS NOT NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM event e WHERE e.run_id IN (q.run_id, run_before(q.run_id)) AND e.identity = q.identity
                    AND e.source_id = q.first_source_id AND e."offset" = q.first_offset
                    AND e.payload_digest <> q.payload_digest
                    AND (e.payload IS NULL OR sha256(e.payload) = e.payload_digest
                         OR position('ce_'::bytea IN e.headers) > 0))
 LIMIT %(most)s

-- name: i12_kept_payloads
-- Of a value beyond KEPT_BYTES (ingest/admit/lane.py) the beginning alone is kept.
SELECT 'item ' || q.id AS subject, 'its raw bytes do not have its digest' AS found
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
 WHERE q.value IS NOT NULL AND sha256(q.value) <> q.payload_digest AND octet_length(q.value) <> 33554432
   AND (q.headers IS NULL OR position('ce_'::bytea IN q.headers) = 0)
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: i12_with_attributes
-- Items and their first events whose digest is not of their value alone, and which have headers that may be a CloudEvent's
-- attributes: their digest is recomputed outside. Headers beyond KEPT_BYTES are not kept, and then nothing can be said.
SELECT q.id, q.value, q.headers, q.payload_digest, e.payload AS first_value, e.headers AS first_headers,
       e.payload_digest AS first_digest
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN event e ON e.run_id IN (q.run_id, run_before(q.run_id)) AND e.identity = q.identity AND q.first_offset IS NOT NULL
   AND position('ce_'::bytea IN e.headers) > 0 AND sha256(e.payload) <> e.payload_digest
 WHERE q.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND ((q.value IS NOT NULL AND position('ce_'::bytea IN q.headers) > 0 AND sha256(q.value) <> q.payload_digest
         AND octet_length(q.value) <> 33554432) OR e.payload IS NOT NULL)
 ORDER BY q.id LIMIT %(page)s

-- name: i13_owners
-- Under one fence of a lane only one owner committed.
SELECT x.lane || ' lane of source ' || x.source_id AS subject,
       count(DISTINCT x.owner) || ' owners committed under fence ' || x.fence AS found
  FROM (SELECT 'admission' AS lane, source_id, fence, owner FROM batch
        UNION ALL SELECT 'effects', source_id, fence, owner FROM bus_batch
        UNION ALL SELECT 'publish', source_id, fence, owner FROM attempt) x
  JOIN source c ON c.id = x.source_id JOIN stream s ON s.id = c.stream_id
 WHERE %(stream)s::text IS NULL OR s.name = %(stream)s
 GROUP BY x.lane, x.source_id, x.fence HAVING count(DISTINCT x.owner) > 1
 LIMIT %(most)s

-- name: i13_fences
-- Later offsets were committed under no older fence.
SELECT x.lane || ' lane of source ' || x.source_id AS subject,
       'fence ' || x.fence || ' at ' || x.from_offset || ' after fence ' || x.before AS found
  FROM (SELECT lane, source_id, from_offset, fence,
               max(fence) OVER (PARTITION BY lane, source_id ORDER BY from_offset ROWS UNBOUNDED PRECEDING) AS before
          FROM (SELECT 'admission' AS lane, source_id, from_offset, fence FROM batch
                UNION ALL SELECT 'effects', source_id, from_offset, fence FROM bus_batch) b) x
  JOIN source c ON c.id = x.source_id JOIN stream s ON s.id = c.stream_id
 WHERE x.fence < x.before AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: refs
-- What foreign keys would say, were they not too dear on these tables: 1.5 µs a row became 5.8. Batches are joined by their number
-- alone, and the rest is asked of the row that was found: tables just filled have no statistics, and by the source, too, the planner
-- held each receipt against each batch of its source. MATERIALIZED: planned for all of the rows, which is what is read where nothing
-- is wrong; for the first few a nested loop looks cheap, which of a million receipts took four times as long.
WITH odd AS MATERIALIZED (
SELECT 'receipt ' || t.source_id || '@' || t."offset" AS subject, 'no batch ' || t.batch_id || ' that reaches there' AS found
  FROM receipt t JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN batch b ON b.id = t.batch_id
 WHERE (b.source_id = t.source_id AND t."offset" >= b.from_offset AND t."offset" < b.to_offset) IS NOT TRUE
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'event of run ' || e.run_id || ' at ' || e.source_id || '@' || e."offset", 'no ADMITTED receipt of this identity'
  FROM event e JOIN run r ON r.id = e.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN receipt t ON t.source_id = e.source_id AND t."offset" = e."offset"
 WHERE (t.batch_id = e.batch_id AND t.decision = 1 AND t.identity = e.identity AND t.payload_digest = e.payload_digest) IS NOT TRUE
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'effect of run ' || x.run_id || ' at ' || x.bus_source_id || '@' || x.bus_offset, 'no bus batch that reaches there'
  FROM effect x JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN bus_batch b ON b.id = x.bus_batch_id
 WHERE (b.source_id = x.bus_source_id AND x.bus_offset >= b.from_offset AND x.bus_offset < b.to_offset) IS NOT TRUE
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
UNION ALL
SELECT 'place of ' || p.source_id || '@' || p."offset", 'no ADMITTED receipt there'
  FROM place p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN receipt t ON t.source_id = p.source_id AND t."offset" = p."offset" AND t.decision = 1
 WHERE t.batch_id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s))
SELECT subject, found FROM odd LIMIT %(most)s

-- name: receipts_have_rows
-- A receipt that says ADMITTED or DUPLICATE names an event of its run (LOOKED_BACK, 512: of the run before, which only a
-- DUPLICATE may), QUARANTINED an item; and an item has its receipt. MATERIALIZED as in `refs`.
WITH odd AS MATERIALIZED (
SELECT 'receipt ' || t.source_id || '@' || t."offset" AS subject,
       CASE t.decision WHEN 1 THEN 'ADMITTED, and its event is not there' ELSE 'DUPLICATE of no event' END AS found
  FROM receipt t JOIN batch b ON b.id = t.batch_id JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN event e ON e.run_id = CASE WHEN t.decision = 2 AND t.flags & 512 <> 0 THEN run_before(b.run_id) ELSE b.run_id END
                   AND e.identity = t.identity
 WHERE t.decision IN (1, 2) AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (e.identity IS NULL OR e.class_id IS DISTINCT FROM t.class_id
        OR t.decision = 1 AND (e.source_id, e."offset", e.batch_id, e.win) IS DISTINCT FROM (t.source_id, t."offset", b.id, b.win)
        -- other bytes are the same event only where the receipt says so (RESERIALISED)
        OR t.decision = 2 AND e.payload_digest <> t.payload_digest AND t.flags & 128 = 0)
UNION ALL
SELECT 'receipt ' || t.source_id || '@' || t."offset", 'QUARANTINED, and its item is not there'
  FROM receipt t JOIN batch b ON b.id = t.batch_id JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id
 WHERE t.decision = 3 AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND NOT EXISTS (SELECT FROM quarantine_item q WHERE q.source_id = t.source_id AND q."offset" = t."offset"
                      AND q.reason = t.reason AND q.payload_digest = t.payload_digest)
   AND NOT (t.reason = 50 AND EXISTS (SELECT FROM quarantine_item q WHERE q.run_id = b.run_id AND q.reason = 50
                                         AND q.identity = t.identity AND q.payload_digest = t.payload_digest))
   AND NOT EXISTS (SELECT FROM redrive d WHERE d.source_id = t.source_id AND d."offset" = t."offset")
   AND NOT EXISTS (SELECT FROM origin o JOIN quarantine_item q ON q.source_id = o.origin_source_id
                                                              AND q."offset" = o.start_offset + t."offset"
                    WHERE o.source_id = t.source_id AND q.run_id = b.run_id AND q.payload_digest = t.payload_digest)
UNION ALL
SELECT 'item ' || q.id, 'no QUARANTINED receipt of its window at ' || q.source_id || '@' || q."offset"
  FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN receipt t ON t.source_id = q.source_id AND t."offset" = q."offset" AND t.decision = 3
                     AND t.reason = q.reason AND t.payload_digest = q.payload_digest AND t.batch_id = q.batch_id
  LEFT JOIN batch b ON b.id = t.batch_id AND b.win = q.win
 WHERE b.id IS NULL AND (%(stream)s::text IS NULL OR s.name = %(stream)s))
SELECT subject, found FROM odd LIMIT %(most)s

-- name: sums
-- A batch's counts are the counts of its receipts.
SELECT 'batch ' || b.id AS subject,
       'counts ' || b.admitted || '/' || b.duplicates || '/' || b.quarantined || ', receipts '
       || t.admitted || '/' || t.duplicates || '/' || t.quarantined AS found
  FROM batch b JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id
  CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE decision = 1) AS admitted, count(*) FILTER (WHERE decision = 2) AS duplicates,
              count(*) FILTER (WHERE decision = 3) AS quarantined
         FROM receipt x WHERE x.source_id = b.source_id AND x."offset" >= b.from_offset AND x."offset" < b.to_offset) t
 WHERE (b.admitted, b.duplicates, b.quarantined) IS DISTINCT FROM (t.admitted, t.duplicates, t.quarantined)
   AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 LIMIT %(most)s

-- name: sums_of_bus
-- A bus batch applied as many records as there are effects of it, found as many foreign as were kept, and says of all its
-- copies whose events they are.
SELECT 'bus batch ' || b.id AS subject,
       'counts ' || b.applied || ' applied and ' || b.foreign_records + b.mismatching || ' set aside, '
       || b.duplicates || ' copies; there are ' || coalesce(x.n, 0) || ', ' || k.n || ' and ' || d.n AS found
  FROM bus_batch b JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id
  LEFT JOIN (SELECT bus_batch_id, count(*) AS n FROM effect GROUP BY 1) x ON x.bus_batch_id = b.id
 CROSS JOIN LATERAL (SELECT count(*) AS n FROM foreign_record f
                      WHERE f.source_id = b.source_id AND f."offset" >= b.from_offset AND f."offset" < b.to_offset) k
 CROSS JOIN LATERAL (SELECT coalesce(sum(copies), 0) AS n FROM bus_copies WHERE bus_batch_id = b.id) d
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (b.applied, b.foreign_records + b.mismatching, b.duplicates) IS DISTINCT FROM (coalesce(x.n, 0), k.n, d.n)
 LIMIT %(most)s

-- name: sums_of_attempts
-- An attempt carries the admitted events of its batches: as many offsets as it says, each with a partition.
SELECT 'attempt ' || a.id AS subject, a.events || ' events, ' || n.offsets || ' offsets, ' || n.partitions || ' partitions' AS found
  FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id
 CROSS JOIN LATERAL (SELECT coalesce(sum(cardinality(ab.offsets)), 0) AS offsets,
                            coalesce(sum(cardinality(ab.partitions)), 0) AS partitions
                       FROM attempt_batch ab WHERE ab.attempt_id = a.id) n
 WHERE (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND (a.events, a.events) IS DISTINCT FROM (n.offsets, n.partitions)
 LIMIT %(most)s

-- name: again_batches
-- Batches a page at a time: their number is not bounded, each of them is.
SELECT b.id, b.source_id, b.from_offset, b.to_offset, b.digest, b.run_id, b.contract_id, r.name AS run_name,
       c.cluster_id, c.topic_id, c.partition, c.incarnation
  FROM batch b JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id JOIN run r ON r.id = b.run_id
 WHERE b.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 ORDER BY b.id LIMIT %(page)s

-- name: again_receipts
-- The receipts of one batch, from which its Merkle root is made again.
SELECT "offset", decision, reason, identity, payload_digest
  FROM receipt WHERE source_id = %(source)s AND "offset" >= %(start)s AND "offset" < %(end)s AND batch_id = %(batch)s
 ORDER BY "offset"

-- name: again_events
-- The records that a batch admitted, as they are kept. An erased payload has nothing to be digested again.
SELECT e."offset", e.identity, e.payload_digest, e.event_id, e.key, e.headers, e.payload, c.name AS class_name
  FROM event e LEFT JOIN event_class c ON c.id = e.class_id
 WHERE e.run_id = %(run)s AND e.batch_id = %(batch)s AND e.payload IS NOT NULL
 ORDER BY e."offset"

-- name: again_contracts
-- Contracts a page at a time, whose digest is made again of text and files.
SELECT c.id, s.name || ' v' || c.version AS subject, c.source_text, c.files, c.digest, s.name AS stream
  FROM contract c JOIN stream s ON s.id = c.stream_id
 WHERE c.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 ORDER BY c.id LIMIT %(page)s

-- name: again_bases
-- Bases have no number of their own: windows are paged, whose generations are few.
SELECT w.id, s.name || '/' || r.name || ' window ' || w.number || ' generation ' || b.generation AS subject, b.facts, b.digest
  FROM (SELECT w.* FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
         WHERE w.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s) ORDER BY w.id LIMIT %(page)s) w
  JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN basis b ON b.win = w.id
 ORDER BY w.id, b.generation

-- name: again_verdicts
-- Verdicts a page at a time, each with its basis' digest as it is stored and as the verdict said it.
SELECT v.id, s.name || '/' || r.name || '#' || v.number AS subject, v.body, v.digest,
       encode(b.digest, 'hex') AS basis, v.body #>> '{basis,digest}' AS said
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN basis b ON b.win = v.win AND b.generation = v.basis_generation
 WHERE v.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 ORDER BY v.id LIMIT %(page)s

-- name: truth_windows
-- Windows whose contract names a projection.
SELECT w.id, w.contract_id, s.name || '/' || r.name AS run, r.id AS run_id
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = w.contract_id
 WHERE w.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
   AND position('projection' IN convert_from(c.source_text, 'UTF8')) > 0
 ORDER BY w.id LIMIT %(page)s

-- name: truth_columns
-- The columns of a table; none where there is no such table.
SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped

-- name: truth_against_effects
-- Both ways, by identity: rows that no effect of the window explains, and effects without a row.
SELECT encode(coalesce(t.identity, x.identity), 'hex') AS identity, x.identity IS NULL AS surplus
  FROM (SELECT identity FROM {table} WHERE win = %(win)s) t
  FULL JOIN (SELECT identity FROM effect WHERE run_id = %(run)s AND win = %(win)s) x USING (identity)
 WHERE t.identity IS NULL OR x.identity IS NULL
 LIMIT %(most)s
