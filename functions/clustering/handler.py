"""Handler of the clustering leaf."""
