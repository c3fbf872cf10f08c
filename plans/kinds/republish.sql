-- name: failed
-- A window that lanes filled, that is cut, and that has failed: FAIL is for good.
SELECT w.id FROM run_window w
 WHERE w.id = %(win)s AND w.state = 'CUT' AND NOT w.by_plan AND EXISTS (SELECT FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL')
