"""Documents of OpenAPI 3.0 and 3.1: read, checked, and made into the definitions of tools.

A document comes from anywhere. What it says is bounded before it is believed: bytes, values, depth, and what its
references would unfold to. A reference leads within the document or is refused, so that nothing is fetched.
"""

from release_worker.extras import require

require("openapi", "an API document")
