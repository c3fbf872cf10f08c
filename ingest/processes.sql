-- name: begin
-- This process takes tasks from now on.
INSERT INTO worker_process (owner, node) VALUES (%(owner)s, %(node)s) ON CONFLICT (owner) DO NOTHING

-- name: there
-- Processes of this host that have not said that they end. An owner is host:pid:nonce.
SELECT owner, split_part(owner, ':', 2)::integer AS pid FROM worker_process
 WHERE ended_at IS NULL AND gone_at IS NULL AND split_part(owner, ':', 1) = %(host)s
 ORDER BY id LIMIT %(most)s

-- name: gone
-- These processes are not there any more and did not say that they end: they were killed.
UPDATE worker_process SET gone_at = clock_timestamp()
 WHERE owner = ANY(%(owners)s) AND ended_at IS NULL AND gone_at IS NULL

-- name: end
-- This process takes no more tasks and says so.
UPDATE worker_process SET ended_at = clock_timestamp() WHERE owner = %(owner)s AND ended_at IS NULL AND gone_at IS NULL

-- name: forget
-- By age, and by number where processes die faster than they age.
DELETE FROM worker_process
 WHERE id IN (SELECT id FROM worker_process
               WHERE started_at < clock_timestamp() - %(older)s AND (ended_at IS NOT NULL OR gone_at IS NOT NULL)
                  OR id <= (SELECT max(id) FROM worker_process) - %(rows)s
               ORDER BY id LIMIT %(most)s)
