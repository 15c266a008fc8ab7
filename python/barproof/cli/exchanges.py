"""Exchanges through ccxt, which is an extra: opened by name, at another host where one is given."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from barproof.errors import ConfigError

__all__ = ["open_exchange"]


def open_exchange(name: str, url: str | None, *, instead: str, timeout: float = 10.0) -> Any:
    """Make an exchange of ccxt that keeps to its rate limit.

    Parameters
    ----------
    name : str
        As ccxt has it.
    url : str or None
        Another host for all of its addresses.
    instead : str
        What to do without ccxt, for the message.
    timeout : float
        Seconds.

    Returns
    -------
    object
        The exchange; nothing was asked yet.

    Raises
    ------
    ConfigError
        If ccxt is not installed, or knows no such exchange.
    """
    try:
        import ccxt
    except ImportError as error:
        raise ConfigError(
            f"`--exchange` needs ccxt: install it by `pip install 'barproof[fetch]'`, or {instead}"
        ) from error
    if name not in ccxt.exchanges:
        near = get_close_matches(name, ccxt.exchanges, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ": ccxt.exchanges lists what is"
        raise ConfigError(f"`--exchange {name}` is not known to ccxt {ccxt.__version__}{hint}")
    made = getattr(ccxt, name)({"enableRateLimit": True, "timeout": round(1000 * timeout)})
    if url is not None:
        made.urls["api"] = _elsewhere(made.urls["api"], url.rstrip("/"))
    return made


def _elsewhere(addresses: Any, url: str) -> Any:
    """Put another host into the addresses of an exchange."""
    if isinstance(addresses, dict):
        return {key: _elsewhere(one, url) for key, one in addresses.items()}
    _, _, rest = str(addresses).partition("://")
    _, _, path = rest.partition("/")
    return f"{url}/{path}" if path else url
