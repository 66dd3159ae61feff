"""What a scan keeps of the rows: statistics that update, merge and persist."""
