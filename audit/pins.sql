-- name: waiting
-- Windows that are cut, of contracts that pin at the cut, the oldest first, and how many pins they have. One that failed is
-- read on by its lanes all the same, and so it is pinned, too.
SELECT w.id AS win, w.contract_id, count(p.win) AS pins
  FROM run_window w JOIN contract c ON c.id = w.contract_id AND c.pins_at_cut
  LEFT JOIN window_pin p ON p.win = w.id
 WHERE w.state = 'CUT' AND NOT w.by_plan
 GROUP BY w.id, w.contract_id ORDER BY w.id

-- name: window
-- A cut window's contract, without a lock.
SELECT contract_id FROM run_window WHERE id = %(win)s AND state = 'CUT'

-- name: lock_window
-- Two that pin one window at once: one after the other.
SELECT w.contract_id, w.number, r.name AS run_name, s.name AS stream, s.id AS stream_id
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id
 WHERE w.id = %(win)s AND w.state = 'CUT' FOR NO KEY UPDATE OF w

-- name: insert_pins
-- window_pin_of_its_time refuses what is not of the cut's time, or has no open gate by then.
INSERT INTO window_pin (win, context, pinned_win, verdict, moment)
SELECT %(win)s, * FROM unnest(%(contexts)s::text[], %(pinned)s::integer[], %(verdicts)s::text[], %(moments)s::timestamptz[])

-- name: wake
-- Lanes that rest until a context is there look again at once. One that is at work already has its row locked, and needs no
-- waking.
UPDATE position SET stopped_until = clock_timestamp()
 WHERE (lane, source_id) IN (
       SELECT lane, source_id FROM position
        WHERE stream_id = %(stream)s AND lane = 'effects' AND stopped_code = ANY(%(codes)s) AND stopped_until > clock_timestamp()
          FOR UPDATE SKIP LOCKED)
