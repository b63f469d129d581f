"""Networks and predictors."""
