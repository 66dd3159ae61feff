"""What fits return."""
