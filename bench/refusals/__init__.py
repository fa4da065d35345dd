"""Time in which damaged checkpoints of 100 GB are refused: kinds of damage, and their benchmark."""
