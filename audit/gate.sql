-- name: window
-- The window's run and number, and the contract that says what its gate goes by.
SELECT w.run_id, w.number, w.contract_id, w.reruns IS NOT NULL AS is_rerun, r.supersedes, s.name || '/' || r.name AS name,
       superseded_by(w.id) AS superseded_by
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE w.id = %(win)s

-- name: lock_superseded
-- Whoever stores a verdict of that window holds its row: it comes before this PASS, and is shut by it, or after, and sees it.
SELECT id, run_id, contract_id FROM run_window WHERE id = %(win)s FOR NO KEY UPDATE

-- name: shut_superseded
-- Shuts the window whose place is taken, and its reruns, for good.
UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = %(why)s
 WHERE win IN (SELECT id FROM run_window WHERE id = %(win)s OR reruns = %(win)s) AND shut_why IS NULL

-- name: hold_contexts
-- Share-locked: whoever shuts one of them waits for this gate and shuts it, too; or is waited for, and is then seen.
SELECT c.win FROM window_pin p JOIN gate_open c ON c.win = p.pinned_win
 WHERE p.win = %(win)s ORDER BY c.win FOR SHARE OF c

-- name: open
-- The lease counts from the measurement that the verdict rests on, and ends with those of the window's contexts and with its waivers. The trigger
-- gate_transition refuses this for anything but the newest PASS of that window; what was shut for a reason of its own
-- stays shut while its verdict stands.
INSERT INTO gate_open (win, verdict_id, open_until, checked_at, shut_why)
SELECT %(win)s, %(verdict)s,
       least(%(measured)s::timestamptz + %(lease)s,
             greatest(least(context_bound(%(win)s), waiver_bound(%(win)s)), %(measured)s)), %(measured)s,
       (SELECT string_agg(fallen, '; ' ORDER BY fallen) FROM window_context WHERE win = %(win)s)
ON CONFLICT (win) DO UPDATE
   SET verdict_id = excluded.verdict_id, open_until = excluded.open_until, checked_at = excluded.checked_at,
       shut_why = excluded.shut_why
 WHERE gate_open.verdict_id <> excluded.verdict_id OR gate_open.shut_why IS NULL
    OR gate_open.shut_why LIKE 'a newer verdict of window %%'

-- name: shut
-- Shuts the gates of a run's windows, or of one window or rerun. What is shut already keeps its reason.
UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = %(why)s
 WHERE win IN (SELECT id FROM run_window WHERE run_id = %(run)s AND (reruns IS NULL OR id = %(win)s))
   AND (%(win)s::integer IS NULL OR win = %(win)s)
   AND shut_why IS NULL

-- name: newest_of_run
-- The verdict of every window of a run that its gate may stand on, or else its newest: a gate on whole runs opens when each of
-- them is PASS. Verdicts of before the oldest fact's time was kept have only their own. `superseded_by`: the run that has
-- passed in a window's place.
SELECT w.id AS win, v.id AS verdict, v.state, coalesce(v.measured_at, v.decided_at) AS measured_at,
       superseded_by(w.id) AS superseded_by
  FROM run_window w
  LEFT JOIN verdict v ON v.id = coalesce(gate_verdict(w.id),
                                         (SELECT id FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1))
 WHERE w.run_id = %(run)s AND w.reruns IS NULL ORDER BY w.id

-- name: standing
-- How these runs stand over all of their windows, counted: a run of a thousand windows is one row. What readers are answered of
-- a window is open where its lease holds and its newest verdict is PASS; verdicts that are no plain PASS are few, and of an
-- index of their own. Verdicts and their bodies are read of those alone. One that failed and that a rerun has proven counts as
-- one that passed; one of a state that only a later version knows as one that is blocked, as for whoever asks the gate.
WITH odd AS (
    SELECT DISTINCT ON (run_id, win) run_id, win, number, state, waived FROM verdict
     WHERE run_id = ANY(%(runs)s) AND (state <> 'PASS' OR waived) ORDER BY run_id, win, number DESC),
bad AS (
    SELECT o.run_id, o.win, o.number, o.waived, CASE WHEN o.state <> 'FAIL' OR gate_verdict(o.win) IS NULL THEN o.state END AS state
      FROM odd o WHERE NOT EXISTS (SELECT FROM verdict v WHERE v.win = o.win AND v.number > o.number)),
seen AS (
    SELECT w.run_id, w.id, w.number, w.state = 'OPEN' AS going, w.judged_revision IS NULL AS unjudged, b.state AS verdict, b.waived,
           coalesce(b.state, 'PASS') = 'PASS' AS well, g.open_until,
           g.win IS NOT NULL AS gated, g.shut_why IS NULL AND lease_holds(g.checked_at, g.open_until) IS TRUE AS holds
      FROM run_window w LEFT JOIN bad b ON b.win = w.id LEFT JOIN gate_open g ON g.win = w.id
     WHERE w.run_id = ANY(%(runs)s) AND w.reruns IS NULL)
SELECT r.id AS run, r.state = 'CLOSED' AS closed, clock_timestamp() AS now, count(*) AS windows, max(x.number) AS newest,
       max(x.number) FILTER (WHERE going) AS going, count(*) FILTER (WHERE waived AND verdict = 'PASS') AS waived,
       count(*) FILTER (WHERE unjudged AND NOT going) AS awaited,
       (array_agg(x.number ORDER BY x.number) FILTER (WHERE unjudged AND NOT going))[1:%(most)s::integer] AS awaited_first,
       count(*) FILTER (WHERE verdict = 'FAIL') AS failed,
       (array_agg(x.number ORDER BY x.number) FILTER (WHERE verdict = 'FAIL'))[1:%(most)s::integer] AS failed_first,
       count(*) FILTER (WHERE verdict NOT IN ('PASS', 'FAIL')) AS blocked,
       (array_agg(x.number ORDER BY x.number) FILTER (WHERE verdict NOT IN ('PASS', 'FAIL')))[1:%(most)s::integer] AS blocked_first,
       count(*) FILTER (WHERE well AND gated AND NOT holds) AS shut,
       (array_agg(x.number ORDER BY x.number) FILTER (WHERE well AND gated AND NOT holds))[1:%(most)s::integer] AS shut_first,
       count(*) FILTER (WHERE well AND holds) AS open,
       (array_agg(x.number ORDER BY x.number) FILTER (WHERE NOT (well AND holds)))[1:%(most)s::integer] AS not_open_first,
       min(x.open_until) FILTER (WHERE well AND holds) AS until,
       coalesce(min(x.id) FILTER (WHERE verdict = 'FAIL'), min(x.id) FILTER (WHERE verdict NOT IN ('PASS', 'FAIL')),
                max(x.id) FILTER (WHERE NOT unjudged)) AS told
  FROM seen x JOIN run r ON r.id = x.run_id GROUP BY r.id

-- name: standing_of_windows
-- These windows, each with its newest verdict and its gate's row, and the time at which this is so; no body of a verdict.
SELECT w.id AS win, w.number, v.state, NULL AS body, g.open_until, g.checked_at, g.shut_why, clock_timestamp() AS now,
       s.name || '/' || r.name || '#' || v.number AS verdict,
       (SELECT s.name || '/' || r.name || '#' || gv.number FROM verdict gv WHERE gv.id = g.verdict_id) AS gate_verdict,
       superseded_by(w.id) AS superseded_by,
       k.name AS proof, k.rerun AS proof_rerun, k.stands AS proof_stands, NULL AS proof_body,
       e.plan AS ended_by, e.topic AS ended_topic, e.requested_by AS ended_requested_by, e.approved_by AS ended_approved_by, e.ended_at
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
  LEFT JOIN LATERAL (SELECT number, state FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
  LEFT JOIN gate_open g ON g.win = w.id
  LEFT JOIN LATERAL recheck_end_of(w.id) e ON true
  LEFT JOIN LATERAL covering(w.id) k ON v.state = 'FAIL'
 WHERE w.id = ANY(%(wins)s)

-- name: owed
-- Gates that were shut, or whose lease ran out, and whose readers of before were not ended since. `now` is after all that
-- this statement sees: whoever connects later sees it, too.
SELECT g.win, g.shut_why, clock_timestamp() AS now, w.number, s.name || '/' || r.name AS run,
       s.name || '/' || r.name || '#' || v.number AS verdict
  FROM gate_open g JOIN verdict v ON v.id = g.verdict_id
  JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE g.open_until <= clock_timestamp()
   AND (g.readers_ended_at >= CASE WHEN g.shut_why IS NULL THEN g.open_until ELSE g.checked_at END) IS NOT TRUE
 ORDER BY g.win LIMIT 500

-- name: end_readers
-- Readers' sessions that began before: a statement, a transaction or a held cursor of theirs shows what it showed then.
-- A session of a time to come began before the clock stepped back.
SELECT count(*) FILTER (WHERE end_reader(a.pid)) AS ended
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.usesysid IS NOT NULL
   AND (a.backend_start <= %(before)s OR a.backend_start > clock_timestamp())
   AND pg_has_role(a.usesysid, 'passgate_reader', 'MEMBER')

-- name: paid
-- Of two that ended readers at once, one says so.
UPDATE gate_open g SET readers_ended_at = %(before)s
 WHERE g.win = ANY(%(wins)s) AND g.open_until <= clock_timestamp()
   AND (g.readers_ended_at >= CASE WHEN g.shut_why IS NULL THEN g.open_until ELSE g.checked_at END) IS NOT TRUE
RETURNING g.win
