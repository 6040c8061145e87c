"""URLs of servers, as people write them."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)")


def check_url(url: str) -> None:
    """Raises ValueError for what nobody could connect to; servers, users and options are left to those who try."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise ValueError("not a URL")
    parts = urlsplit(url)
    if parts.port == 0:  # asked for, it raises ValueError if it is no number
        raise ValueError("no port")
    if scheme[0] not in ("unix", "redis+socket") and "@" in parts.path + parts.fragment:
        raise ValueError("a password that ends too early")
    if scheme[0] in ("redis", "rediss", "sentinel") and not re.fullmatch(r"(/\d{0,9})?", parts.path, re.ASCII):
        raise ValueError("no number of a database")
    if scheme[0] in ("unix", "redis+socket") and len(parts.path) < 2:
        raise ValueError("no path of a socket")


def with_certificates_checked(url: str) -> str:
    """Celery's result backend refuses a `rediss://` URL that does not say how certificates are checked: they are."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("ssl_cert_reqs", "required")
    return urlunsplit(parts._replace(query=urlencode(query)))
