"""The offline side of Isoward: enroll, import, serve, install (not PyPA's package of this name)."""
