-- name: contracts
-- Versions of the stream's contract that a window still goes by whose run is not closed.
SELECT DISTINCT w.contract_id FROM run_window w JOIN run r ON r.id = w.run_id
 WHERE r.stream_id = %(stream)s AND r.state <> 'CLOSED' ORDER BY w.contract_id
