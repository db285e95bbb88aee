"""Handler of the forecasting leaf."""
