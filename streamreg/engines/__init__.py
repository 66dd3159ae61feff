"""Who runs the partitions."""
