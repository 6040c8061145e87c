"""URLs of servers, as people write them."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)")


@dataclass(frozen=True, slots=True)
class Sentinel:
    """What a `sentinel://` address does not say: which of the servers that Sentinel watches, and its own password."""

    master: str
    password: str | None = field(default=None, repr=False)

    @property
    def connection(self) -> dict[str, Any]:
        """The options of redis-py for a connection to a Sentinel itself."""
        password = {} if self.password is None else {"password": self.password}
        return {"socket_timeout": 5, "socket_connect_timeout": 5, **password}


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


def as_celery_reads_it(url: str) -> str:
    """Celery has its own words for a socket and the database behind it."""
    url = re.sub(r"^unix://", "redis+socket://", url)
    if url.startswith("redis+socket://"):
        return re.sub(r"(?<=[?&])db=", "virtual_host=", url)
    if url.startswith("rediss://"):
        return _with_certificates_checked(url)
    return url


def _with_certificates_checked(url: str) -> str:
    """Celery's result backend refuses a `rediss://` URL that does not say how certificates are checked: they are."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("ssl_cert_reqs", "required")
    return urlunsplit(parts._replace(query=urlencode(query)))


def with_password(urls: str, password: str, *, of: str) -> str:
    """The URLs, separated by semicolons, with this password, its characters escaped, in those that have none and name
    a host of the URLs `of`."""
    hosts = {urlsplit(one).hostname for one in of.split(";")} - {None}

    def completed(url: str) -> str:
        parts = urlsplit(url)
        if parts.password is not None or parts.hostname not in hosts:
            return url
        user, _, server = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{server}"))

    return ";".join(map(completed, urls.split(";")))
