"""Questions about logs: records as columns, SQL over them, and Parquet files of them. Needs the extra `query`."""
