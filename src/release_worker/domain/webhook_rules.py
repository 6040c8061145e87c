"""Where events may be posted to: never, unless a deployment allows it, into its own network."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_ASCII = re.compile(r"[!-~]+")
_NAT64 = IPv6Network("64:ff9b::/96")
# The only part of IPv6 that is public; Python's list of exceptions lacks fec0::/10, sites' own addresses of the past.
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# For protocols, relays and documentation: in some clouds or in some versions of Python they are somebody's own.
_NOBODYS = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A URL in parts: `path` is what a request line has, with the query."""

    host: str
    port: int
    path: str
    secure: bool

    @property
    def authority(self) -> str:
        """The header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """What a deployment allows: addresses that are not public, and plain HTTP."""

    private: bool = False
    http: bool = False

    def target(self, url: str) -> WebhookTarget:
        """The parts of a URL that may be used, as far as it tells. Raises ValueError."""
        target = webhook_target(url)
        if not target.secure and not self.http:
            raise ValueError("must begin with https:// (RELEASE_WORKER_WEBHOOKS_HTTP allows http://)")
        try:
            address = ip_address(target.host)
        except ValueError:
            return target
        self.check_address(str(address))
        return target

    def check_address(self, address: str) -> None:
        """Raises ValueError for an IP address that events must not be sent to."""
        if not (self.private or _is_public(ip_address(address))):
            raise ValueError(f"{address} is not a public address (RELEASE_WORKER_WEBHOOKS_PRIVATE allows it)")


def webhook_target(url: str) -> WebhookTarget:
    """The parts of an `https://` or `http://` URL. Raises ValueError for what cannot be used anywhere."""
    if len(url) > LONGEST_URL or not _ASCII.fullmatch(url):
        raise ValueError(f"must be at most {LONGEST_URL} ASCII characters without spaces; write xn-- names and %XX")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http"):
        raise ValueError("must begin with https://")
    if "@" in parts.netloc or "\\" in url:
        raise ValueError("must have no user, no password and no backslash")
    if not parts.hostname:
        raise ValueError("must name a host")
    if parts.fragment or url.endswith("#"):
        raise ValueError("must have no fragment")
    secure = parts.scheme == "https"
    port = parts.port if parts.port is not None else (443 if secure else 80)  # raises ValueError if out of range
    if port == 0:
        raise ValueError("must have a port that can be connected to")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(parts.hostname, port, path, secure)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Addresses that stand for another are judged by that; tunnels of the past are nobody's receivers."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.sixtofour is not None or address.teredo is not None or address not in _PUBLIC_IPV6:
            return False
    if any(address in network for network in _NOBODYS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
