"""Service of the forecasting leaf."""
