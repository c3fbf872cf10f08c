-- name: receipts
-- The receipts of one batch, in the order of its leaves.
SELECT "offset", decision, reason, identity, payload_digest
  FROM receipt WHERE source_id = %(source)s AND "offset" >= %(start)s AND "offset" < %(end)s AND batch_id = %(batch)s
 ORDER BY "offset"
