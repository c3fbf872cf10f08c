-- name: due
-- Plans whose time is over, the oldest first.
SELECT id FROM plan WHERE state IN ('SUBMITTED', 'APPROVED', 'HELD') AND expires_at <= clock_timestamp() ORDER BY id LIMIT 100
