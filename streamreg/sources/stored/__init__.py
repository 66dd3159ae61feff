"""Tables in files, whatever the format: rows by position, chunks, buffers, codecs."""
