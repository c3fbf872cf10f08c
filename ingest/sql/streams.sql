-- name: ensure_stream
WITH fresh AS (INSERT INTO stream (name) VALUES (%(name)s) ON CONFLICT ON CONSTRAINT stream_name_unique DO NOTHING RETURNING id)
SELECT id FROM fresh UNION ALL SELECT id FROM stream WHERE name = %(name)s LIMIT 1

-- name: newest
SELECT id, version, digest FROM contract WHERE stream_id = %(stream)s ORDER BY version DESC LIMIT 1

-- name: newest_of_stream
SELECT c.id FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY c.version DESC LIMIT 1

-- name: insert_contract
-- A text that comes back after another is a new version with an old digest: what held when is never rewritten.
INSERT INTO contract (stream_id, version, digest, source_text, files, loaded_by)
SELECT %(stream)s, coalesce(max(version), 0) + 1, %(digest)s, %(text)s, %(files)s, %(actor)s
  FROM contract WHERE stream_id = %(stream)s
RETURNING id, version

-- name: contract
SELECT c.id, c.stream_id, c.version, c.digest, c.source_text, c.files, s.name
  FROM contract c JOIN stream s ON s.id = c.stream_id WHERE c.id = %(id)s

-- name: classes
SELECT id, name FROM event_class WHERE stream_id = %(stream)s

-- name: ensure_classes
WITH wanted AS (SELECT unnest(%(names)s::text[]) AS name),
fresh AS (
    INSERT INTO event_class (stream_id, name) SELECT %(stream)s, name FROM wanted
    ON CONFLICT ON CONSTRAINT event_class_name_unique DO NOTHING RETURNING id, name)
SELECT id, name FROM fresh
UNION
SELECT e.id, e.name FROM event_class e JOIN wanted w USING (name) WHERE e.stream_id = %(stream)s
