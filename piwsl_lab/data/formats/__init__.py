"""Files: one module a format; `io` opens whatever a person has."""
