"""The pages of `docs/reference` that are written by the code: `page()` of each module is the text of its page."""
