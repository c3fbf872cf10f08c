-- name: window
-- Of a window: when the one that it stands for (itself, where it stands for none) was opened and cut, under which contract it was,
-- and which contexts are pinned already.
SELECT f.opened_at, f.cut_at, f.contract_id, ARRAY(SELECT p.context FROM window_pin p WHERE p.win = w.id) AS pinned
  FROM run_window w JOIN run_window f ON f.id = first_window(w.id) WHERE w.id = %(win)s

-- name: held
-- The window of a stream that holds a moment, with its newest verdict, and why its gate is not open.
SELECT win, place, is_cut, state, verdict, shut, for_good FROM context_at(%(stream)s, %(moment)s)
