-- Who still signs requests with Signature Version 2.
SELECT coalesce(requester, 'anonymous') AS requester, bucket, user_agent, count(*) AS requests, max(time) AS last
FROM logs
WHERE signature_version = 'SigV2'
GROUP BY ALL
ORDER BY requests DESC, requester, bucket, user_agent
