"""The papers' losses, built from shared terms."""
