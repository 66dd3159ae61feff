"""What a model asks of the rows: columns, powers, roles, missing values."""
