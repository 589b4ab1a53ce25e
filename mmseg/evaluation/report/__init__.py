"""What a report says of a model: figures with their uncertainty, boundaries, calibration."""
