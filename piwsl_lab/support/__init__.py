"""What every room needs and none owns: files that are written whole, interrupts that wait."""
