-- name: insert
-- Offsets without a record, claimed by this read until a second reader proves them; one statement, however many.
INSERT INTO gap (source_id, from_offset, to_offset, leader_epoch, isolation, why, state, fence)
SELECT %(source)s, g.*, 'CLAIMED', %(fence)s
  FROM unnest(%(froms)b::bigint[], %(tos)b::bigint[], %(epochs)b::integer[], %(isolations)s::text[], %(whys)s::text[]) g
