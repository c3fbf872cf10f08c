-- name: run
-- A run and its first window, with the contract it pins.
SELECT r.id, r.state, w.id AS win, w.number, c.version, c.digest
  FROM run r JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = r.contract_id
  JOIN run_window w ON w.run_id = r.id
 WHERE s.name = %(stream)s AND r.name = %(run_name)s AND w.reruns IS NULL
 ORDER BY w.number LIMIT 1

-- name: contract
-- A version of a stream's contract, by its number or by its digest.
SELECT c.id FROM contract c JOIN stream s ON s.id = c.stream_id
 WHERE s.name = %(stream)s AND %(contract)s IN (c.version::text, encode(c.digest, 'hex'))
 ORDER BY c.version DESC LIMIT 1

-- name: open_run_of
-- Asked for the message's sake; the constraint run_one_open is what settles a race.
SELECT name FROM run WHERE stream_id = %(stream)s AND state = 'OPEN'

-- name: lock_run_before
-- A plan that begins to admit into the run before holds its row: it comes first, and is then seen, or finds a later run.
SELECT r.id FROM run r WHERE r.stream_id = %(stream)s AND r.supersedes IS NULL ORDER BY r.id DESC LIMIT 1 FOR NO KEY UPDATE

-- name: plan_at_work
-- A plan that still admits into a run.
SELECT x.plan FROM run_window w JOIN rerun x ON x.win = w.id WHERE w.run_id = %(run)s AND w.by_plan AND w.state = 'OPEN' LIMIT 1

-- name: run_before
-- The run that a new one would look back on, and how many of its lanes have not come to their cuts.
SELECT r.name, r.contract_id,
       (SELECT count(*) FROM run_window w JOIN window_range g ON g.win = w.id JOIN source s ON s.id = g.source_id AND s.role = 'inbox'
          JOIN position p ON p.source_id = s.id AND p.lane = 'admission'
         WHERE w.run_id = r.id AND (p.next_offset < g.end_offset OR w.by_plan AND g.end_offset IS NULL)
           AND NOT EXISTS (SELECT FROM retirement t WHERE t.source_id = s.id)) AS behind
  FROM run r WHERE r.stream_id = %(stream)s AND r.supersedes IS NULL ORDER BY r.id DESC LIMIT 1

-- name: insert_run
-- A new run, pinned to one version of the contract.
INSERT INTO run (stream_id, name, contract_id, state, opened_by)
VALUES (%(stream)s, %(run_name)s, %(contract)s, 'OPEN', %(actor)s) RETURNING id

-- name: insert_window
-- A new window of a run, with no facts yet.
INSERT INTO run_window (run_id, number, contract_id, state, revision)
VALUES (%(run)s, %(number)s, %(contract)s, 'OPEN', 0) RETURNING id

-- name: insert_range
-- Where the window begins on an inbox source.
INSERT INTO window_range (win, source_id, start_offset) VALUES (%(win)s, %(source)s, %(start)s)

-- name: lock_open_bus_ranges
-- Whoever writes an earlier window's bus end holds these rows: either it sees this window and brings its range, or it is
-- waited for here, and the range is written with that end. Neither would be a window without a beginning.
SELECT source_id FROM window_range WHERE source_id = ANY(%(sources)s) AND end_offset IS NULL ORDER BY source_id FOR UPDATE

-- name: chain_bus_ranges
-- bus_start is the earlier window's bus_end. A source no window knows starts at the effects position, which is where its
-- first record of ours can be. An earlier range without end: nothing yet, its end brings this one.
INSERT INTO window_range (win, source_id, start_offset)
SELECT %(win)s, x.source, coalesce(
         (SELECT r.end_offset FROM window_range r WHERE r.source_id = x.source ORDER BY r.win DESC LIMIT 1),
         (SELECT p.next_offset FROM position p WHERE p.lane = 'effects' AND p.source_id = x.source))
  FROM unnest(%(sources)s::integer[]) AS x(source)
 WHERE NOT EXISTS (SELECT FROM window_range r WHERE r.source_id = x.source AND r.end_offset IS NULL)
ON CONFLICT DO NOTHING

-- name: insert_pins
-- What the window's events are joined with: windows that have passed, by the names of their verdicts.
INSERT INTO window_pin (win, context, pinned_win, verdict)
SELECT %(win)s, * FROM unnest(%(contexts)s::text[], %(pinned)s::integer[], %(verdicts)s::text[])

-- name: passed
-- Newest verdicts of their windows that are PASS, the newest window first: one that was judged late, or whose place a fresh run
-- took, is as old as it was. Of one name if one was given. What a rerun brought is no context by itself, but the window that it
-- opened is one, by its verdict; a window whose place is taken is none any more.
SELECT w.id AS win, s.name || '/' || r.name || '#' || v.number AS name
  FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id
  JOIN run_window w ON w.id = coalesce(v.covers, v.win) AND w.reruns IS NULL
 WHERE s.name = %(stream)s AND v.state = 'PASS' AND (v.covers IS NULL OR v.id = gate_verdict(v.covers)) AND superseded_by(w.id) IS NULL
   AND NOT EXISTS (SELECT FROM verdict newer WHERE newer.win = v.win AND newer.number > v.number)
   AND (%(name)s::text IS NULL OR s.name || '/' || r.name || '#' || v.number = %(name)s)
 ORDER BY coalesce(r.supersedes, w.id) DESC, v.id DESC LIMIT 1
