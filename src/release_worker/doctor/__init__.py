"""What is wrong with a deployment, and what to do about it: one small function a check, and one list of them."""
