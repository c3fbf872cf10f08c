-- name: install
SELECT install_id FROM install WHERE id = 1
