"""Checks of a site's machines before anything is changed on them."""
