"""Service of the classification leaf."""
