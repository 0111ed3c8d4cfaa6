-- How many objects were deleted, by whom, and was it by requests, batches of keys or lifecycle rules.
-- A delete in a bucket with versioning only hides the object behind a delete marker, unless its record names a version.
-- S3 delivers access logs on a best-effort basis: a delete that is missing here may still have happened.
SELECT bucket, coalesce(requester, 'anonymous') AS requester,
  CASE
    WHEN operation LIKE 'S3.%' THEN 'lifecycle rule'
    WHEN operation LIKE 'BATCH.%' THEN 'batch'
    ELSE 'request'
  END AS kind,
  count(*) AS objects, count(version_id) AS with_version, min(time) AS first, max(time) AS last
FROM logs
WHERE operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT', 'S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
  AND (http_status IS NULL OR http_status BETWEEN 200 AND 299)
GROUP BY ALL
ORDER BY objects DESC, bucket, requester, kind
