"""Domains of which anybody can have a host: storage, delivery networks and hosted sites.

A pattern over one of these allows everybody's, so hosts below them are allowed one by one.
"""

from __future__ import annotations

from typing import Final

SHARED_DOMAINS: Final = frozenset(
    {
        "akamaihd.net",
        "akamaized.net",
        "aliyuncs.com",
        "amazonaws.com",
        "amazonaws.com.cn",
        "appspot.com",
        "azurecr.io",
        "azureedge.net",
        "azurefd.net",
        "azurewebsites.net",
        "b-cdn.net",
        "backblazeb2.com",
        "blob.core.windows.net",
        "cdn.cloudflare.net",
        "cloudfront.net",
        "digitaloceanspaces.com",
        "edgekey.net",
        "edgesuite.net",
        "fastly.net",
        "firebaseapp.com",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "herokuapp.com",
        "linodeobjects.com",
        "myqcloud.com",
        "netlify.app",
        "ngrok.io",
        "onrender.com",
        "oraclecloud.com",
        "pages.dev",
        "pkg.dev",
        "r2.cloudflarestorage.com",
        "r2.dev",
        "run.app",
        "scw.cloud",
        "storage.googleapis.com",
        "supabase.co",
        "trycloudflare.com",
        "vercel.app",
        "wasabisys.com",
        "web.app",
        "web.core.windows.net",
        "windows.net",
        "workers.dev",
    }
)
"""Each is an end of host names; what is before it is for anybody to choose."""


def shared_domain(host: str) -> str:
    """Return the domain of which anybody can have a host like this one, or an empty text."""
    labels = host.lower().partition(":")[0].rstrip(".").split(".")
    ends = (".".join(labels[i:]) for i in range(1, len(labels)))
    return next((end for end in ends if end in SHARED_DOMAINS), "")
