-- What is done without credentials, by bucket and operation, and how often it works.
-- What S3 does by itself has no requester either, and is left out. A request with a wrong signature counts as anonymous.
SELECT bucket, operation, count(*) AS requests, count(*) FILTER (http_status < 400) AS successful,
  count(DISTINCT remote_ip) AS addresses, count(DISTINCT key_decoded) AS keys
FROM logs
WHERE raw IS NULL AND requester IS NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY requests DESC, bucket, operation
