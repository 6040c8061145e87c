"""What is asked of live state by hand: owners that are added, and edits of what they have. Pure values and rules."""
