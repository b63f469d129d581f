"""Pages, pictures and charts: what all reports share."""
