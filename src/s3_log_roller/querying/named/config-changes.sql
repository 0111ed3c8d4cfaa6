-- Who changed a bucket's policy, ACL, logging, encryption, versioning, lifecycle or other settings, or an object's ACL.
-- A change by other means than a request to the bucket (an account's public access block) is not in these logs.
SELECT time, bucket, operation, key_decoded AS key, requester, remote_ip, http_status, error_code
FROM logs
WHERE regexp_matches(operation, '^REST\.(PUT|DELETE|POST)\.')
  AND regexp_matches(operation, '(POLICY|ACL|LOGGING|ENCRYPTION|VERSIONING|LIFECYCLE|CORS|WEBSITE|NOTIFICATION|REPLICATION'
    || '|PUBLIC_?ACCESS_?BLOCK|OWNERSHIP_?CONTROLS|OBJECT_LOCK|ACCELERATE|REQUEST_?PAYMENT|TAGGING)[A-Z_]*$')
ORDER BY time, bucket, operation
