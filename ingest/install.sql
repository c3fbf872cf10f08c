-- name: install
-- The id of this installation, which its marks, transactional ids and group names carry.
SELECT install_id FROM install WHERE id = 1
