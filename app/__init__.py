"""The HTTP service: uploads in, calibrated answers out; knows nothing of training."""
