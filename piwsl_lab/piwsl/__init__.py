"""What a potential is trained for: residuals, displacements, the table of terms and the objective."""
