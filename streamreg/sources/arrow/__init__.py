"""Tables that keep columns, through Apache Arrow: Parquet, Arrow files, data frames, SQL."""
