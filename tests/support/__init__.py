"""What tests of several files share: servers, builders of live state, and eyes that do not trust the product's."""

import pytest

pytest.register_assert_rewrite("tests.support.records")
