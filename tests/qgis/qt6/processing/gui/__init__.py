"""Its dialogs."""
