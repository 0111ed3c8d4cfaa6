-- Requests that needed an ACL to be allowed: what would stop working if ACLs were disabled.
-- Records from before this field was added (2022) say nothing about ACLs.
SELECT bucket, coalesce(requester, 'anonymous') AS requester, operation, count(*) AS requests, max(time) AS last
FROM logs
WHERE acl_required = 'Yes'
GROUP BY ALL
ORDER BY requests DESC, bucket, requester, operation
