-- name: window
-- The window's run and number, and the contract that says what its gate goes by.
SELECT run_id, number, contract_id FROM run_window WHERE id = %(win)s

-- name: hold_contexts
-- Share-locked: whoever shuts one of them waits for this gate and shuts it, too; or is waited for, and is then seen.
SELECT c.win FROM window_pin p JOIN gate_open c ON c.win = p.pinned_win
 WHERE p.win = %(win)s ORDER BY c.win FOR SHARE OF c

-- name: open
-- The lease counts from the measurement that the verdict rests on, and ends with those of the window's contexts. The trigger
-- gate_transition refuses this for anything but the newest PASS of that window; what was shut for a reason of its own
-- stays shut while its verdict stands.
INSERT INTO gate_open (win, verdict_id, open_until, checked_at, shut_why)
SELECT %(win)s, %(verdict)s,
       least(%(measured)s::timestamptz + %(lease)s, greatest(context_bound(%(win)s), %(measured)s)), %(measured)s,
       (SELECT string_agg(fallen, '; ' ORDER BY fallen) FROM window_context WHERE win = %(win)s)
ON CONFLICT (win) DO UPDATE
   SET verdict_id = excluded.verdict_id, open_until = excluded.open_until, checked_at = excluded.checked_at,
       shut_why = excluded.shut_why
 WHERE gate_open.verdict_id <> excluded.verdict_id OR gate_open.shut_why IS NULL
    OR gate_open.shut_why LIKE 'a newer verdict of window %%'

-- name: shut
-- Shuts the gates of a run, or of one window of it. What is shut already keeps its reason.
UPDATE gate_open SET open_until = least(open_until, clock_timestamp()), checked_at = clock_timestamp(), shut_why = %(why)s
 WHERE win IN (SELECT id FROM run_window WHERE run_id = %(run)s) AND (%(win)s::integer IS NULL OR win = %(win)s)
   AND shut_why IS NULL

-- name: newest_of_run
-- The newest verdict of every window of a run: a gate on whole runs opens when each of them is PASS. Verdicts of before the
-- oldest fact's time was kept have only their own.
SELECT w.id AS win, v.id AS verdict, v.state, coalesce(v.measured_at, v.decided_at) AS measured_at
  FROM run_window w
  LEFT JOIN LATERAL (SELECT id, state, decided_at, measured_at
                       FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
 WHERE w.run_id = %(run)s ORDER BY w.id

-- name: standing
-- Every window of these runs with its newest verdict and its gate's row, and the time at which this is so. Of a verdict's body
-- the sentence alone: a list shows many runs, and no checks.
SELECT r.id AS run, r.state AS run_state, w.number, v.state, jsonb_build_object('sentence', v.sentence) AS body,
       g.open_until, g.checked_at, g.shut_why, clock_timestamp() AS now,
       s.name || '/' || r.name || '#' || v.number AS verdict,
       (SELECT s.name || '/' || r.name || '#' || gv.number FROM verdict gv WHERE gv.id = g.verdict_id) AS gate_verdict
  FROM run r JOIN stream s ON s.id = r.stream_id JOIN run_window w ON w.run_id = r.id
  LEFT JOIN LATERAL (SELECT number, state, body ->> 'sentence' AS sentence
                       FROM verdict WHERE win = w.id ORDER BY number DESC LIMIT 1) v ON true
  LEFT JOIN gate_open g ON g.win = w.id
 WHERE r.id = ANY(%(runs)s)
 ORDER BY r.id, w.number

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
