"""Everything that speaks to AWS: the bulk S3 client, SQS, credentials, and what their errors mean."""
