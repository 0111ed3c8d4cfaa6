-- Requesters of other accounts than yours, by account.
-- A log names a bucket's owner by the canonical id only, so say which account is yours; requesters that are themselves
-- named by a canonical id (root users, other accounts in part) are shown if it is not the owner's.
-- Parameter account (default 0): your account's 12 digits
SELECT coalesce(nullif(regexp_extract(requester, '^arn:[^:]*:[^:]*::([0-9]{12}):', 1), ''), 'unknown') AS account,
  requester, bucket, count(*) AS requests, count(*) FILTER (http_status < 400) AS successful, max(time) AS last
FROM logs
WHERE requester IS NOT NULL AND requester <> bucket_owner
GROUP BY ALL
HAVING account <> $account
ORDER BY requests DESC, account, requester, bucket
