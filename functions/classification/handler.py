"""Handler of the classification leaf."""
