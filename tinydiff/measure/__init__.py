"""What models are worth: quality, all families on one axis, speed."""
