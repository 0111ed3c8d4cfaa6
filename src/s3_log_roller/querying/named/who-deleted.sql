-- Who deleted which objects, when, and was it a request, a batch of keys or a lifecycle rule.
-- A delete in a bucket with versioning only hides the object behind a delete marker, unless version_id names a version.
-- S3 delivers access logs on a best-effort basis: a delete that is missing here may still have happened.
-- Parameter key (default %): a pattern of keys as LIKE has it, with % for anything
SELECT time, bucket, key_decoded AS key, version_id,
  CASE
    WHEN operation LIKE 'S3.%' THEN 'lifecycle rule'
    WHEN operation LIKE 'BATCH.%' THEN 'batch'
    ELSE 'request'
  END AS kind,
  requester, remote_ip, operation, http_status, user_agent
FROM logs
WHERE operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT', 'S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
  AND (http_status IS NULL OR http_status BETWEEN 200 AND 299)
  AND key_decoded LIKE $key
ORDER BY time, bucket, key
