"""Platform content and schemas that ship with Isoward; a package so that an installed wheel finds them."""
