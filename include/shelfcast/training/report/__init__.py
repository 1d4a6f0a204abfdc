"""What people read of a candidate: what moves its forecasts, pictures and the model card."""
