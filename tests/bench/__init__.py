"""How fast and how small probe is, beside what is allowed: `make bench`. Numbers for people; nothing fails here."""
