"""Training: one trainer, its batches, what it answers with, its best step, errors against labels, checkpoints."""
