-- name: gates
-- Gates that stand on a PASS and were not shut, those whose lease has run out included: Kafka may answer again. `depth`: how
-- many contexts lie under the window, one under the other; `contracts` are theirs. `lapsed`: why a waiver that the verdict
-- leans on gives nothing any more. `ended`: a plan ended the re-checks of its inbox, and only the bus is asked for.
-- What a rerun opened lies upon that rerun's gate as upon a context's; `judged`: the window that the verdict is of.
WITH RECURSIVE standing AS (SELECT * FROM gate_open WHERE shut_why IS NULL),
under_it AS (
    SELECT p.win, p.pinned_win FROM standing g JOIN window_pin p ON p.win = g.win
     UNION
    SELECT g.win, v.win FROM standing g JOIN verdict v ON v.id = g.verdict_id AND v.covers = g.win),
built AS (
    SELECT u.win, u.pinned_win, 1 AS depth FROM under_it u
     UNION
    SELECT b.win, p.pinned_win, b.depth + 1
      FROM built b
     CROSS JOIN LATERAL (
           SELECT x.pinned_win FROM window_pin x WHERE x.win = b.pinned_win
            UNION ALL
           SELECT v.win FROM gate_open g JOIN verdict v ON v.id = g.verdict_id AND v.covers = g.win WHERE g.win = b.pinned_win) p),
under AS (
    SELECT b.win, max(b.depth) AS depth, array_agg(DISTINCT w.contract_id) AS contracts
      FROM built b JOIN run_window w ON w.id = b.pinned_win GROUP BY b.win)
SELECT g.win, g.verdict_id, g.open_until, clock_timestamp() - g.checked_at AS age, w.number, w.contract_id, w.by_plan, r.name AS run_name,
       s.id AS stream_id, s.name AS stream, s.name || '/' || r.name || '#' || v.number AS verdict, v.win AS judged,
       coalesce(u.depth, 0) AS depth, coalesce(u.contracts, '{}') AS contracts,
       EXISTS (SELECT FROM recheck_end_of(g.win)) AS ended,
       (SELECT count(DISTINCT c.attempt_id) FROM contradiction c WHERE c.win = g.win) AS contradictions,
       CASE WHEN v.waived THEN (SELECT string_agg(x.lapsed, '; ' ORDER BY x.lapsed) FROM waivers_of(v.id) x) END AS lapsed
  FROM standing g
  JOIN verdict v ON v.id = g.verdict_id
  JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN under u ON u.win = g.win
 ORDER BY g.win

-- name: bases
-- What these windows stand on, all generations, the oldest first.
SELECT win, generation, facts FROM basis WHERE win = ANY(%(wins)s) ORDER BY win, generation

-- name: ranges
-- Ranges of windows on topics, both ends known: what Kafka says of these logs now is held against them. A rerun has none on
-- the bus, but what it was judged on reaches as far as this.
SELECT r.win, s.role, s.kind, s.topic, s.partition, r.start_offset, r.end_offset, log_kept_to(s.id) AS kept_to
  FROM window_range r JOIN source s ON s.id = r.source_id
 WHERE r.win = ANY(%(wins)s) AND s.kind = 'topic' AND r.end_offset IS NOT NULL
UNION ALL
SELECT e.win, s.role, s.kind, s.topic, s.partition, e.end_offset, e.end_offset, NULL
  FROM rerun_end e JOIN source s ON s.id = e.source_id WHERE e.win = ANY(%(wins)s)

-- name: contexts
-- What windows were joined with, as it is now.
SELECT win, verdict, fallen, checked_at, open_until, clock_timestamp() AS now
  FROM window_context WHERE win = ANY(%(wins)s) ORDER BY win, verdict

-- name: extend
-- All gates of one look at once, without those that gate_transition would refuse, for it would refuse the statement. A lease
-- counts from when Kafka was asked. What was asked longer ago than a re-check may take extends nothing, nor does what a later
-- look has overtaken; but one from a time to come did not: the clock has stepped back since.
UPDATE gate_open g SET open_until = least(x.measured + x.lease, context_bound(g.win), waiver_bound(g.win)), checked_at = x.measured
  FROM unnest(%(wins)s::integer[], %(verdicts)s::bigint[], %(measured)s::timestamptz[], %(leases)s::interval[],
              %(rechecks)s::interval[]) AS x(win, verdict, measured, lease, recheck)
 WHERE g.win = x.win AND g.verdict_id = x.verdict AND g.shut_why IS NULL
   AND x.measured <= clock_timestamp() AND x.measured > clock_timestamp() - x.recheck
   AND (g.checked_at <= x.measured OR g.checked_at > clock_timestamp())
   AND context_bound(g.win) > clock_timestamp() AND waiver_bound(g.win) > clock_timestamp()
   AND x.verdict = gate_verdict(g.win)
   AND NOT EXISTS (SELECT FROM contradiction c WHERE c.win = g.win)
RETURNING g.win

-- name: shut
-- Shuts one gate, with the reason. No row: it was shut already, and the first reason stands.
UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = %(why)s
 WHERE win = %(win)s AND shut_why IS NULL RETURNING win

-- name: looked
-- When each stream was looked at last, and what came of it.
INSERT INTO enforcement (stream_id, looked_at, outcome)
SELECT stream, clock_timestamp(), outcome FROM unnest(%(streams)s::bigint[], %(outcomes)s::text[]) AS x(stream, outcome)
ON CONFLICT (stream_id) DO UPDATE SET looked_at = excluded.looked_at, outcome = excluded.outcome

-- name: run_gates
-- Every window of a run (or one of them, or a rerun of one) with its newest verdict and its gate's row. The body of a verdict only where it is one
-- window: of a thousand the answer takes one, and `body` reads that. `proof`: the rerun that opened a window that failed.
SELECT w.number, r.state AS run_state, v.state, CASE WHEN count(*) OVER () = 1 THEN v.body END AS body,
       v.id AS verdict_id, k.name AS proof, k.rerun AS proof_rerun, k.stands AS proof_stands, k.verdict_id AS proof_id,
       CASE WHEN count(*) OVER () = 1 THEN (SELECT p.body FROM verdict p WHERE p.id = k.verdict_id) END AS proof_body,
       g.open_until, g.checked_at, g.shut_why, clock_timestamp() AS now,
       s.name || '/' || r.name || '#' || v.number AS verdict,
       (SELECT s.name || '/' || r.name || '#' || gv.number FROM verdict gv WHERE gv.id = g.verdict_id) AS gate_verdict,
       superseded_by(w.id) AS superseded_by,
       e.plan AS ended_by, e.topic AS ended_topic, e.requested_by AS ended_requested_by, e.approved_by AS ended_approved_by, e.ended_at
  FROM run r JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.run_id = r.id
  LEFT JOIN LATERAL (SELECT id, number, state, body FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
  LEFT JOIN gate_open g ON g.win = w.id
  LEFT JOIN LATERAL recheck_end_of(w.id) e ON true
  LEFT JOIN LATERAL covering(w.id) k ON v.state = 'FAIL'
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND (%(window)s::integer IS NULL OR w.number = %(window)s)
   AND w.rerun IS NOT DISTINCT FROM %(rerun)s
 ORDER BY w.number

-- name: span
-- A stream's windows, the oldest first, from the last one cut before a time on: with their gates, whether each begins where
-- the one before it ends, and the time at which this is so. Where a fresh run has taken a window's place, its window is read,
-- and its gate asked: it was admitted from the same offsets. Of a window that a rerun has proven, that one's verdict.
SELECT coalesce(p.win, w.id) AS id, s.name || '/' || coalesce(p.name || ' window 1', r.name || ' window ' || w.number
                                                          || coalesce(', proven by rerun ' || k.rerun, '')) AS name,
       w.opened_at, w.cut_at, w.complete_until, w.complete_why, w.contract_id,
       CASE WHEN k.stands THEN 'PASS' ELSE v.state END AS state,
       CASE WHEN k.stands THEN k.name ELSE s.name || '/' || coalesce(p.name, r.name) || '#' || v.number END AS verdict,
       g.open_until, g.checked_at, g.shut_why, clock_timestamp() AS now,
       lease_holds(g.checked_at, g.open_until) AND g.shut_why IS NULL AND g.verdict_id = coalesce(k.verdict_id, v.id) AS live,
       NOT EXISTS (SELECT FROM window_range mine JOIN source c ON c.id = mine.source_id AND c.role = 'inbox' AND c.kind = 'topic'
                    WHERE mine.win = (SELECT max(b.id) FROM run_window b JOIN run br ON br.id = b.run_id
                                       WHERE br.stream_id = s.id AND b.id < w.id AND NOT b.by_plan)
                      AND NOT EXISTS (SELECT FROM window_range next
                                       WHERE next.win = w.id AND next.source_id = mine.source_id
                                         AND next.start_offset = mine.end_offset)) AS follows,
       e.plan AS ended_by, e.topic AS ended_topic, e.requested_by AS ended_requested_by, e.approved_by AS ended_approved_by, e.ended_at
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN LATERAL (
       SELECT x.id AS win, f.name FROM run f JOIN run_window x ON x.run_id = f.id AND x.reruns IS NULL
        WHERE f.supersedes = w.id AND s.name || '/' || f.name = superseded_by(w.id)) p ON true
  LEFT JOIN LATERAL (SELECT id, number, state FROM verdict WHERE win = coalesce(p.win, w.id) ORDER BY number DESC LIMIT 1) v ON true
  LEFT JOIN gate_open g ON g.win = coalesce(p.win, w.id)
  LEFT JOIN LATERAL recheck_end_of(coalesce(p.win, w.id)) e ON true
  LEFT JOIN LATERAL covering(w.id) k ON p.win IS NULL AND v.state = 'FAIL' AND k.stands
 WHERE s.name = %(stream)s AND NOT w.by_plan
   AND w.id >= coalesce((SELECT max(b.id) FROM run_window b JOIN run br ON br.id = b.run_id
                          WHERE br.stream_id = s.id AND NOT b.by_plan AND b.cut_at < %(since)s), 0)
 ORDER BY w.id LIMIT %(most)s

-- name: log_span
-- A yes is written only while the gate of every window it was said of is still open, as in `log_decision`.
INSERT INTO gate_decision (who, stream, run, status, code, verdict)
SELECT %(who)s::text, %(stream)s::text, %(span)s::text, %(status)s::smallint, %(code)s::text, %(last)s::text
 WHERE %(status)s::integer <> 200
    OR NOT EXISTS (SELECT FROM unnest(%(wins)s::integer[]) AS asked(win)
                     LEFT JOIN gate_open g ON g.win = asked.win
                    WHERE (g.shut_why IS NULL AND lease_holds(g.checked_at, g.open_until)) IS NOT TRUE)
RETURNING id

-- name: stream
-- Whether there is a stream of this name.
SELECT id FROM stream WHERE name = %(stream)s

-- name: body
-- What a verdict says; it never changes.
SELECT body FROM verdict WHERE id = %(verdict)s

-- name: log_decision
-- A yes is written only while every gate it was said of is still open: whoever says it may have been stopped since it looked.
INSERT INTO gate_decision (who, stream, run, window_number, rerun, status, code, verdict)
SELECT %(who)s::text, %(stream)s::text, %(run_name)s::text, %(window)s::integer, %(rerun)s::integer, %(status)s::smallint, %(code)s::text,
       %(verdict)s::text
 WHERE %(status)s::integer <> 200
    OR NOT EXISTS (SELECT FROM run r JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.run_id = r.id
                     LEFT JOIN gate_open g ON g.win = w.id
                    WHERE s.name = %(stream)s AND r.name = %(run_name)s
                      AND (%(window)s::integer IS NULL OR w.number = %(window)s) AND w.rerun IS NOT DISTINCT FROM %(rerun)s
                      AND (g.shut_why IS NULL AND lease_holds(g.checked_at, g.open_until)) IS NOT TRUE)
RETURNING id
