-- Requests and bytes sent by requester.
-- bytes_sent is what left S3, whether in the same region (free) or not.
SELECT coalesce(requester, 'anonymous') AS requester, count(*) AS requests, coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM logs
WHERE raw IS NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY bytes_sent DESC, requests DESC, requester
