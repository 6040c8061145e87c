"""Release and exact rollback of toolsets."""
