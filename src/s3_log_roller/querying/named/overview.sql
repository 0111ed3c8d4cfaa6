-- The most important figures in one row.
-- What S3 does by itself is not a request. Refused is status 401 or 403, deleted are objects whose delete was successful.
SELECT count(*) AS records, min(time) AS first, max(time) AS last,
  count(*) FILTER (operation NOT LIKE 'S3.%') AS requests,
  coalesce(sum(bytes_sent) FILTER (operation NOT LIKE 'S3.%'), 0) AS bytes_sent,
  count(*) FILTER (http_status IN (401, 403)) AS refused, count(*) FILTER (http_status >= 500) AS server_errors,
  count(*) FILTER (operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT', 'S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
    AND (http_status IS NULL OR http_status BETWEEN 200 AND 299)) AS deleted,
  count(*) FILTER (requester IS NULL AND operation NOT LIKE 'S3.%') AS anonymous,
  count(*) FILTER (host_header IS NOT NULL
    AND (tls_version IS NULL OR lower(tls_version) IN ('tlsv1', 'tlsv1.0', 'tlsv1.1'))) AS old_tls
FROM logs
WHERE raw IS NULL
