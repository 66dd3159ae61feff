"""What a user asks for: frozen specifications with a `fit`."""
