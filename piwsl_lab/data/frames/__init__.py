"""A frame and what it carries: geometry, labels under their names, units, constraints, electrons, copies."""
