"""Files that are written: archives of results, tables of predictions; all of it or nothing."""
