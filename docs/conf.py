"""How Sphinx makes the site: `make docs`. The pages are plain Markdown, and read well without it, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "release_worker"
root_doc = "docs/README"
extensions = ["myst_parser", "extension"]

# The source is the whole repository, so that a link between any two of its pages is a link of the site as well.
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md", "*/README.md", "tests/faults/README.md"]
exclude_patterns = [".*", "build", "dist", "src"]

nitpicky = True
myst_heading_anchors = 4

html_theme = "furo"
html_title = "release_worker"
html_extra_path = ["front"]
html_copy_source = False
html_show_sphinx = False
