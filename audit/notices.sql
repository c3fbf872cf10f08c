-- name: windows
-- Windows of a run that may lack something, the oldest first: the open one; cut ones whose end nobody has seen, for Kafka was away;
-- cut ones that may lack a pin, where contexts are pinned at the cut: such a one has no PASS. Not those that a plan fills.
SELECT w.id AS win, w.number, w.state, w.contract_id, r.stream_id, s.name AS stream,
       w.state = 'CUT' AND NOT EXISTS (SELECT FROM snapshot n WHERE n.win = w.id AND n.kind = 'END') AS without_end
  FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id JOIN contract c ON c.id = w.contract_id
 WHERE r.id = %(run)s AND w.reruns IS NULL AND NOT w.by_plan
   AND (w.state = 'OPEN'
        OR NOT EXISTS (SELECT FROM snapshot n WHERE n.win = w.id AND n.kind = 'END')
        OR c.pins_at_cut AND NOT EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'PASS')
           AND NOT (EXISTS (SELECT FROM window_pin p WHERE p.win = w.id) AND EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL')))
 ORDER BY w.id LIMIT %(most)s

-- name: inherited
-- Contexts of a window that are pinned to what the window before it is pinned to.
SELECT p.context, p.verdict
  FROM window_pin p
  JOIN window_pin b ON b.context = p.context AND b.pinned_win = p.pinned_win AND b.verdict = p.verdict
   AND b.win = (SELECT max(e.id) FROM run_window e JOIN run er ON er.id = e.run_id
                 WHERE er.stream_id = %(stream)s AND e.id < %(win)s AND NOT e.by_plan)
 WHERE p.win = %(win)s ORDER BY p.context
