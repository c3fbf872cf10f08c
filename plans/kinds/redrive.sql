-- name: version
-- A version of a stream's contract.
SELECT id FROM contract WHERE stream_id = %(stream)s AND version = %(version)s

-- name: contract_of_run
-- The contract that a run was opened under: events are named by its rules.
SELECT contract_id FROM run WHERE id = %(run)s

-- name: open_of_reason
-- All open items of a window with this reason, without those that plans have tried often enough.
SELECT q.id FROM quarantine_item q
 WHERE q.win = %(win)s AND q.reason = %(reason)s AND q.state = 'OPEN'
   AND (SELECT count(*) FROM redrive d WHERE d.item_id = q.id) < %(times)s
 ORDER BY q.id LIMIT %(most)s

-- name: states
-- In which state items are now, and by whom.
SELECT id, state, resolved_by FROM quarantine_item WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id
