"""What a site remembers and decides: seen versions, its authority, statements, waivers."""
