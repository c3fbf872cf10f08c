-- name: install
-- The id of this installation, which its marks, transactional ids and group names carry: the newest.
SELECT install_id FROM install ORDER BY id DESC LIMIT 1

-- name: lock_positions
-- All positions, in the order in which everybody locks them.
SELECT 1 AS locked FROM position ORDER BY source_id, lane FOR NO KEY UPDATE

-- name: fence_off
-- Whoever still holds a lease holds it as the installation that was: each is lost, and lanes that stood go on at once. A
-- plan's own source stays its: it admits, and publishes nothing itself.
UPDATE position
   SET fence = fence + 1, owner = NULL, until = NULL,
       stopped_until = CASE WHEN stopped_code = 'ledger_behind' THEN clock_timestamp() ELSE stopped_until END
 WHERE source_id IN (SELECT s.id FROM source s WHERE s.kind <> 'plan')

-- name: adopt
-- This ledger is another installation from now on; the plan's trigger refuses anybody else's row.
INSERT INTO install (id, install_id, plan)
SELECT i.id + 1, gen_random_uuid(), %(plan)s FROM install i ORDER BY i.id DESC LIMIT 1
RETURNING install_id
