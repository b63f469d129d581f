"""Files as a whole: atomic writing, folders, manifests, tables, limits."""
