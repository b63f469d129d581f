"""Images and label arrays on disk: one file a format."""
