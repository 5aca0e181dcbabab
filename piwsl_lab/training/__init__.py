"""Training: one trainer, its batches and its best step, errors against labels, checkpoints."""
