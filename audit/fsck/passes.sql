-- The facts of a standing PASS, read for fsck alone: from receipts, events, places and effects themselves, in another way
-- than audit/measure.sql, so that one mistake does not make both of them say the same.

-- name: standing
-- Windows whose newest verdict is PASS.
SELECT w.id, w.number, w.state, w.revision, w.rerun, w.by_plan, w.cut_at, w.contract_id, r.id AS run_id, r.name AS run_name, s.id AS stream_id,
       s.name AS stream, c.version, c.digest, v.body, s.name || '/' || r.name || '#' || v.number AS verdict,
       EXISTS (SELECT FROM gate_open g WHERE g.win = w.id AND g.shut_why IS NULL
                  AND lease_holds(g.checked_at, g.open_until)) AS is_open
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = w.contract_id
  JOIN LATERAL (SELECT * FROM verdict x WHERE x.win = w.id ORDER BY x.number DESC LIMIT 1) v ON v.state = 'PASS'
 WHERE w.id > %(after)s AND (%(stream)s::text IS NULL OR s.name = %(stream)s)
 ORDER BY w.id LIMIT %(page)s

-- name: revision
-- Asked before and after the facts are read: where it moved meanwhile, they are not of one moment.
SELECT w.revision, clock_timestamp() AS now FROM run_window w WHERE w.id = %(win)s

-- name: waivers
-- What was waived of the window, with the digests of the facts that this was of and of those that are there now.
SELECT x.check_name, x.plan, x.requested_by, x.approved_by, x.reason, x.until, waiver_digest(x.facts) AS bound,
       waiver_digest(waiver_facts(x.win, x.check_name)) AS measured
  FROM waiver x WHERE x.win = %(win)s ORDER BY x.id

-- name: decisions
-- Attempts of the window's batches that people decided about, as the decisions have them.
SELECT DISTINCT d.attempt_id, d.plan, d.requested_by, d.approved_by, d.reason, cardinality(d.bus_offsets) AS present, d.absent
  FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id JOIN attempt_decision d ON d.attempt_id = ab.attempt_id
 WHERE b.win = %(win)s ORDER BY d.attempt_id

-- name: database
-- Which PostgreSQL this is, and on which timeline its WAL is written now.
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer END AS timeline

-- name: inbox
-- Runs of receipts and gaps are laid over each range: what they leave free has neither, where they overlap there are two.
-- `kept_to`: where the log of the source, or of what went on from it, was cut.
WITH part AS (
    SELECT g.source_id, c.role, c.kind, c.topic, c.partition, g.start_offset, g.end_offset, p.next_offset, p.progressed_at,
           (SELECT min(t.kept_to) FROM retirement t JOIN source n ON n.id = t.source_id
             WHERE n.stream_id = c.stream_id AND n.topic_id = c.topic_id AND n.cluster_id = c.cluster_id
               AND n.partition = c.partition AND n.incarnation >= c.incarnation) AS kept_to,
           p.leader_epoch, greatest(g.start_offset, least(p.next_offset, coalesce(g.end_offset, p.next_offset))) AS upto
      FROM window_range g JOIN source c ON c.id = g.source_id AND c.role = 'inbox'
      JOIN position p ON p.source_id = c.id AND p.lane = 'admission'
     WHERE g.win = %(win)s),
one AS (
    SELECT t.source_id, t."offset", t."offset" - row_number() OVER (PARTITION BY t.source_id ORDER BY t."offset") AS island
      FROM part JOIN receipt t ON t.source_id = part.source_id AND t."offset" >= part.start_offset AND t."offset" < part.upto),
island AS (
    SELECT source_id, int8range(min("offset"), max("offset") + 1) AS span FROM one GROUP BY source_id, island),
hole AS (
    SELECT part.source_id, g.state,
           int8range(g.from_offset, g.to_offset) * int8range(part.start_offset, part.upto) AS span
      FROM part JOIN gap g ON g.source_id = part.source_id
       AND int8range(g.from_offset, g.to_offset) && int8range(part.start_offset, part.upto)),
laid AS (
    SELECT part.source_id,
           (SELECT range_agg(span) FROM island i WHERE i.source_id = part.source_id) AS filed,
           (SELECT range_agg(span) FROM hole h WHERE h.source_id = part.source_id) AS empty,
           (SELECT range_agg(span) FROM hole h WHERE h.source_id = part.source_id AND h.state <> 'PROVEN') AS claimed
      FROM part),
size AS (
    SELECT source_id, of, sum(upper(span) - lower(span)) AS n
      FROM laid CROSS JOIN LATERAL (
           SELECT 'filed' AS of, unnest(filed) AS span
           UNION ALL SELECT 'free', unnest((SELECT int8multirange(int8range(start_offset, upto)) FROM part
                                             WHERE part.source_id = laid.source_id)
                                           - (coalesce(filed, '{}') + coalesce(empty, '{}')))
           UNION ALL SELECT 'both', unnest(coalesce(filed, '{}') * coalesce(empty, '{}'))
           UNION ALL SELECT 'claimed', unnest(claimed)) x
     GROUP BY 1, 2)
SELECT part.*,
       coalesce((SELECT n FROM size z WHERE z.source_id = part.source_id AND z.of = 'filed'), 0)::bigint AS filed,
       coalesce((SELECT n FROM size z WHERE z.source_id = part.source_id AND z.of = 'free'), 0)::bigint AS missing,
       coalesce((SELECT n FROM size z WHERE z.source_id = part.source_id AND z.of = 'both'), 0)::bigint AS doubled,
       coalesce((SELECT n FROM size z WHERE z.source_id = part.source_id AND z.of = 'claimed'), 0)::bigint AS claimed
  FROM part ORDER BY part.source_id

-- name: origins
-- Receipts at the origins of the window's sources that a plan's receipt does not repeat, digest for digest: `unlike` where it
-- says something else, `absent` where there is none. What is gone is looked at in `gone`.
WITH was AS (
    SELECT o.source_id, t."offset" - o.start_offset AS at, t.payload_digest
      FROM window_range g JOIN origin o ON o.source_id = g.source_id JOIN window_range e ON e.win = g.win AND e.source_id = o.source_id
      JOIN receipt t ON t.source_id = o.origin_source_id AND t."offset" >= o.start_offset
       AND t."offset" < o.start_offset + e.end_offset
     WHERE g.win = %(win)s
       AND NOT EXISTS (SELECT FROM gap z WHERE z.source_id = o.source_id AND z.why = 'GONE'
                          AND t."offset" - o.start_offset >= z.from_offset AND t."offset" - o.start_offset < z.to_offset)),
now_ AS (
    SELECT t.source_id, t."offset" AS at, t.payload_digest
      FROM window_range g JOIN origin o ON o.source_id = g.source_id JOIN receipt t ON t.source_id = g.source_id
     WHERE g.win = %(win)s),
odd AS (SELECT * FROM was EXCEPT SELECT * FROM now_)
SELECT odd.source_id, count(*) FILTER (WHERE n.at IS NOT NULL) AS unlike, count(*) FILTER (WHERE n.at IS NULL) AS absent
  FROM odd LEFT JOIN now_ n ON n.source_id = odd.source_id AND n.at = odd.at GROUP BY 1

-- name: gone
-- What was gone when it was read again, by source: receipts and proven gaps at the origin are laid over it, and what they leave free
-- has neither. Only receipts of the window that is read again count, and none that lies in a gap.
WITH part AS (
    SELECT z.source_id, o.origin_source_id, w.reruns, z.from_offset,
           int8range(o.start_offset + z.from_offset, o.start_offset + z.to_offset) AS span
      FROM run_window w JOIN window_range g ON g.win = w.id JOIN gap z ON z.source_id = g.source_id AND z.why = 'GONE'
      JOIN origin o ON o.source_id = z.source_id
     WHERE w.id = %(win)s),
one AS (
    SELECT p.source_id, t."offset", t."offset" - row_number() OVER (PARTITION BY p.source_id ORDER BY t."offset") AS island
      FROM part p JOIN receipt t ON t.source_id = p.origin_source_id AND t."offset" >= lower(p.span) AND t."offset" < upper(p.span)
     WHERE EXISTS (SELECT FROM batch b WHERE b.id = t.batch_id AND b.win = p.reruns)),
laid AS (
    SELECT p.source_id, p.origin_source_id, range_agg(p.span) AS gone,
           (SELECT range_agg(i.span) FROM (SELECT int8range(min("offset"), max("offset") + 1) AS span FROM one
                                            WHERE one.source_id = p.source_id GROUP BY island) i) AS filed,
           (SELECT range_agg(int8range(h.from_offset, h.to_offset)) FROM gap h
             WHERE h.source_id = p.origin_source_id AND h.state = 'PROVEN' AND h.why <> 'DELETED') AS held
      FROM part p GROUP BY p.source_id, p.origin_source_id)
SELECT l.source_id, s.gone AS offsets, s.filed AS receipts, s.held AS empty, s.neither
  FROM laid l CROSS JOIN LATERAL (
       SELECT coalesce(sum(upper(u) - lower(u)) FILTER (WHERE of = 'gone'), 0)::bigint AS gone,
              coalesce(sum(upper(u) - lower(u)) FILTER (WHERE of = 'filed'), 0)::bigint AS filed,
              coalesce(sum(upper(u) - lower(u)) FILTER (WHERE of = 'held'), 0)::bigint AS held,
              coalesce(sum(upper(u) - lower(u)) FILTER (WHERE of IN ('free', 'both')), 0)::bigint AS neither
         FROM (SELECT 'gone' AS of, unnest(l.gone) AS u
               UNION ALL SELECT 'filed', unnest(l.gone * coalesce(l.filed, '{}') - coalesce(l.held, '{}'))
               UNION ALL SELECT 'held', unnest(l.gone * coalesce(l.held, '{}') - coalesce(l.filed, '{}'))
               UNION ALL SELECT 'both', unnest(l.gone * coalesce(l.held, '{}') * coalesce(l.filed, '{}'))
               UNION ALL SELECT 'free', unnest(l.gone - coalesce(l.held, '{}') - coalesce(l.filed, '{}'))) x) s

-- name: unread
-- How much of each range of the window whose place a fresh run takes was not read again. Null: a range that none of its sources is of.
SELECT m.source_id, g.end_offset - g.start_offset - coalesce(m.end_offset, 0) AS unread
  FROM run_window me JOIN run r ON r.id = me.run_id JOIN window_range g ON g.win = r.supersedes AND g.end_offset > g.start_offset
  JOIN source c ON c.id = g.source_id AND c.role = 'inbox' AND c.kind = 'topic'
  LEFT JOIN (window_range m JOIN origin o ON o.source_id = m.source_id) ON m.win = me.id AND o.origin_source_id = g.source_id
 WHERE me.id = %(win)s AND me.reruns IS NULL

-- name: outside
-- Receipts of the window's batches outside of its ranges, and receipts in its ranges of another window's batches.
SELECT source_id, sum(n)::bigint AS n
  FROM (SELECT t.source_id, count(*) AS n
          FROM batch b JOIN receipt t ON t.source_id = b.source_id AND t."offset" >= b.from_offset AND t."offset" < b.to_offset
         WHERE b.win = %(win)s
           AND NOT EXISTS (SELECT FROM window_range g WHERE g.win = b.win AND g.source_id = t.source_id
                              AND t."offset" >= g.start_offset AND (g.end_offset IS NULL OR t."offset" < g.end_offset))
         GROUP BY 1
        UNION ALL
        SELECT t.source_id, count(*)
          FROM window_range g JOIN source c ON c.id = g.source_id AND c.role = 'inbox'
          JOIN receipt t ON t.source_id = g.source_id AND t."offset" >= g.start_offset
           AND t."offset" < coalesce(g.end_offset, 9223372036854775807)
          LEFT JOIN batch b ON b.id = t.batch_id
         WHERE g.win = %(win)s AND b.win IS DISTINCT FROM %(win)s
         GROUP BY 1) x
 GROUP BY 1

-- name: bus
-- The window's range of each bus source, and where its effects lane stands; how far a rerun waits for each.
SELECT g.source_id, c.role, c.kind, c.topic, c.partition, g.start_offset, g.end_offset, p.next_offset, p.progressed_at,
       p.leader_epoch
  FROM window_range g JOIN source c ON c.id = g.source_id AND c.role = 'bus'
  JOIN position p ON p.source_id = c.id AND p.lane = 'effects'
 WHERE g.win = %(win)s
UNION ALL
SELECT e.source_id, c.role, c.kind, c.topic, c.partition, e.end_offset, e.end_offset, p.next_offset, p.progressed_at,
       p.leader_epoch
  FROM rerun_end e JOIN source c ON c.id = e.source_id JOIN position p ON p.source_id = c.id AND p.lane = 'effects'
 WHERE e.win = %(win)s ORDER BY 1

-- name: rerun
-- Whose rerun the window is, as its plan says, and the contract of the window that it reruns.
SELECT p.id AS plan, p.kind, p.requested_by, p.approved_by, p.reason, p.binds -> 'asked' ? 'out_of_order' AS out_of_order, c.version, c.digest
  FROM rerun x JOIN plan p ON p.id = x.plan JOIN run_window w ON w.id = x.win JOIN run r ON r.id = w.run_id
  JOIN run_window first ON first.id = coalesce(w.reruns, r.supersedes) JOIN contract c ON c.id = first.contract_id
 WHERE x.win = %(win)s

-- name: decided
-- What receipts say, receipt by receipt; and beside it what the batch rows claim.
SELECT (SELECT coalesce(sum(b.records), 0) FROM batch b WHERE b.win = %(win)s)::bigint AS records,
       (SELECT coalesce(sum(b.admitted), 0) FROM batch b WHERE b.win = %(win)s)::bigint AS admitted,
       (SELECT coalesce(sum(b.duplicates), 0) FROM batch b WHERE b.win = %(win)s)::bigint AS duplicates,
       (SELECT coalesce(sum(b.quarantined), 0) FROM batch b WHERE b.win = %(win)s)::bigint AS quarantined,
       (SELECT max(b.committed_at) FROM batch b WHERE b.win = %(win)s) AS newest,
       count(*) FILTER (WHERE t.decision = 1) AS receipts_admitted,
       count(*) FILTER (WHERE t.decision = 2) AS receipts_duplicate,
       count(*) FILTER (WHERE t.decision = 3) AS receipts_quarantined
  FROM window_range g JOIN source c ON c.id = g.source_id AND c.role = 'inbox'
  JOIN receipt t ON t.source_id = g.source_id AND t."offset" >= g.start_offset
   AND t."offset" < coalesce(g.end_offset, 9223372036854775807)
 WHERE g.win = %(win)s

-- name: classes
-- Admitted events by class: the events, not their receipts.
SELECT coalesce(c.name, '?') AS name, count(*) AS n
  FROM event e LEFT JOIN event_class c ON c.id = e.class_id AND c.stream_id = %(stream_id)s
 WHERE e.run_id = %(run)s AND e.win = %(win)s
 GROUP BY 1

-- name: totals
-- The declarations that count: those that no later one of their class has replaced.
SELECT t.event_class, t.declared FROM control_total t
 WHERE t.win = %(win)s
   AND NOT EXISTS (SELECT FROM control_total n WHERE n.win = t.win AND n.event_class = t.event_class AND n.id > t.id)

-- name: published
-- An event counts as published where it has a place of an attempt that was found on the bus, as a whole or in part.
SELECT count(*) AS events, count(p.source_id) AS placed,
       count(*) FILTER (WHERE p.source_id IS NULL AND q.batch_id IS NOT NULL) AS queued,
       (SELECT count(*) FROM contradiction x WHERE x.win = %(win)s) AS contradictions,
       (SELECT count(*) FROM foreign_record f JOIN window_range g ON g.win = %(win)s AND g.source_id = f.source_id
         WHERE f."offset" >= g.start_offset AND (g.end_offset IS NULL OR f."offset" < g.end_offset)) AS foreign_records
  FROM event e
  LEFT JOIN LATERAL (SELECT n.source_id FROM place n JOIN attempt a ON a.id = n.attempt_id AND a.state IN ('ACKED', 'PARTIAL')
                      WHERE n.source_id = e.source_id AND n."offset" = e."offset" LIMIT 1) p ON true
  LEFT JOIN publish_queue q ON q.batch_id = e.batch_id
 WHERE e.run_id = %(run)s AND e.win = %(win)s

-- name: unsettled
-- How many attempts without outcome carry events of the window, and how many events.
SELECT count(DISTINCT a.id) AS attempts, coalesce(sum(cardinality(ab.offsets)), 0)::bigint AS events
  FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id AND b.win = %(win)s
 WHERE a.state IN ('PREPARED', 'UNKNOWN', 'UNDECIDABLE')

-- name: applied
-- Events and effects of the window, laid side by side by identity.
SELECT count(e.identity) AS events, count(x.identity) AS applied,
       count(*) FILTER (WHERE x.identity IS NULL) AS missing, count(*) FILTER (WHERE e.identity IS NULL) AS surplus,
       count(*) FILTER (WHERE x.context_state = 1) AS matched, count(*) FILTER (WHERE x.context_state = 2) AS unmatched,
       count(*) FILTER (WHERE x.context_state = 3) AS ambiguous
  FROM (SELECT identity FROM event WHERE run_id = %(run)s AND win = %(win)s) e
  FULL JOIN (SELECT identity, context_state FROM effect WHERE run_id = %(run)s AND win = %(win)s) x USING (identity)

-- name: items
-- The window's quarantine items: open, resolved, discarded, and resolved without a name or a reason. Of a rerun they are those
-- that its plan names.
SELECT count(*) FILTER (WHERE q.state <> 'RESOLVED') AS open,
       count(*) FILTER (WHERE q.state = 'RESOLVED') AS resolved,
       count(*) FILTER (WHERE q.resolution = 'DISCARDED') AS discarded,
       count(*) FILTER (WHERE q.state = 'RESOLVED' AND (coalesce(q.resolved_by, '') !~ '\S' OR coalesce(q.resolved_reason, '') !~ '\S'))
           AS unsigned
  FROM quarantine_item q
 WHERE q.win = %(win)s
    OR EXISTS (SELECT FROM rerun x JOIN redrive d ON d.plan = x.plan WHERE x.win = %(win)s AND d.item_id = q.id)
    OR EXISTS (SELECT FROM run_window w JOIN window_range g ON g.win = w.id JOIN origin o ON o.source_id = g.source_id
                 JOIN receipt t ON t.source_id = g.source_id AND t."offset" = q."offset" - o.start_offset AND t.decision = 3
                WHERE w.id = %(win)s AND w.reruns IS NOT NULL AND q.source_id = o.origin_source_id)
    OR q.reason = 50 AND EXISTS (
           SELECT FROM run_window w JOIN window_range g ON g.win = w.id JOIN receipt t ON t.source_id = g.source_id AND t.reason = 50
            WHERE w.id = %(win)s AND w.reruns IS NOT NULL AND w.run_id = q.run_id
              AND (t.identity, t.payload_digest) = (q.identity, q.payload_digest))
    OR EXISTS (SELECT FROM window_range g JOIN gap z ON z.source_id = g.source_id AND z.why = 'GONE' JOIN origin o ON o.source_id = z.source_id
                 JOIN receipt t ON t.source_id = o.origin_source_id AND t.decision = 3
                  AND t."offset" >= o.start_offset + z.from_offset AND t."offset" < o.start_offset + z.to_offset
                WHERE g.win = %(win)s AND (q.source_id = t.source_id AND q."offset" = t."offset"
                       OR q.reason = 50 AND t.reason = 50 AND (q.identity, q.payload_digest) = (t.identity, t.payload_digest)
                          AND q.run_id = (SELECT w.run_id FROM run_window w WHERE w.id = g.win)))

-- name: pins
-- What the window was joined with, and whether that stands now.
SELECT p.context, p.verdict, v.digest, p.why, p.fallen
  FROM context_standing(%(win)s) p JOIN run_window w ON w.id = p.pinned_win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  JOIN verdict v ON v.run_id = r.id AND s.name || '/' || r.name || '#' || v.number = p.verdict
 ORDER BY p.context

-- name: basis
-- All generations of what the window stands on, the oldest first.
SELECT b.generation, b.facts, b.recorded_at FROM basis b WHERE b.win = %(win)s ORDER BY b.generation

-- name: later
-- Sources of later windows of the stream that this one never had.
SELECT DISTINCT c.role, c.kind, c.topic, c.partition
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN window_range g ON g.win = w.id JOIN source c ON c.id = g.source_id
 WHERE r.stream_id = %(stream_id)s AND w.id > %(win)s AND NOT w.by_plan
   AND c.id NOT IN (SELECT m.source_id FROM window_range m WHERE m.win = %(win)s)

-- name: end
-- What the broker said when the window was cut.
SELECT n.facts, n.taken_at FROM snapshot n WHERE n.win = %(win)s AND n.kind = 'END' ORDER BY n.id LIMIT 1
