"""The offline side of Isoward: enrol, import, serve, install (not PyPA's package of this name)."""
