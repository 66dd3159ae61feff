"""Tables of columns: Parquet, Arrow files, frames and streams, SQL."""
