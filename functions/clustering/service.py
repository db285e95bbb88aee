"""Service of the clustering leaf."""
