-- name: window
-- The window with its run, stream and contract, and the revision that a verdict would be of.
SELECT w.id, w.number, w.state, w.revision, w.judged_revision, w.rerun, w.by_plan, w.cut_at, w.bus_end_at, w.contract_id,
       w.complete_until, w.complete_why,
       CASE WHEN w.state = 'CUT' AND w.bus_end_at IS NULL AND NOT w.by_plan THEN (
            SELECT er.name || ' window ' || e.number
              FROM run_window e JOIN run er ON er.id = e.run_id
             WHERE er.stream_id = s.id AND e.id < w.id AND e.state = 'CUT' AND e.bus_end_at IS NULL AND NOT e.by_plan
               AND EXISTS (SELECT FROM window_range g JOIN source b ON b.id = g.source_id AND b.role = 'bus'
                            WHERE g.win = e.id AND g.end_offset IS NULL
                              AND NOT EXISTS (SELECT FROM retirement t WHERE t.source_id = b.id))
             ORDER BY e.id LIMIT 1) END AS behind,
       r.id AS run_id, r.name AS run_name, r.state AS run_state, s.id AS stream_id, s.name AS stream, c.version, c.digest
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = w.contract_id
 WHERE w.id = %(win)s

-- name: rerun
-- Whose rerun a window is, and under which contract the window that it reruns was opened.
SELECT x.plan, x.kind, x.requested_by, x.approved_by, x.reason, x.out_of_order, c.version, c.digest
  FROM rerun x JOIN run_window w ON w.id = x.win JOIN run r ON r.id = w.run_id
  JOIN run_window first ON first.id = coalesce(w.reruns, r.supersedes) JOIN contract c ON c.id = first.contract_id
 WHERE x.win = %(win)s

-- name: inbox
-- One row a source of the window: its range, where its lane stands, and how its gaps lie up to there. Gaps are united
-- before they are measured, so that two that overlap are not counted twice. `stands_since`: since when the position
-- stands still with something before it, which is not since when it last moved: for hours there may have been nothing.
-- `lost`: deleted before anybody read it, which no second reader can prove to be empty; `overtaken`: of claimed gaps, what the log
-- has no more by the newest sample, so that no reader can any more either. Behind an earlier window's cut a lane
-- has nothing of this one yet. `first`: no window before this one had the source. `ends_before`: the log ended before where the lane
-- stood when Kafka was asked last, and so it is lost. `kept_to`: the log was cut there, and is another one from there on.
WITH part AS (
    SELECT r.source_id, s.role, s.kind, s.topic, s.partition, r.start_offset, r.end_offset, p.next_offset, p.leader_epoch,
           p.stopped_code, p.stopped_detail,
           greatest(p.progressed_at, coalesce(least(behind.at, w.cut_at), clock_timestamp())) AS stands_since,
           greatest(r.start_offset, least(p.next_offset, coalesce(r.end_offset, p.next_offset))) AS upto,
           NOT EXISTS (SELECT FROM window_range e WHERE e.source_id = r.source_id AND e.win < r.win) AS first,
           log_kept_to(s.id) AS kept_to, coalesce(seen.lso < seen.next_offset, false) AS ends_before, kept.log_start - coalesce(o.start_offset, 0) AS gone_to
      FROM window_range r JOIN source s ON s.id = r.source_id JOIN run_window w ON w.id = r.win
      JOIN position p ON p.source_id = s.id AND p.lane = 'admission'
      LEFT JOIN LATERAL (SELECT min(m.at) AS at FROM sample m WHERE m.source_id = p.source_id
                            AND m.at > p.progressed_at AND m.lso > p.next_offset) behind ON true
      LEFT JOIN origin o ON o.source_id = s.id
      LEFT JOIN LATERAL (SELECT m.log_start FROM sample m WHERE m.source_id = coalesce(o.origin_source_id, s.id)
                            AND m.at <= clock_timestamp() AND m.log_start IS NOT NULL ORDER BY m.at DESC LIMIT 1) kept ON true
      LEFT JOIN LATERAL (SELECT m.lso, m.next_offset FROM sample m WHERE m.source_id = p.source_id AND m.at <= clock_timestamp()
                          ORDER BY m.at DESC LIMIT 1) seen ON true
     WHERE r.win = %(win)s AND s.role = 'inbox'),
hole AS (
    SELECT part.source_id, g.state, g.why, part.gone_to,
           int8range(greatest(g.from_offset, part.start_offset), least(g.to_offset, part.upto)) AS span
      FROM part JOIN gap g ON g.source_id = part.source_id
     WHERE g.to_offset > part.start_offset AND g.from_offset < part.upto),
united AS (
    SELECT source_id, sum(upper(span) - lower(span)) AS offsets
      FROM (SELECT source_id, unnest(range_agg(span)) AS span FROM hole GROUP BY source_id) u GROUP BY source_id),
claimed AS (
    SELECT source_id, sum(upper(span) - lower(span)) FILTER (WHERE why <> 'DELETED') AS offsets,
           sum(greatest(least(upper(span), gone_to) - lower(span), 0)) FILTER (WHERE why NOT IN ('DELETED', 'GONE')) AS overtaken,
           sum(upper(span) - lower(span)) FILTER (WHERE why = 'DELETED') AS lost
      FROM hole WHERE state = 'CLAIMED' GROUP BY source_id),
doubled AS (
    SELECT h.source_id, count(*) AS offsets
      FROM hole h JOIN receipt x
        ON x.source_id = h.source_id AND x."offset" >= lower(h.span) AND x."offset" < upper(h.span)
     GROUP BY h.source_id)
SELECT part.*, coalesce(united.offsets, 0)::bigint AS gaps, coalesce(claimed.offsets, 0)::bigint AS claimed,
       coalesce(claimed.lost, 0)::bigint AS lost, coalesce(claimed.overtaken, 0)::bigint AS overtaken,
       coalesce(doubled.offsets, 0)::bigint AS doubled
  FROM part LEFT JOIN united USING (source_id) LEFT JOIN claimed USING (source_id) LEFT JOIN doubled USING (source_id)
 ORDER BY part.source_id

-- name: room
-- The set difference of APPLIED is hashed: in 16 MB it goes to disk sixteen times at ten million events, in this much thrice.
SET LOCAL work_mem = '64MB'

-- name: receipts
-- The one pass over the receipts of the window's ranges. They are counted by batch first, so that the batch's row is looked
-- up once and not once a receipt. `misfiled`: those whose batch lies under another window.
SELECT n.source_id, n.decision, n.class_id, sum(n.n)::bigint AS n,
       coalesce(sum(n.n) FILTER (WHERE b.win IS DISTINCT FROM %(win)s), 0)::bigint AS misfiled
  FROM window_range r
  JOIN source s ON s.id = r.source_id AND s.role = 'inbox'
 CROSS JOIN LATERAL (
       SELECT x.source_id, x.batch_id, x.decision, x.class_id, count(*) AS n
         FROM receipt x
        WHERE x.source_id = r.source_id AND x."offset" >= r.start_offset
          AND x."offset" < coalesce(r.end_offset, 9223372036854775807)
        GROUP BY 1, 2, 3, 4) n
  LEFT JOIN batch b ON b.id = n.batch_id
 WHERE r.win = %(win)s
 GROUP BY 1, 2, 3

-- name: origins
-- What a plan's sources brought against the receipts of the same offsets at their origins, as far as they came. What the plan passed
-- over because it is gone, below the start of its log, is looked at elsewhere: stand_in.sql.
SELECT o.source_id, count(*) FILTER (WHERE t.digest <> x.digest) AS differing,
       count(*) FILTER (WHERE t.at IS NULL AND NOT z.spans @> x.at) AS gone
  FROM window_range r JOIN origin o ON o.source_id = r.source_id
  JOIN position p ON p.lane = 'admission' AND p.source_id = o.source_id
 CROSS JOIN LATERAL (
       SELECT coalesce(range_agg(int8range(g.start_offset, g.end_offset)), '{}') AS spans
         FROM gone_range g WHERE g.source_id = o.source_id) z
 CROSS JOIN LATERAL (
       SELECT y."offset" AS at, y.payload_digest AS digest FROM receipt y
        WHERE y.source_id = o.origin_source_id AND y."offset" >= o.start_offset
          AND y."offset" < o.start_offset + p.next_offset) x
  LEFT JOIN LATERAL (
       SELECT y."offset" AS at, y.payload_digest AS digest FROM receipt y
        WHERE y.source_id = o.source_id AND y."offset" = x.at - o.start_offset LIMIT 1) t ON true
 WHERE r.win = %(win)s
 GROUP BY o.source_id

-- name: unread
-- Of a fresh run's sources: offsets that its plan was to read again and did not.
SELECT r.source_id, o.end_offset - o.start_offset - r.end_offset AS unread
  FROM run_window w JOIN window_range r ON r.win = w.id AND r.end_offset IS NOT NULL JOIN origin o ON o.source_id = r.source_id
 WHERE w.id = %(win)s AND w.reruns IS NULL

-- name: strays
-- Records of the window's batches that lie outside its ranges, by source.
SELECT b.source_id, s.role, s.kind, s.topic, s.partition, sum(b.records)::bigint AS n
  FROM batch b JOIN source s ON s.id = b.source_id
 WHERE b.win = %(win)s
   AND NOT EXISTS (SELECT FROM window_range r
                    WHERE r.win = b.win AND r.source_id = b.source_id AND b.from_offset >= r.start_offset
                      AND (r.end_offset IS NULL OR b.to_offset <= r.end_offset))
 GROUP BY 1, 2, 3, 4, 5

-- name: batches
-- What the window's batches say that they brought; the receipts are counted beside it.
SELECT coalesce(sum(records), 0)::bigint AS records, coalesce(sum(admitted), 0)::bigint AS admitted,
       coalesce(sum(duplicates), 0)::bigint AS duplicates, coalesce(sum(quarantined), 0)::bigint AS quarantined,
       max(committed_at) AS newest
  FROM batch WHERE win = %(win)s

-- name: classes
-- The names of the stream's event classes, by the number that receipts have.
SELECT id, name FROM event_class WHERE stream_id = %(stream)s

-- name: bus
-- The effects lane on every bus partition of the basis' topic. A range not written yet has an earlier window whose end is
-- not known; its start then is that window's. A rerun has no ranges there: it waits until the bus is read so far.
SELECT s.id AS source_id, s.role, s.kind, s.topic, s.partition, p.next_offset, p.leader_epoch, p.stopped_code, p.stopped_detail,
       greatest(p.progressed_at, coalesce(least(behind.at, w.bus_end_at), clock_timestamp())) AS stands_since,
       coalesce(r.end_offset, z.end_offset) AS end_offset, coalesce(r.start_offset, z.end_offset, (SELECT max(e.start_offset) FROM window_range e
                                                WHERE e.source_id = s.id AND e.win < %(win)s), p.next_offset) AS start_offset,
       (SELECT coalesce(sum(least(g.to_offset, coalesce(r.end_offset, g.to_offset)) - greatest(g.from_offset, r.start_offset)),
                        0)::bigint
          FROM gap g WHERE g.source_id = s.id AND g.why = 'DELETED' AND g.to_offset > r.start_offset
                       AND (r.end_offset IS NULL OR g.from_offset < r.end_offset)) AS lost
  FROM source s JOIN position p ON p.source_id = s.id AND p.lane = 'effects' JOIN run_window w ON w.id = %(win)s
  LEFT JOIN window_range r ON r.source_id = s.id AND r.win = %(win)s
  LEFT JOIN rerun_end z ON z.source_id = s.id AND z.win = %(win)s
  LEFT JOIN LATERAL (SELECT min(m.at) AS at FROM sample m WHERE m.source_id = p.source_id
                        AND m.at > p.progressed_at AND m.lso > p.next_offset) behind ON true
 WHERE s.stream_id = %(stream)s AND s.role = 'bus' AND s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s
 ORDER BY s.id

-- name: stopped_publishing
-- Publish lanes of the window's sources that stand still, and why.
SELECT s.role, s.kind, s.topic, s.partition, p.stopped_code, p.stopped_detail
  FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox'
  JOIN position p ON p.source_id = s.id AND p.lane = 'publish' AND p.stopped_code IS NOT NULL
 WHERE r.win = %(win)s ORDER BY s.id

-- name: standing
-- Where the lanes of these inbox and bus sources stand now, and why; and whether their logs ended before that, as in `inbox`.
SELECT s.role, s.kind, s.topic, s.partition, p.next_offset, p.stopped_code, p.stopped_detail,
       coalesce(seen.lso < seen.next_offset, false) AS ends_before
  FROM position p JOIN source s ON s.id = p.source_id
  LEFT JOIN LATERAL (SELECT m.lso, m.next_offset FROM sample m WHERE m.source_id = p.source_id AND m.at <= clock_timestamp()
                      ORDER BY m.at DESC LIMIT 1) seen ON true
 WHERE s.stream_id = %(stream)s
   AND (p.lane = 'admission' AND EXISTS (SELECT FROM window_range r WHERE r.win = %(win)s AND r.source_id = s.id)
        OR p.lane = 'effects' AND s.cluster_id = %(cluster_id)s AND s.topic_id = %(topic_id)s)

-- name: places
-- Events of the window's batches, how many of them have a place that counts, and how many more places there are. Batch by batch: what other
-- runs have is not read, and nothing is sorted or hashed that does not fit into memory. In the run's own leaf and with IS
-- TRUE around the run, and as an intersection: a table just filled has no statistics, and the planner then read the run's
-- whole key for each batch, or compared each of its events with each of its places. `standing`: what other attempts placed, and
-- lost with the bus, is no place. OFFSET 0: `placed` is named twice, and would be counted twice.
SELECT coalesce(sum(n.events), 0)::bigint AS events, coalesce(sum(n.placed), 0)::bigint AS placed,
       coalesce(sum(n.places - n.placed), 0)::bigint AS more
  FROM batch b
 CROSS JOIN LATERAL (
       SELECT coalesce(array_agg(a.id), '{{}}') AS ids
         FROM attempt_batch ab JOIN attempt a ON a.id = ab.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
        WHERE ab.batch_id = b.id) standing
 CROSS JOIN LATERAL (
       SELECT (SELECT count(*) FROM {leaf} WHERE batch_id = b.id AND (run_id = b.run_id) IS TRUE) AS events,
              (SELECT count(*)
                 FROM (SELECT "offset" FROM {leaf} WHERE batch_id = b.id AND (run_id = b.run_id) IS TRUE
                       INTERSECT
                       SELECT "offset" FROM place
                        WHERE source_id = b.source_id AND "offset" >= b.from_offset AND "offset" < b.to_offset
                          AND attempt_id = ANY(standing.ids)) x) AS placed,
              (SELECT count(*) FROM place
                WHERE source_id = b.source_id AND "offset" >= b.from_offset AND "offset" < b.to_offset
                  AND attempt_id = ANY(standing.ids)) AS places
       OFFSET 0) n
 WHERE b.win = %(win)s

-- name: attempts
-- Unsettled attempts. A PREPARED whose lane no longer holds the fence it was prepared under will not say what became of
-- it: it counts as unknown before the lane's next owner writes it down. OVER: the log it went to is gone.
SELECT CASE WHEN a.over_at IS NOT NULL THEN 'OVER'
            WHEN a.state = 'PREPARED' AND (p.fence IS DISTINCT FROM a.fence OR p.until <= clock_timestamp() OR p.owner IS NULL)
            THEN 'UNKNOWN' ELSE a.state END AS state,
       count(DISTINCT a.id) AS attempts, coalesce(sum(cardinality(ab.offsets)), 0)::bigint AS events,
       (array_agg(DISTINCT a.id))[:3] AS first
  FROM batch b
  JOIN attempt_batch ab ON ab.batch_id = b.id AND ab.live
  JOIN attempt a ON a.id = ab.attempt_id
  LEFT JOIN position p ON p.lane = 'publish' AND p.source_id = a.source_id
 WHERE b.win = %(win)s AND a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')
 GROUP BY 1

-- name: queued
-- How many of the window's events wait to be published.
SELECT coalesce(sum(q.events), 0)::bigint AS events
  FROM batch b JOIN publish_queue q ON q.batch_id = b.id WHERE b.win = %(win)s

-- name: withheld
-- Batches whose attempt was proven ABSENT (or partly so) and that nothing carries now: a plan must bring them back.
SELECT count(DISTINCT b.id) AS attempts, count(e.identity) AS events
  FROM batch b
  JOIN {leaf} e ON e.batch_id = b.id AND (e.run_id = b.run_id) IS TRUE
 WHERE b.win = %(win)s
   AND EXISTS (SELECT FROM attempt_batch ab WHERE ab.batch_id = b.id)
   AND NOT EXISTS (SELECT FROM attempt_batch ab WHERE ab.batch_id = b.id AND ab.live)
   AND NOT EXISTS (SELECT FROM publish_queue q WHERE q.batch_id = b.id)
   AND NOT EXISTS (SELECT FROM place p JOIN attempt y ON y.id = p.attempt_id AND y.state IN ('ACKED', 'PARTIAL')
                    WHERE p.source_id = b.source_id AND p."offset" = e."offset")

-- name: foreign_records
-- Records in the window's ranges of the bus that were set aside: not ours, or not what they say they are.
SELECT count(*) AS n
  FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'bus'
  JOIN foreign_record x ON x.source_id = r.source_id AND x."offset" >= r.start_offset
                       AND (r.end_offset IS NULL OR x."offset" < r.end_offset)
 WHERE r.win = %(win)s

-- name: copies
-- Further copies of the window's events that lay on the bus, and the place of the first that was read. `lost`: whether some were
-- lost with a bus, and published again.
SELECT coalesce(sum(c.copies), 0)::bigint AS n,
       EXISTS (SELECT FROM attempt_loss l JOIN attempt_batch ab ON ab.attempt_id = l.attempt_id JOIN batch o ON o.id = ab.batch_id
                WHERE o.win = %(win)s) AS lost,
       (array_agg(s.partition ORDER BY c.bus_batch_id, c.first_offset))[1] AS partition,
       (array_agg(c.first_offset ORDER BY c.bus_batch_id, c.first_offset))[1] AS "offset"
  FROM bus_copies c JOIN bus_batch b ON b.id = c.bus_batch_id JOIN source s ON s.id = b.source_id
 WHERE c.win = %(win)s

-- name: contradictions
-- Attempts of the window whose outcome the bus has shown to be wrong.
SELECT count(DISTINCT attempt_id) AS n FROM contradiction WHERE win = %(win)s

-- name: application
-- The set difference, by identity. Hashed on disk if it is large; never in this process. Events are found batch by batch,
-- where they lie one after another: sixteen runs share one table, and a plan that goes by the key of the run would jump
-- through all of it. OFFSET 0 and IS TRUE keep the planner from making that of it.
SELECT count(*) FILTER (WHERE e.identity IS NOT NULL) AS events,
       count(*) FILTER (WHERE x.identity IS NOT NULL) AS applied,
       count(*) FILTER (WHERE x.identity IS NULL) AS missing,
       count(*) FILTER (WHERE e.identity IS NULL) AS surplus
  FROM (SELECT v.identity
          FROM batch b
         CROSS JOIN LATERAL (SELECT identity FROM {leaf} WHERE batch_id = b.id
                                AND (run_id = %(run)s AND win = %(win)s) IS TRUE OFFSET 0) v
         WHERE b.win = %(win)s) e
  FULL JOIN (SELECT identity FROM effect WHERE run_id = %(run)s AND win = %(win)s) x USING (identity)

-- name: truth
-- What readers read of the window against the effects that the projection took: those of its classes (null: of all). Rows
-- are compared by identity; one event may have several. Classes are looked up by batch, as in `application`.
SELECT count(*) FILTER (WHERE x.identity IS NOT NULL) AS taken,
       count(*) FILTER (WHERE t.identity IS NULL) AS missing,
       count(*) FILTER (WHERE x.identity IS NULL) AS surplus
  FROM (SELECT y.identity FROM {effects} y
         WHERE y.run_id = %(run)s AND y.win = %(win)s
           AND (%(classes)s::text[] IS NULL
                OR EXISTS (SELECT FROM {leaf} e JOIN event_class c ON c.id = e.class_id
                            WHERE e.run_id = y.run_id AND e.identity = y.identity
                              AND c.name = ANY(%(classes)s::text[])))) x
  FULL JOIN (SELECT DISTINCT identity FROM {table} WHERE win = %(win)s) t USING (identity)

-- name: joins
-- What became of the window's look-ups in its context.
SELECT count(*) FILTER (WHERE context_state = 1) AS matched, count(*) FILTER (WHERE context_state = 2) AS missing,
       count(*) FILTER (WHERE context_state = 3) AS ambiguous
  FROM effect WHERE run_id = %(run)s AND win = %(win)s

-- name: quarantine
-- The window's items: open, resolved, discarded, and resolved without a name or a reason. A rerun's are those that its plan
-- sent through admission again or read again, or would have, were they not gone: where the record came, or as a mismatch that came
-- before.
SELECT count(*) FILTER (WHERE state = 'OPEN') AS open,
       count(*) FILTER (WHERE state = 'RESOLVED') AS resolved,
       count(*) FILTER (WHERE resolution = 'DISCARDED') AS discarded,
       count(*) FILTER (WHERE state = 'RESOLVED' AND (btrim(resolved_by) = '' OR btrim(resolved_reason) = '')) AS unsigned
  FROM quarantine_item
 WHERE win = %(win)s
    OR id IN (SELECT d.item_id FROM window_range g JOIN redrive d ON d.source_id = g.source_id WHERE g.win = %(win)s)
    OR id IN (SELECT q.id FROM window_range g JOIN run_window w ON w.id = g.win AND w.reruns IS NOT NULL
                JOIN origin o ON o.source_id = g.source_id JOIN receipt t ON t.source_id = o.source_id AND t.decision = 3
                JOIN quarantine_item q ON q.source_id = o.origin_source_id AND q."offset" = o.start_offset + t."offset"
               WHERE g.win = %(win)s)
    OR id IN (SELECT q.id FROM window_range g JOIN run_window w ON w.id = g.win AND w.reruns IS NOT NULL
                JOIN receipt t ON t.source_id = g.source_id AND t.decision = 3 AND t.reason = 50
                JOIN quarantine_item q ON q.run_id = w.run_id AND q.reason = 50 AND q.identity = t.identity
                 AND q.payload_digest = t.payload_digest
               WHERE g.win = %(win)s)
    OR id IN (SELECT q.id FROM gone_range x JOIN quarantine_item q ON q.source_id = x.origin_source_id
                 AND q."offset" >= x.start_offset AND q."offset" < x.end_offset
               WHERE x.win = %(win)s)
    OR id IN (SELECT q.id FROM gone_range x JOIN run_window w ON w.id = x.win
                JOIN receipt t ON t.source_id = x.origin_source_id AND t."offset" >= x.start_offset AND t."offset" < x.end_offset
                 AND t.decision = 3 AND t.reason = 50
                JOIN quarantine_item q ON q.run_id = w.run_id AND q.reason = 50 AND q.identity = t.identity
                 AND q.payload_digest = t.payload_digest
               WHERE x.win = %(win)s)

-- name: totals
-- The newest declaration of a class counts.
SELECT DISTINCT ON (event_class) event_class, declared
  FROM control_total WHERE win = %(win)s ORDER BY event_class, id DESC

-- name: pins
-- Measured at every look: a pin is no memory of a PASS but a fact that can change.
SELECT p.context, p.verdict, v.digest, p.why, p.fallen
  FROM context_standing(%(win)s) p
  JOIN run_window w ON w.id = p.pinned_win
  JOIN verdict v ON v.run_id = w.run_id AND v.number = substring(p.verdict FROM '#([0-9]+)$')::integer
 ORDER BY p.context

-- name: waivers
-- What approved plans waived of the window, with the digest of the facts that they are of and of those that are there now.
SELECT w.check_name, w.plan, w.requested_by, w.approved_by, w.reason, w.until, waiver_digest(w.facts) AS bound,
       waiver_digest(waiver_facts(w.win, w.check_name)) AS measured
  FROM waiver w WHERE w.win = %(win)s AND w.until > clock_timestamp() ORDER BY w.until DESC, w.id DESC

-- name: recheck_end
-- Which plan ended the re-checks of the window's inbox; no row: it is re-checked.
SELECT e.plan AS ended_by, e.topic AS ended_topic, e.requested_by AS ended_requested_by, e.approved_by AS ended_approved_by, e.ended_at
  FROM recheck_end_of(%(win)s) e

-- name: decisions
-- What was decided of attempts that carry events of the window, whatever has become of them since.
SELECT d.attempt_id, d.plan, d.requested_by, d.approved_by, d.reason, cardinality(d.offsets) AS present, d.absent
  FROM attempt_decision d
 WHERE EXISTS (SELECT FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id
                WHERE ab.attempt_id = d.attempt_id AND b.win = %(win)s)
 ORDER BY d.attempt_id

-- name: positions
-- Where the admission and effects lanes of windows stand, with the epochs to probe. Of several incarnations of a topic, the
-- newest that the window may know. `anchor` is where the newest record read ends, as `anchor` of ingest/lanes/partition_lane.sql has it.
SELECT DISTINCT ON (w.id, s.topic, s.partition) w.id AS win, s.topic, s.partition, p.next_offset, p.leader_epoch,
       (WITH RECURSIVE back AS (
            SELECT p.next_offset AS at, 0 AS n
            UNION ALL
            SELECT g.from_offset, back.n + 1
              FROM back
             CROSS JOIN LATERAL (SELECT from_offset, to_offset FROM gap
                                  WHERE source_id = p.source_id AND from_offset < back.at ORDER BY from_offset DESC LIMIT 1) g
             WHERE g.to_offset = back.at AND back.n < 10000)
        SELECT min(at) FROM back) AS anchor
  FROM source s JOIN position p ON p.source_id = s.id AND p.lane IN ('admission', 'effects')
  JOIN run_window w ON w.id = ANY(%(wins)s) JOIN run ON run.id = w.run_id
 WHERE s.stream_id = run.stream_id AND s.kind = 'topic'
   AND (EXISTS (SELECT FROM window_range r WHERE r.win = w.id AND r.source_id = s.id)
        OR s.role = 'bus' AND EXISTS (SELECT FROM window_range r WHERE r.win <= w.id AND r.source_id = s.id))
 ORDER BY w.id, s.topic, s.partition, s.id DESC
