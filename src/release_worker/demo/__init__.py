"""What `release-worker demo` does: the main job on real input, from an empty directory to none, and the proof that each
claim about it holds. It returns a report; the command line shows it."""
