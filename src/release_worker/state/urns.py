"""URNs of tools and resources: `tools:<kind>:<slug>`, perhaps with `:<name>` behind."""


def slugs_of(urn: str) -> str:
    """SQL: a query of `slug`, all that a URN is of: `tools:function:a:b` is of `a` and of `a:b`, for a slug may hold a
    colon itself."""
    return f"""
        SELECT array_to_string(parts[3:place], ':') AS slug
        FROM string_to_array({urn}, ':') AS parts, generate_series(3, cardinality(parts)) AS place
    """
