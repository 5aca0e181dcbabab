"""Files: one module per format; `io` opens whatever a person has."""
